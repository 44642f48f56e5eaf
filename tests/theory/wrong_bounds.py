"""Ten bounds that are wrong on purpose, each beside its repair; and the one change that makes the difference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth import ContextualDistribution, logspace, moves
from synth._array import to_numpy
from theory import HeadSpec, catalogue
from theory.bound import require_positive
from theory.falsify import Function


@dataclass(frozen=True)
class Wrong:
    """A wrong bound, its side, its repair, and the mistake in words."""

    name: str
    side: str
    mistake: str
    wrong: Function
    right: Function


def parts(distribution: ContextualDistribution) -> tuple[np.ndarray, np.ndarray]:
    """``L = log P`` (C, V), positive, and the weights."""
    require_positive(distribution, "log-probabilities")
    return to_numpy(distribution.log_p), to_numpy(distribution.weights)


def quarter_tail(constant: float = 0.25, weighted: bool = True) -> Function:
    """Smoothness: ``constant * tail_d(D_pi^{1/2} L J)``."""

    def bound(distribution: ContextualDistribution, spec: HeadSpec) -> float:
        L, pi = parts(distribution)
        used = pi if weighted else np.full(len(pi), 1 / len(pi))
        M = L - L.mean(axis=1, keepdims=True)
        sigma = np.linalg.svd(np.sqrt(used)[:, None] * M, compute_uv=False)
        return constant * float((sigma[spec.dim :] ** 2).sum())

    return bound


def hoeffding(constant: float = 1 / 8) -> Function:
    """``KL <= R^2 / 8`` for the uniform head, R the range of a row of log P: a bound on g(0), hence on every g(d)."""

    def bound(distribution: ContextualDistribution, spec: HeadSpec) -> float:
        L, pi = parts(distribution)
        return constant * float(pi @ np.ptp(L, axis=1) ** 2)

    return bound


@dataclass(frozen=True)
class Concave:
    """Majorization on the whole table with ``r = pi``, ``s = min_c p``, and one thing to get wrong at a time."""

    factor: float = 1.0
    shift: int = 0
    centred: bool = True
    counts_bias: bool = True
    column: Callable = np.min

    def __call__(self, distribution: ContextualDistribution, spec: HeadSpec) -> float:
        L, pi = parts(distribution)
        s = self.column(np.exp(L), axis=0) * (1 - 1e-12)
        M = L - (L @ s)[:, None] / s.sum() if self.centred else L
        sigma = np.linalg.svd(np.sqrt(pi)[:, None] * M * np.sqrt(s), compute_uv=False)
        sigma = np.maximum(sigma - 1e-13 * (1 + sigma[0]), 0)
        start = spec.dim + (int(spec.bias) if self.counts_bias else 0) - self.shift
        omega = pi.min() * s.min()
        return self.factor * omega * float(logspace.rho(-sigma[max(start, 0) :] / math.sqrt(omega)).sum())


def conditioned(distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The law conditioned on all tokens but the last, without its mass."""
    require_positive(distribution, "conditional laws")
    if distribution.vocab < 3 or spec.dim >= distribution.vocab:
        return 0.0
    inner, _ = moves.restrict_tokens(distribution, list(range(distribution.vocab - 1)))
    return Concave()(inner, spec)


def conditioned_with_mass(distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The same, times the mass."""
    require_positive(distribution, "conditional laws")
    if distribution.vocab < 3 or spec.dim >= distribution.vocab:
        return 0.0
    _, mass = moves.restrict_tokens(distribution, list(range(distribution.vocab - 1)))
    return mass * conditioned(distribution, spec)


def supports(tokens_per_dimension: int, short: int = 0) -> Function:
    """Zero floor from ``2k - short`` dimensions on."""

    def bound(distribution: ContextualDistribution, spec: HeadSpec) -> float | None:
        k = int(distribution.support_sizes.max())
        return 0.0 if spec.dim >= tokens_per_dimension * k - short else None

    return bound


def floor_constant(constant: float) -> Function:
    """The published floor ``a / (2 e^2) sum min(sigma^2, sqrt(m) sigma)`` with another constant."""

    def bound(distribution: ContextualDistribution, spec: HeadSpec) -> float:
        return constant * 2 * math.e**2 * catalogue["probability-floor"](distribution, spec).value

    return bound


RIGHT = Concave()
WRONG = (
    Wrong("smoothness x 0.8", "upper", "constant 20 % too small", quarter_tail(0.2), quarter_tail()),
    Wrong("Hoeffding x 0.95", "upper", "constant 5 % too small", hoeffding(0.95 / 8), hoeffding()),
    Wrong("majorization x 1.05", "lower", "constant 5 % too large", Concave(factor=1.05), RIGHT),
    Wrong("quarter tail below", "lower", "an upper bound claimed as a lower one", quarter_tail(), RIGHT),
    Wrong("not centred", "lower", "the gauge of softmax left in", Concave(centred=False), RIGHT),
    Wrong("sigma_d", "lower", "the tail begins one singular value early", Concave(shift=1), RIGHT),
    Wrong("bias forgotten", "lower", "a bias adds one to the rank", Concave(counts_bias=False), RIGHT),
    Wrong("weights ignored", "upper", "contexts averaged without pi", quarter_tail(weighted=False), quarter_tail()),
    Wrong("max for min", "lower", "s_v = max_c p_cv is no minorant", Concave(column=np.max), RIGHT),
    Wrong("mass forgotten", "lower", "p(T) left out of the chain rule", conditioned, conditioned_with_mass),
    Wrong("2k - 1 dimensions", "upper", "supports of k tokens need 2k without a bias", supports(2, 1), supports(2)),
    Wrong(
        "floor x 1.1",
        "lower",
        "the best constant, 1/2, exceeded by 10 %",
        floor_constant(0.55),
        floor_constant(1 / (2 * math.e**2)),
    ),
)
