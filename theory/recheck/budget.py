"""What limits on logits cost, recomputed: range, precision, packing, and rounding of heads of low rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.head import HeadSpec
from theory.recheck.rounding import below, error, largest, spacing_at, widest_range
from theory.recheck.table import Mismatch, index_set, rows_of

Certificate = Mapping[str, Any]


def value_range(certificate: Certificate, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """Tangent bounds on the divergence of each row over the box of its logits, at the levels of the certificate."""
    widest, levels = widest_range(spec), np.asarray(certificate.get("levels"), dtype=np.float64)
    if widest == math.inf or levels.shape != (distribution.contexts,) or not np.all(np.isfinite(levels)):
        raise Mismatch("a range bound needs limited logits and one finite level for each context")
    costs = []
    for weight, level, row in zip(to_numpy(distribution.weights), levels, rows_of(distribution), strict=True):
        a = np.minimum(np.maximum(row + level, 0.0), widest)
        log_q, p = a - logsumexp(a), np.exp(row)
        seen = p > 0
        slope = np.exp(log_q) - p
        change = np.minimum(np.where(slope > 0, -slope * a, slope * (widest - a)), 0.0)
        costs.append(float(weight) * max(0.0, float(p[seen] @ (row[seen] - log_q[seen])) + float(change.sum())))
    return math.fsum(costs)


def value_packing(certificate: Certificate, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """What all modes but ``clear`` of them pay when no more can keep their margin in a ball."""
    clear, rows = int(certificate.get("clear", 0)), list(rows_of(distribution))
    modes = np.array([int(np.argmax(row)) for row in rows])
    tokens = sorted(set(modes.tolist()))
    if spec.norm is None or spec.float_format is not None or not 1 <= clear < len(tokens):
        raise Mismatch("a packing bound needs heads of limited norm and some modes that are not clear")
    delta = 2 * spec.norm / ((clear + 1) ** (1 / spec.rank) - 1) if spec.rank else 0.0
    paid = dict.fromkeys(tokens, 0.0)
    for weight, mode, row in zip(to_numpy(distribution.weights), modes.tolist(), rows, strict=True):
        paid[mode] += float(weight) * min(_pair(row[mode], row[u], delta) for u in tokens if u != mode)
    return math.fsum(sorted(paid.values())[: len(tokens) - clear])


def _pair(log_p: float, log_other: float, delta: float) -> float:
    """The cost of a token whose logit leads another by at most ``delta`` though its probability leads by more."""
    if log_p - log_other <= delta:
        return 0.0
    p, other = math.exp(log_p), math.exp(log_other)
    share = p / (p + other)
    kl = share * (math.log(share) + math.log1p(math.exp(-delta)))
    kl += (1 - share) * (math.log1p(-share) + delta + math.log1p(math.exp(-delta))) if share < 1 else 0.0
    return (p + other) * kl


def value_precision(certificate: Certificate, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The least cost over the cells of each row, which must cover the line and one period of the grid beyond."""
    if spec.float_format is None:
        raise Mismatch("a precision bound needs logits in a float format")
    contexts = index_set(certificate.get("contexts"), distribution.contexts, "contexts")
    count, cells = int(certificate.get("tokens", 0)), certificate.get("cells", ())
    if count < 1 or len(cells) != len(contexts):
        raise Mismatch("the certificate gives no cells for each of its contexts")
    weights, total = to_numpy(distribution.weights), 0.0
    rows = {c: row for c, row in enumerate(rows_of(distribution)) if c in set(contexts.tolist())}
    for c, parts in zip(contexts.tolist(), cells, strict=True):
        row = rows[c]
        x = np.sort(row[np.isfinite(row)])[-count:]
        total += float(weights[c]) * max(0.0, _least_cost(x, [np.asarray(part) for part in parts], spec.float_format))
    return total * (1 - 1e-9)


def _least_cost(x: np.ndarray, parts: list[np.ndarray], name: str) -> float:
    low, high, tail = parts
    r = float(np.abs(x).max())
    power = 1.0
    while power < 2 * r:
        power *= 2
    inner = largest(name) > power
    _require_cover(low[~tail], high[~tail], -(min(power, largest(name)) + r), min(power, largest(name)) + r)
    step = spacing_at(power, name)
    if inner:
        _require_cover(low[tail], high[tail], 0.0, step)
    start, stop = low[:, None] + x, high[:, None] + x
    beyond = np.asarray(tail, dtype=bool)[:, None]
    down = np.where(beyond, np.floor(stop / step) * step, below(stop, name))
    up = np.where(beyond, np.ceil(start / step) * step, -below(-start, name))
    return float((np.where(down >= start, 0.0, np.minimum(_rho(down - start), _rho(up - stop))) @ np.exp(x)).min())


def _require_cover(low: np.ndarray, high: np.ndarray, start: float, stop: float) -> None:
    """Raise unless the intervals leave no gap between ``start`` and ``stop``."""
    order = np.argsort(low)
    reach = np.maximum.accumulate(high[order]) if len(low) else np.zeros(0)
    slack = 1e-12 * max(1.0, stop - start)
    if len(low) == 0 or low.min() > start + slack or reach[-1] < stop - slack:
        raise Mismatch("the cells do not cover the levels they must")
    if np.any(low[order][1:] > reach[:-1] + slack):
        raise Mismatch("the cells leave a gap")


def _rho(x: np.ndarray) -> np.ndarray:
    """``e^x - 1 - x``, infinite at minus infinity and for no number above."""
    finite = np.where(np.isfinite(x), x, 0.0)
    series = np.zeros_like(finite)
    for k in range(13, 1, -1):
        series = series * finite + 1 / math.factorial(k)
    series = series * finite**2
    return np.where(np.isfinite(x), np.where(np.abs(finite) < 0.2, series, np.expm1(finite) - finite), np.inf)


def value_rounded(
    certificate: Certificate,
    distribution: ContextualDistribution,
    spec: HeadSpec,
    floor: Callable[[Certificate, ContextualDistribution, HeadSpec], float],
) -> float:
    """A floor of the heads before rounding, less what rounding can win back."""
    if spec.norm is None or spec.float_format is None:
        raise Mismatch("a bound for rounded heads needs a norm and a float format")
    shift = error(spec.float_format, spec.norm) + 2 * (spec.dim + 2) * 2.0**-53 * spec.norm
    M, B = (None if limit is None else limit + 2 * shift for limit in (spec.max_underestimate, spec.logit_range))
    plain = replace(spec, float_format=None, max_underestimate=M, logit_range=B)
    inner = floor(certificate["inner"]["certificate"], distribution, plain)
    return inner - shift * math.sqrt(2 * inner) if inner > shift**2 / 2 else 0.0
