"""Heads of rank r on frozen features, and what they lose against the full head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth import logspace
from synth._array import Array, namespace, to_numpy
from theory.frozen.problem import Block, FrozenProblem
from theory.head import Head


@dataclass(frozen=True, eq=False)
class FrozenHead:
    """The head with logits ``X B' A' + 1 b'``: ``A`` (V, r), ``B`` (r, D), ``b`` (V,) or ``None``."""

    A: Array
    B: Array
    b: Array | None

    @property
    def rank(self) -> int:
        """Rank r at most."""
        return int(self.A.shape[1])

    def logits(self, X: Array) -> Array:
        """Logits (n, V) on features (n, D)."""
        A = (X @ self.B.T) @ self.A.T
        return A if self.b is None else A + self.b[None, :]

    def on(self, X: Array) -> Head:
        """The head on these features: hidden states ``X B'`` (N, r), the shape in which bounds carry witnesses."""
        return Head(X @ self.B.T, self.A, self.b)


@dataclass(frozen=True, eq=False)
class Excess:
    """How a head differs from the full one, in nats per token; ``delta`` is the difference of their logits.

    ``gap``: ``sum_n pi_n KL(p_n || q_n)``.  ``second`` and ``third``: its Taylor terms at the full head,
    ``1/2 sum_n pi_n Var_{p_n}(delta_n)`` and ``1/6`` of the third cumulants.  ``curvature``: the gap over
    ``sum_n pi_n sum_v p_nv (log q_nv - log p_nv)^2``, 1/2 for small errors.  ``underestimate``: the smallest M with
    ``q >= e^-M p``.  ``error_range``: the largest range R of ``delta_n`` over tokens.  ``by_row``: KL of each row.
    """

    gap: float
    second: float
    third: float
    curvature: float
    underestimate: float
    error_range: float
    by_row: np.ndarray

    def mean_and_error(self, weights: Array) -> tuple[float, float]:
        """The gap and its standard error, the rows being a sample: ``sqrt(sum pi_n^2 (KL_n - gap)^2)``."""
        pi = to_numpy(weights)
        return self.gap, float(np.sqrt(np.sum(pi**2 * (self.by_row - self.gap) ** 2)))


def excess(problem: FrozenProblem, head: FrozenHead) -> Excess:
    """Evaluate ``head`` against the full head of ``problem``.  Cost: one pass, O(N V (D + r))."""
    parts = [_row_terms(block, head) for block in problem.blocks()]
    rows, second, third, square, low, high = (np.concatenate(column) for column in zip(*parts, strict=True))
    pi = to_numpy(problem.weights)
    return Excess(
        float(pi @ rows),
        float(pi @ second),
        float(pi @ third),
        float(pi @ rows) / float(pi @ square) if pi @ square > 0 else 0.5,
        max(0.0, float(low.max())),
        float(high.max()),
        rows,
    )


def _row_terms(block: Block, head: FrozenHead) -> tuple[np.ndarray, ...]:
    """KL, second and third order, squared error, largest underestimate and range of the error, each (n,)."""
    log_q = _log_q(block, head)
    xp = namespace(log_q)
    p, delta = xp.exp(block.log_p), log_q - block.log_p
    rows = divergence(block.log_p, log_q)
    mean = xp.sum(p * delta, axis=1)
    centred = delta - mean[:, None]
    second = xp.sum(p * centred * centred, axis=1) / 2
    third = xp.sum(p * centred * centred * centred, axis=1) / 6
    lowest = xp.min(delta, axis=1)
    return tuple(
        map(to_numpy, (rows, second, third, 2 * second + mean * mean, -lowest, xp.max(delta, axis=1) - lowest))
    )


def gap(problem: FrozenProblem, head: FrozenHead) -> float:
    """``sum_n pi_n KL(p_n || q_n)`` alone, nats per token."""
    total = 0.0
    for block in problem.blocks():
        rows = divergence(block.log_p, _log_q(block, head))
        total += float(block.weights @ namespace(rows).astype(rows, block.weights.dtype, copy=False))
    return total


def divergence(log_p: Array, log_q: Array) -> Array:
    """``KL(p || q)`` over the last axis; in float32, where the last digits are lost anyway, by the shorter formula."""
    xp = namespace(log_p)
    if log_p.dtype == xp.float64:
        return logspace.divergence(log_p, log_q)
    return xp.vecdot(xp.exp(log_p), log_p - log_q)


def _log_q(block: Block, head: FrozenHead) -> Array:
    """The head's log-probabilities (n, V) on a block, in the precision of its tables."""
    xp, dtype = namespace(block.log_p), block.log_p.dtype
    H, A = (xp.astype(part, dtype, copy=False) for part in (block.X @ head.B.T, head.A))
    logits = H @ A.T
    return logspace.log_softmax(logits if head.b is None else logits + xp.astype(head.b, dtype, copy=False)[None, :])
