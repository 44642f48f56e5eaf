"""Lower bounds recomputed from their certificates in ball arithmetic, one small function for each kind.

Each returns two balls: a value that the certificate proves is at least the lower end of the first, and the value of the
certificate is at most the upper end of the second.  The mathematics is that of the theorem pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from theory.balls.arithmetic import (
    Ball,
    ball,
    balls,
    curvature,
    largest,
    least,
    lower,
    singular_values,
    total,
    underestimate_cost,
)
from theory.balls.table import BallTable
from theory.head import HeadSpec
from theory.recheck.rounding import widest_range
from theory.recheck.table import Mismatch, index_set

Certificate = Mapping[str, Any]
Interval = tuple[Ball, Ball]
Floor = Callable[[Certificate, BallTable, HeadSpec], Interval]


def unigram(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """``log V - H(P)``, or the mutual information, at dimension 0."""
    if spec.dim != 0:
        raise Mismatch("the unigram law is the floor at dimension 0 only")
    rows = range(len(table.log_p))
    inner = total(
        table.weights[c] * x.exp() * x for c in rows for x in table.log_p[c] if x is not None
    )  # minus the entropy
    if not spec.bias:
        value = ball(table.vocab).log() + inner
        return value, value
    marginal = [total(table.weights[c] * table.p(c, v) for c in rows) for v in range(table.vocab)]
    seen = [v for v in range(table.vocab) if any(table.log_p[c][v] is not None for c in rows)]
    value = inner - total(marginal[v] * marginal[v].log() for v in seen)
    return value, value


def majorization(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """``omega sum_j h(sigma_j / sqrt(omega))`` on the block of the certificate."""
    contexts = index_set(certificate.get("contexts"), len(table.log_p), "contexts").tolist()
    tokens = index_set(certificate.get("tokens"), table.vocab, "tokens").tolist()
    L, weights = table.positive(contexts, tokens)
    r, s = minorant(certificate, [[w * x.exp() for x in row] for w, row in zip(weights, L, strict=True)])
    omega = least(r) * least(s)
    if not omega > 0:
        return ball(0.0), ball(0.0)

    def cost(sigma: list[Ball]) -> Ball:
        return omega * total(underestimate_cost(value / omega.sqrt()) for value in sigma[spec.rank :])

    low, high = singular_values(weighted(L, r, s))
    return cost(low), cost(high)


def probability_floor(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """``a / (2 e^2) sum_j min(sigma_j^2, sqrt(m) sigma_j)``."""
    L, weights = table.positive()
    a, m = least(x for row in L for x in row).exp(), least(weights)

    def cost(sigma: list[Ball]) -> Ball:
        terms = (value.min(m.sqrt()) * value for value in sigma[spec.rank :])
        return a * ball(-2.0).exp() / 2 * total(terms)

    low, high = singular_values(weighted(L, weights, balls([1.0] * table.vocab)))
    return cost(low), cost(high)


def quadratic(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """The tail energy under a minorant of weights times curvature, for limited heads."""
    L, weights = table.positive()
    widest = widest_range(spec)
    if widest == math.inf and spec.max_underestimate is None:
        raise Mismatch("the quadratic bound needs heads with a limit")
    bounds = list[list[Ball]]()
    for weight, row in zip(weights, L, strict=True):
        spread = largest(row) - least(row)
        here = []
        for x in row:
            M = [] if spec.max_underestimate is None else [ball(spec.max_underestimate)]
            if widest < math.inf:
                M += [ball(widest) + spread, (1 + (table.vocab - 1) * ball(widest).exp()).log() + x]
            here.append(weight * x.exp() * curvature(least(M).max(ball(-30.0))))
        bounds.append(here)
    r, s = minorant(certificate, bounds)
    low, high = singular_values(weighted(L, r, s))
    return total(x * x for x in low[spec.rank :]), total(x * x for x in high[spec.rank :])


def all_subsets(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """What one inseparable k-subset costs at least.

    A context with support S pays ``p_i log 2`` or more when some ``q_v >= q_i``, v outside: given the others, i and v
    share at best half of ``p_i`` each.  No row needs to be uniform.
    """
    k, vocab = int(certificate.get("k", 0)), table.vocab
    if k < 1 or vocab < 3 * k or spec.rank >= 2 * k:
        raise Mismatch(f"all {k}-subsets of {vocab} tokens bound no head of rank {spec.rank}")
    paid = dict[tuple[int, ...], Ball]()
    for weight, row in zip(table.weights, table.log_p, strict=True):
        support = tuple(v for v, x in enumerate(row) if x is not None)
        cost = weight * least(x for x in row if x is not None).exp()
        paid[support] = paid.get(support, ball(0.0)) + cost
    missing = next((subset for subset in combinations(range(vocab), k) if subset not in paid), None)
    if missing is not None:
        raise Mismatch(f"no context has the support {missing}")
    value = least(paid[subset] for subset in combinations(range(vocab), k)) * ball(2.0).log()
    return value, value


def value_range(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """Tangent bounds on the divergence of each row over the box of its logits."""
    widest, levels = widest_range(spec), np.asarray(certificate.get("levels"), dtype=np.float64)
    if widest == math.inf or levels.shape != (len(table.log_p),) or not np.all(np.isfinite(levels)):
        raise Mismatch("a range bound needs limited logits and one finite level for each context")
    B, zero, value = ball(widest), ball(0.0), ball(0.0)
    for weight, level, row in zip(table.weights, levels, table.log_p, strict=True):
        a = [zero if x is None else (x + ball(level)).max(zero).min(B) for x in row]
        norm = total(x.exp() for x in a).log()
        cost = zero
        for logit, x in zip(a, row, strict=True):
            p = zero if x is None else x.exp()
            slope = (logit - norm).exp() - p
            cost += zero if x is None else p * (x - logit + norm)
            cost += (-slope * logit).min(slope * (B - logit)).min(zero)
        value += weight * cost.max(zero)
    return value, value


def high_mass(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """The mass of the tokens times the floor of the law given them."""
    tokens = index_set(certificate.get("tokens"), table.vocab, "tokens").tolist()
    inner, mass = table.conditioned(tokens)
    low, high = floor(certificate["inner"]["certificate"], inner, spec)
    return mass * low, mass * high


def minorant(certificate: Certificate, weights: Sequence[Sequence[Ball]]) -> tuple[list[Ball], list[Ball]]:
    """``r`` and ``s`` of the certificate, r lowered by the factor that brings them below ``weights`` for certain."""
    r, s = (np.asarray(certificate.get(name), dtype=np.float64) for name in ("r", "s"))
    if (r.shape, s.shape) != ((len(weights),), (len(weights[0]),)):
        raise Mismatch(f"the minorant has shapes {r.shape} and {s.shape} on a block {len(weights), len(weights[0])}")
    if not (np.all(np.isfinite(r)) and np.all(np.isfinite(s)) and np.all(r >= 0) and np.all(s >= 0)):
        raise Mismatch("the minorant must be finite and >= 0")
    left, right = balls(r), balls(s)
    ratios = [
        w / (x * y) for x, row in zip(left, weights, strict=True) for y, w in zip(right, row, strict=True) if x * y > 0
    ]
    room = min((lower(ratio) for ratio in ratios), default=1.0)
    if room < 1 - 1e-9:
        raise Mismatch("the minorant exceeds the weights it must stay below")
    return [x * ball(min(room, 1.0)) for x in left], right


def weighted(L: Sequence[Sequence[Ball]], r: Sequence[Ball], s: Sequence[Ball]) -> list[list[Ball]]:
    """``D_r^{1/2} L D_s^{1/2} Pi_s``: every row less its mean under s, weighted."""
    mass, rows = total(s), []
    if not mass > 0:
        return [[ball(0.0) for _ in s] for _ in r]
    for weight, row in zip(r, L, strict=True):
        mean = total(y * x for y, x in zip(s, row, strict=True)) / mass
        rows.append([weight.sqrt() * (x - mean) * y.sqrt() for y, x in zip(s, row, strict=True)])
    return rows


def floor(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """The interval of the certificate's value; ``Mismatch`` for kinds that are not known here."""
    kind = certificate.get("kind")
    if kind not in KINDS:
        raise Mismatch(f"certificates of kind {kind!r} are not known in ball arithmetic; known are {', '.join(KINDS)}")
    return KINDS[kind](certificate, table, spec)


KINDS: dict[str, Floor] = {
    "unigram": unigram,
    "majorization": majorization,
    "probability-floor": probability_floor,
    "quadratic": quadratic,
    "all-subsets": all_subsets,
    "high-mass": high_mass,
    "range": value_range,
}
"""Kinds of certificates that balls re-evaluate."""
