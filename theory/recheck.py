"""What a certificate proves, recomputed from the table: one small function for each kind.

A certificate is read with suspicion: its indices, minorants and token sets are checked against the table, and the
value is computed from them again.  Nothing here is shared with the code that finds certificates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.bound import Bound
from theory.head import HeadSpec

ROWS = 2**18
"""Entries of a table written out at once."""


class Mismatch(Exception):
    """A certificate or witness that does not support its value; the message says where."""


def floor_from_certificate(
    certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec
) -> float:
    """The lower bound that the certificate proves; raises ``Mismatch`` when it proves none."""
    kind = certificate.get("kind")
    if kind not in KINDS:
        raise Mismatch(f"certificates of kind {kind!r} prove no lower bound; known are {', '.join(KINDS)}")
    return KINDS[kind](certificate, distribution, spec)


def zero_infimum(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """0 where the shape or the supports of the table make it the floor of unbounded heads."""
    kind = bound.certificate.get("kind")
    if bound.value != 0 or not spec.is_unbounded:
        raise Mismatch("an upper bound without witness must be the value 0 for unbounded heads")
    if kind == "full-dimension" and spec.dim >= min(distribution.vocab - 1, distribution.contexts - int(spec.bias)):
        return 0.0
    if kind == "support":
        largest = max(int(np.isfinite(row).sum()) for row in _rows(distribution))
        if largest == bound.certificate.get("max_support") and spec.rank >= 2 * largest:
            return 0.0
        raise Mismatch(f"the largest support has {largest} tokens; 0 is the floor from rank {2 * largest} on")
    if kind == "nested":
        _check_nested(bound.certificate, distribution, spec)
        return 0.0
    raise Mismatch(f"nothing shows that the floor is 0 at d = {spec.dim} (certificate of kind {kind!r})")


def _check_nested(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> None:
    """Every support must be a level set of the token levels, every row the same law up to a constant on it."""
    levels = np.asarray(certificate.get("levels"))
    if levels.shape != (distribution.vocab,) or levels.dtype.kind not in "iu":
        raise Mismatch("the certificate gives no integer level to each token")
    base = max(_rows(distribution), key=lambda row: np.count_nonzero(np.isfinite(row)))
    seen = np.isfinite(base)
    tolerance = 1e-12 * max(1.0, float(np.abs(base[seen]).max()))
    steps = set()
    for c, row in enumerate(_rows(distribution)):
        inside = np.isfinite(row)
        steps.add(int(levels[inside].max()))
        if not np.array_equal(inside, levels <= max(levels[inside])) or np.any(inside & ~seen):
            raise Mismatch(f"the support of context {c} is not the set of tokens up to one level")
        if np.ptp(row[inside] - base[inside]) > tolerance:
            raise Mismatch(f"the law of context {c} is not the base law conditioned on its support")
    free = spec.bias or len(steps) == 1 or np.ptp(base[seen]) <= tolerance
    if spec.dim < (1 if free else 2):
        raise Mismatch(f"nested supports of this base law show nothing at d = {spec.dim}")


def prediction(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """Half the tail energy around the geometric mean of the rows, from the eigenvalues of the token covariance."""
    if bound.certificate.get("kind") != "near-unigram" or not spec.bias:
        raise Mismatch("only 'near-unigram' with a bias is a known prediction")
    L, weights = _table(distribution)
    mean = weights @ L
    base = np.exp(mean - mean.max())
    base /= base.sum()
    M = L - mean
    M = (M - (M @ base)[:, None]) * np.sqrt(base)
    energies = np.linalg.eigvalsh(M.T @ (weights[:, None] * M))[::-1]
    return max(0.0, float(energies[spec.dim :].sum()) / 2)


def _unigram(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    if spec.dim != 0:
        raise Mismatch("the unigram law is the floor at dimension 0 only")
    terms, marginal = [], np.zeros(distribution.vocab)
    weights = to_numpy(distribution.weights).astype(np.float64)
    for weight, row in zip(weights, _rows(distribution), strict=True):
        marginal += weight * np.exp(row)
        terms.append(-weight * _entropy(np.exp(row)))
    top = _entropy(marginal) if spec.bias else math.log(distribution.vocab)
    return max(0.0, top + math.fsum(terms))


def _majorization(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    contexts = _index(certificate.get("contexts"), distribution.contexts, "contexts")
    tokens = _index(certificate.get("tokens"), distribution.vocab, "tokens")
    L, weights = _table(distribution, contexts, tokens)
    r, s = _minorant(certificate, np.log(weights)[:, None] + L)
    omega = float(r.min()) * float(s.min())
    if omega == 0:
        return 0.0
    t = _tail_values(L, r, s, spec.rank) / math.sqrt(omega)
    cost = np.where(t < 1e-3, t**2 * (0.5 - t / 6 + t**2 / 24), np.exp(-t) - 1 + t)
    return omega * float(cost.sum())


def _probability_floor(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    L, weights = _table(distribution)
    sigma = _tail_values(L, weights, np.ones(L.shape[1]), spec.rank)
    costs = np.where(sigma**2 < weights.min(), sigma**2, math.sqrt(weights.min()) * sigma)
    return math.exp(float(L.min()) - 2) / 2 * float(costs.sum())


def _quadratic(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The quadratic bound for limited heads: minorant of the weights times their curvature, then the tail energy."""
    L, weights = _table(distribution)
    limits = [np.full_like(L, math.inf if spec.max_underestimate is None else spec.max_underestimate)]
    if spec.logit_range is not None:
        limits.append(np.broadcast_to(spec.logit_range + (L.max(axis=1) - L.min(axis=1))[:, None], L.shape))
        limits.append(math.log1p((L.shape[1] - 1) * math.exp(spec.logit_range)) + L)
    M = np.clip(np.min(limits, axis=0), -30.0, None)
    if not np.all(np.isfinite(M)):
        raise Mismatch("the quadratic bound needs heads with a limit")
    far = np.where(np.abs(M) < 0.1, 1.0, M)
    series = sum((-M) ** k / math.factorial(k + 2) for k in range(10))
    kappa = np.where(np.abs(M) < 0.1, series, (np.expm1(-far) + far) / far**2)
    r, s = _minorant(certificate, np.log(weights)[:, None] + L + np.log(kappa))
    return float((_tail_values(L, r, s, spec.rank) ** 2).sum())


