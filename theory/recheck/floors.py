"""What a certificate proves of a lower side: one small function for each kind, the value computed from the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.head import HeadSpec
from theory.recheck.rounding import widest_range
from theory.recheck.table import Mismatch, entropy, index_set, minorant, positive_table, rows_of, tail_values


def unigram(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The floor at dimension 0, ``log V - H(P)`` or the mutual information."""
    if spec.dim != 0:
        raise Mismatch("the unigram law is the floor at dimension 0 only")
    terms, marginal = [], np.zeros(distribution.vocab)
    weights = to_numpy(distribution.weights).astype(np.float64)
    for weight, row in zip(weights, rows_of(distribution), strict=True):
        marginal += weight * np.exp(row)
        terms.append(-weight * entropy(np.exp(row)))
    top = entropy(marginal) if spec.bias else math.log(distribution.vocab)
    return max(0.0, top + math.fsum(terms))


def majorization(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The concave cost of the tail values on the named block."""
    contexts = index_set(certificate.get("contexts"), distribution.contexts, "contexts")
    tokens = index_set(certificate.get("tokens"), distribution.vocab, "tokens")
    L, weights = positive_table(distribution, contexts, tokens)
    r, s = minorant(certificate, np.log(weights)[:, None] + L)
    omega = float(r.min()) * float(s.min())
    if omega == 0:
        return 0.0
    t = tail_values(L, r, s, spec.rank) / math.sqrt(omega)
    cost = np.where(t < 1e-3, t**2 * (0.5 - t / 6 + t**2 / 24), np.exp(-t) - 1 + t)
    return omega * float(cost.sum())


def probability_floor(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The cost of the tail values where no probability is below the least one."""
    L, weights = positive_table(distribution)
    sigma = tail_values(L, weights, np.ones(L.shape[1]), spec.rank)
    costs = np.where(sigma**2 < weights.min(), sigma**2, math.sqrt(weights.min()) * sigma)
    return math.exp(float(L.min()) - 2) / 2 * float(costs.sum())


def quadratic(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The quadratic bound for limited heads: minorant of the weights times their curvature, then the tail energy."""
    L, weights = positive_table(distribution)
    limits = [np.full_like(L, math.inf if spec.max_underestimate is None else spec.max_underestimate)]
    widest = widest_range(spec)
    if widest < math.inf:
        limits.append(np.broadcast_to(widest + (L.max(axis=1) - L.min(axis=1))[:, None], L.shape))
        rest = math.log(L.shape[1] - 1) if L.shape[1] > 1 else -math.inf
        limits.append(np.logaddexp(0.0, rest + widest) + L)
    M = np.clip(np.min(limits, axis=0), -30.0, None)
    if not np.all(np.isfinite(M)):
        raise Mismatch("the quadratic bound needs heads with a limit")
    far = np.where(np.abs(M) < 0.1, 1.0, M)
    series = sum((-M) ** k / math.factorial(k + 2) for k in range(10))
    kappa = np.where(np.abs(M) < 0.1, series, (np.expm1(-far) + far) / far**2)
    r, s = minorant(certificate, np.log(weights)[:, None] + L + np.log(kappa))
    return float((tail_values(L, r, s, spec.rank) ** 2).sum())


def all_subsets(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """What one inseparable subset costs, every subset being a context of its own."""
    k, vocab = int(certificate.get("k", 0)), distribution.vocab
    if k < 1 or vocab < 3 * k or spec.rank >= 2 * k:
        raise Mismatch(f"all {k}-subsets of {vocab} tokens bound no head of rank {spec.rank}")
    weights = to_numpy(distribution.weights).astype(np.float64)
    mass: dict[tuple[int, ...], float] = {}
    for weight, row in zip(weights, rows_of(distribution), strict=True):
        p = np.exp(row)
        if np.count_nonzero(p) == k and p.max() <= (1 + 1e-12) / k and p[p > 0].min() >= (1 - 1e-12) / k:
            key = tuple(np.flatnonzero(p).tolist())
            mass[key] = mass.get(key, 0.0) + float(weight)
    missing = next((subset for subset in combinations(range(vocab), k) if subset not in mass), None)
    if missing is not None:
        raise Mismatch(f"no context is uniform on the tokens {missing}")
    return min(mass.values()) * math.log(2) / k
