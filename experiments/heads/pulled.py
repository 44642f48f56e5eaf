"""The gap with a pull towards the class ``q >= e^-M p``, for the method of multipliers (Hestenes 1969, Powell 1969).

With ``E = log q - log p`` the class asks for ``E >= -M`` at every entry.  The objective is

    gap + factor/2 sum_cv pi_c base_v ( max(0, m_cv - M' - E_cv)^2 - m_cv^2 ),    m <- max(0, m - M' - E)

where ``m`` (the multipliers over their weights, so log errors) is renewed now and then: it holds the entries that press
on the limit, and the factor need not grow without end.  ``M'`` is a little below M, so that a descent can end inside
the class.  The derivative in the logits A is

    pi (q - p - pull + q sum_v pull),    pull_cv = factor base_v max(0, m_cv - M' - E_cv),

and ``base`` is the unigram law, so that the averaged metric suits the penalty too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from experiments.heads.cross_entropy import CHUNK_ENTRIES
from experiments.heads.objective import Evaluation, Objective
from synth import ContextualDistribution, logspace
from synth._array import Array
from theory import HeadSpec

MARGIN = 0.02
"""``M' = M (1 - MARGIN)``."""

FACTOR, STEEPEST = 0.3, 1e6
"""The first factor, and the largest."""


class Pulled(Objective):
    """The gap with the pull of the limit ``spec.max_underestimate``, nats; holds a table of multipliers (C, V).

    ``ValueError`` for a class without that limit.
    """

    def __init__(
        self, distribution: ContextualDistribution, spec: HeadSpec, chunk_entries: int = CHUNK_ENTRIES
    ) -> None:
        super().__init__(distribution, spec, 0.0, chunk_entries)
        if spec.max_underestimate is None:
            raise ValueError("the class has no limit to pull towards; give HeadSpec a max_underestimate, or use fit")
        self.most, self.limit, self.factor = spec.max_underestimate, (1 - MARGIN) * spec.max_underestimate, FACTOR
        self.multipliers: Array = self.xp.zeros_like(distribution.table.block(0, self.contexts))

    def _chunks(self, x: Array) -> Iterator[tuple[int, int, Array, Array]]:
        """For each chunk of contexts: where it starts and stops, ``log q``, and ``m - M' - E``, 0 where negative."""
        H, Wt = self.split(x)
        Ht = self.lift(H)
        for start, stop in self.ranges():
            log_q = logspace.log_softmax(Ht[start:stop, :] @ Wt.T)
            E = log_q - self.distribution.table.block(start, stop)
            yield start, stop, log_q, self.xp.clip(self.multipliers[start:stop, :] - self.limit - E, 0.0, None)
        self.work += 1

    def _cost(self, start: int, stop: int, log_q: Array, depth: Array) -> float:
        """Gap and penalty of a chunk."""
        squares = (depth**2 - self.multipliers[start:stop, :] ** 2) @ self.base
        costs = self.distribution.table.divergence(log_q, start, stop) + self.factor / 2 * squares
        return float(self.pi[start:stop] @ costs)

    def value(self, x: Array) -> float:
        """The gap with the pull at x.  Cost: one product."""
        return math.fsum(self._cost(*chunk) for chunk in self._chunks(x))

    def evaluate(self, x: Array) -> Evaluation:
        """The gap with the pull, its gradient, and the head's unigram law.  Cost: three products."""
        xp, table, (H, Wt) = self.xp, self.distribution.table, self.split(x)
        Ht, total = self.lift(H), 0.0
        gradient_H, gradient_W, unigram = xp.empty_like(H), xp.zeros_like(Wt), xp.zeros_like(self.base)
        for start, stop, log_q, depth in self._chunks(x):
            total += self._cost(start, stop, log_q, depth)
            q, pi = xp.exp(log_q), self.pi[start:stop]
            unigram += q.T @ pi
            pull = self.factor * self.base[None, :] * depth
            pressed = q * xp.sum(pull, axis=1, keepdims=True) - pull
            G = pi[:, None] * (table.residual(q, start, stop) + pressed)
            gradient_H[start:stop, :] = G @ Wt[:, : self.dim]
            gradient_W += G.T @ Ht[start:stop, :]
        self.work += 2
        return Evaluation(total, self.join(gradient_H, gradient_W), unigram)

    def renew(self, x: Array) -> None:
        """Take the multipliers that x asks for."""
        for start, stop, _, depth in self._chunks(x):
            self.multipliers[start:stop, :] = depth

    def steepen(self, growth: float) -> None:
        """Let the factor grow; the pull of the multipliers stays as it is."""
        grown = min(growth * self.factor, STEEPEST)
        self.multipliers = self.multipliers * (self.factor / grown)
        self.factor = grown