def _all_subsets(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    k, vocab = int(certificate.get("k", 0)), distribution.vocab
    if k < 1 or vocab < 3 * k or spec.rank >= 2 * k:
        raise Mismatch(f"all {k}-subsets of {vocab} tokens bound no head of rank {spec.rank}")
    weights = to_numpy(distribution.weights).astype(np.float64)
    mass: dict[tuple[int, ...], float] = {}
    for weight, row in zip(weights, _rows(distribution), strict=True):
        p = np.exp(row)
        if np.count_nonzero(p) == k and p.max() <= (1 + 1e-12) / k and p[p > 0].min() >= (1 - 1e-12) / k:
            key = tuple(np.flatnonzero(p).tolist())
            mass[key] = mass.get(key, 0.0) + float(weight)
    missing = next((subset for subset in combinations(range(vocab), k) if subset not in mass), None)
    if missing is not None:
        raise Mismatch(f"no context is uniform on the tokens {missing}")
    return min(mass.values()) * math.log(2) / k


def _high_mass(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    tokens = _index(certificate.get("tokens"), distribution.vocab, "tokens")
    weights = to_numpy(distribution.weights).astype(np.float64)
    rows = np.exp(_block(distribution, None, tokens))
    inside = rows.sum(axis=1)
    kept = inside > 0
    mass = float(weights @ inside)
    joint = (weights * inside)[kept] / mass
    restricted = ContextualDistribution.from_probabilities(rows[kept] / inside[kept, None], joint / joint.sum())
    return mass * floor_from_certificate(certificate["inner"]["certificate"], restricted, spec)


Recheck = Callable[[Mapping[str, Any], ContextualDistribution, HeadSpec], float]

KINDS: dict[str, Recheck] = {
    "unigram": _unigram,
    "majorization": _majorization,
    "probability-floor": _probability_floor,
    "quadratic": _quadratic,
    "all-subsets": _all_subsets,
    "high-mass": _high_mass,
}
"""Every kind of certificate that proves a lower bound."""


def _index(values: Any, size: int, what: str) -> np.ndarray:
    """Distinct indices below ``size``."""
    index = np.asarray([] if values is None else values)
    if index.ndim != 1 or index.dtype.kind not in "iu" or len(index) == 0 or len(np.unique(index)) != len(index):
        raise Mismatch(f"the certificate names no set of {what}")
    if index.min() < 0 or index.max() >= size:
        raise Mismatch(f"the certificate names {what} that do not exist")
    return index


def _rows(distribution: ContextualDistribution) -> Iterator[np.ndarray]:
    """Log-probabilities (V,) of one context after another, on the host."""
    step = max(1, ROWS // distribution.vocab)
    for start in range(0, distribution.contexts, step):
        block = distribution.table.block(start, min(start + step, distribution.contexts))
        yield from to_numpy(block).astype(np.float64)


def _block(distribution: ContextualDistribution, contexts: Any = None, tokens: Any = None) -> np.ndarray:
    """Dense host log-probabilities of a block."""
    table = distribution.table.take(contexts, tokens)
    return to_numpy(table.block(0, table.shape[0])).astype(np.float64)


def _table(
    distribution: ContextualDistribution, contexts: Any = None, tokens: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities and weights of a block, which must be positive throughout."""
    L, weights = _block(distribution, contexts, tokens), to_numpy(distribution.weights).astype(np.float64)
    if not np.all(np.isfinite(L)):
        raise Mismatch("the certificate needs a block of positive probabilities, but some are zero")
    return L, weights if contexts is None else weights[contexts]


def _minorant(certificate: Mapping[str, Any], log_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair ``(r, s)`` of the certificate, non-negative and below the weights ``exp(log_w)`` entrywise."""
    r, s = np.asarray(certificate.get("r"), dtype=np.float64), np.asarray(certificate.get("s"), dtype=np.float64)
    if (r.shape, s.shape) != ((log_w.shape[0],), (log_w.shape[1],)):
        raise Mismatch(f"the minorant has shapes {r.shape} and {s.shape} on a block {log_w.shape}")
    if not (np.all(np.isfinite(r)) and np.all(np.isfinite(s)) and np.all(r >= 0) and np.all(s >= 0)):
        raise Mismatch("the minorant must be finite and >= 0")
    if np.any(np.outer(r, s) > np.exp(log_w) * (1 + 1e-12)):
        raise Mismatch("the minorant exceeds the weights it must stay below")
    return r, s


def _tail_values(L: np.ndarray, r: np.ndarray, s: np.ndarray, rank: int) -> np.ndarray:
    """Singular values beyond ``rank`` of ``D_r^{1/2} L D_s^{1/2} Pi_s``, the projector written out."""
    root = np.sqrt(s)
    unit = root / np.linalg.norm(root)
    X = np.sqrt(r)[:, None] * L * root
    return np.linalg.svd(X - np.outer(X @ unit, unit), compute_uv=False)[rank:]


def _entropy(p: np.ndarray) -> float:
    positive = p[p > 0]
    return -float(positive @ np.log(positive))
