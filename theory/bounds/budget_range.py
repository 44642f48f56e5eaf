"""What a limited range of logits costs whatever the rank: every row is fitted on its own.

Within range B a row of logits, shifted by the gauge, lies in the box [0, B]^V.  The divergence is convex in the logits,
so its least value over the box is a convex problem in each context.  By the separable identity

    min_a KL(p | softmax a) = min_{a, u} sum_v p_v rho(a_v - u - log p_v) + (zeros),

at the optimum ``a_v = clip(log p_v + u, 0, B)``, where zeros sit at 0 and u solves ``logsumexp(a(u)) = u``; the left
side grows no faster than u, so bisection finds it.  What is reported is not the divergence at the u found but a lower
bound there, from the tangent of the convex function at that point:

    KL(p | softmax b) >= KL(p | q) + sum_v (q_v - p_v)(b_v - a_v)
                      >= KL(p | q) + sum_v min_{0 <= b <= B} (q_v - p_v)(b - a_v).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.bound import Claim, NotApplicable, lower
from theory.head import HeadSpec
from theory.remember import remembered

BLOCK_ENTRIES = 2**20
"""Entries of the table looked at together."""

BISECTIONS = 60
"""Halvings of the interval [log V, log V + B] that holds u."""


@lower("range-floor", rounded=True)
def range_floor(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The least divergence of rows whose logits span at most B, whatever their rank.

    Setting: any distribution; heads with a limited logit range, or a norm or format that limits it (B = 2N, or twice
    the largest number).
    Statement: $g(d) \ge \sum_c \pi_c \min_{a \in [0,B]^V} KL(p_c \| \mathrm{softmax}(a))$; for a law uniform on k
    tokens the term is $\log(1 + (V-k) e^{-B}/k)$.
    Side: lower.
    Tight when: $d \ge \min(V - 1, C)$, where it is the floor of the class.
    Assumes: a limit on the class.  Rounding of the logits changes nothing.
    Units: nats per token.
    Cost: 60 passes over the table for each B.
    Fails as: not applicable without a limit; 0 when every row fits.
    Reference: the tangent bound of a convex function; "separable identity" in the notation page.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> value = catalogue["range-floor"](families.one_hot(5), HeadSpec(4, logit_range=3.0)).value
    >>> abs(value - math.log1p(4 * math.exp(-3))) < 1e-9
    True
    """
    widest = spec.effective_range
    if widest == math.inf:
        raise NotApplicable("needs a limited range of logits; set logit_range, norm or float_format in the HeadSpec")
    levels, costs = row_levels(distribution, widest)
    value = float(to_numpy(distribution.weights) @ costs)
    return Claim(value, certificate={"kind": "range", "levels": levels})


@remembered
def row_levels(distribution: ContextualDistribution, widest: float) -> tuple[np.ndarray, np.ndarray]:
    """The levels u (C,) and the tangent bounds on each row's divergence (C,)."""
    levels, costs = [], []
    for log_p in _row_blocks(distribution):
        low = np.full(len(log_p), math.log(log_p.shape[1]))
        high = low + widest
        for _ in range(BISECTIONS):
            u = (low + high) / 2
            above = _logsumexp(clipped(log_p, u, widest)) > u
            low, high = np.where(above, u, low), np.where(above, high, u)
        levels.append(high)
        costs.append(_tangent(log_p, clipped(log_p, high, widest), widest))
    return np.concatenate(levels), np.concatenate(costs)


def clipped(log_p: np.ndarray, levels: np.ndarray, widest: float) -> np.ndarray:
    """The logits ``clip(log p + u, 0, B)``; zeros of P sit at 0."""
    return np.clip(log_p + levels[:, None], 0.0, widest)


def _tangent(log_p: np.ndarray, logits: np.ndarray, widest: float) -> np.ndarray:
    """The tangent bound of each row, less its rounding, at least 0."""
    log_q = logits - _logsumexp(logits)[:, None]
    p, q = np.exp(log_p), np.exp(log_q)
    inside = np.isfinite(log_p)
    terms = np.where(inside, p * (np.where(inside, log_p, 0.0) - log_q), 0.0)
    slope = q - p
    room = np.minimum(-slope * logits, slope * (widest - logits))
    rounding = 16 * np.finfo(np.float64).eps * (np.abs(terms).sum(axis=1) + np.abs(room).sum(axis=1))
    return np.maximum(terms.sum(axis=1) + np.minimum(room, 0.0).sum(axis=1) - rounding, 0.0)


def _logsumexp(logits: np.ndarray) -> np.ndarray:
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))


def _row_blocks(distribution: ContextualDistribution) -> Iterator[np.ndarray]:
    step = max(1, BLOCK_ENTRIES // distribution.vocab)
    for start in range(0, distribution.contexts, step):
        yield to_numpy(distribution.table.block(start, min(start + step, distribution.contexts)))
