"""The gap of any kind of head as a function of its parts, for the descents of ``experiments.heads``.

    gap = sum_c pi_c sum_v p_cv (log p_cv - log q_cv),      in chunks of contexts

Curvature products are central differences of the exact gradient, two evaluations each: enough for a Newton certificate
to two digits.  NumPy, float64, one dense table P.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from experiments.heads.alternatives.kind import Kind
from experiments.heads.alternatives.parts import Parts
from experiments.heads.metric import regular
from experiments.heads.objective import Evaluation
from synth import ContextualDistribution

CHUNK_ENTRIES, CHUNK_ROWS = 2**18, 64
"""Entries of the tables of logits formed at once, unless that makes fewer rows than a matrix product needs."""

DIFFERENCE = np.finfo(np.float64).eps ** (1 / 3)
"""Relative step of the central differences."""


@dataclass(frozen=True, eq=False)
class AlternativeHead:
    """A kind of head and its parts; evaluates itself."""

    kind: Kind
    parts: Parts

    @property
    def dim(self) -> int:
        """Width d."""
        return self.kind.dim

    @property
    def bias(self) -> bool:
        """Whether a bias is present."""
        return self.kind.bias

    def log_q(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Log-probabilities for contexts ``start:stop``, (rows, V)."""
        return self.kind.log_q(self.parts.rows(start, len(self.parts.S) if stop is None else stop))

    def gap(self, distribution: ContextualDistribution) -> float:
        """``sum_c pi_c KL(p_c || q_c)``, nats per token above the entropy; +inf is possible.

        Raises ``ValueError`` when the shapes do not match.
        """
        target = distribution.on(np.zeros(1))
        found, needed = (len(self.parts.S), len(self.parts.Wt)), (target.contexts, target.vocab)
        if found != needed:
            raise ValueError(
                f"the head is for {found[0]} contexts x {found[1]} tokens, the distribution has {needed[0]} x "
                f"{needed[1]}; fit a head on this distribution"
            )
        costs = [target.table.divergence(self.log_q(start, stop), start, stop) for start, stop in self._chunks()]
        return float(target.weights @ np.concatenate(costs))

    @cached_property
    def logit_range(self) -> float:
        """The largest difference of two log-probabilities of one context."""
        return max(float(np.ptp(self.log_q(start, stop), axis=1).max()) for start, stop in self._chunks())

    def _chunks(self) -> Iterator[tuple[int, int]]:
        return chunks(len(self.parts.S), len(self.parts.Wt), self.kind)


def chunks(contexts: int, vocab: int, kind: Kind) -> Iterator[tuple[int, int]]:
    """Start and stop of chunks of contexts."""
    tables = max(1, kind.states // kind.dim)
    step = max(CHUNK_ROWS // tables, CHUNK_ENTRIES // (vocab * tables), 1)
    for start in range(0, contexts, step):
        yield start, min(start + step, contexts)


class AlternativeObjective:
    """The gap of heads of kind ``spec`` on a dense float64 table; ``ridge`` holds the states and W back."""

    xp = np

    def __init__(
        self, distribution: ContextualDistribution, spec: Kind, ridge: float = 0.0, chunk_entries: int = CHUNK_ENTRIES
    ) -> None:
        self.distribution, self.spec, self.ridge = distribution.on(np.zeros(1)), spec, ridge
        self.contexts, self.vocab, self.dim = distribution.contexts, distribution.vocab, spec.dim
        self.p, self.pi = np.asarray(self.distribution.p), np.asarray(self.distribution.weights)
        self.entropy = self.distribution.entropy
        self.base = 0.999 * np.asarray(self.distribution.marginal) + 0.001 / self.vocab
        self.evaluations = 0.0

    @property
    def work(self) -> float:
        """Three matrix products for each evaluation."""
        return 3 * self.evaluations

    @work.setter
    def work(self, products: float) -> None:
        self.evaluations = products / 3

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.spec.size(self.contexts, self.vocab)

    def rounding(self, gap: float) -> float:
        """What a difference of two gaps near ``gap`` may owe to rounding, nats."""
        return 8 * float(np.finfo(np.float64).eps) * (1.0 + abs(gap) + self.entropy)

    def dot(self, a: np.ndarray, b: np.ndarray) -> float:
        """Inner product of two packed vectors."""
        return float(a @ b)

    def unpack(self, x: np.ndarray) -> Parts:
        """The parts that a packed vector holds, as views."""
        first = self.contexts * self.spec.states
        second = first + self.vocab * self.spec.columns
        S = x[:first].reshape(self.contexts, self.spec.states)
        return Parts(S, x[first:second].reshape(self.vocab, self.spec.columns), x[second:])

    def head(self, x: np.ndarray) -> Any:
        """The head that a packed vector stands for."""
        return AlternativeHead(self.spec, self.unpack(x))

    # ------------------------------------------------------------------ value and gradient

    def value(self, x: np.ndarray) -> float:
        """The gap (ridge included) at x.  Cost: a third of an evaluation."""
        self.evaluations += 1 / 3
        parts, total = self.unpack(x), -self.entropy
        with np.errstate(over="ignore", invalid="ignore"):
            for start, stop in chunks(self.contexts, self.vocab, self.spec):
                log_q = self.spec.log_q(parts.rows(start, stop))
                total -= float(self.pi[start:stop] @ np.vecdot(self.p[start:stop], log_q))
            return total + self._penalty(parts)

    def evaluate(self, x: np.ndarray) -> Evaluation:
        """Gap, gradient and unigram law at x."""
        self.evaluations += 1
        parts, total = self.unpack(x), -self.entropy
        S, Wt, theta = np.empty_like(parts.S), np.zeros_like(parts.Wt), np.zeros_like(parts.theta)
        unigram = np.zeros(self.vocab)
        with np.errstate(over="ignore", invalid="ignore"):
            for start, stop in chunks(self.contexts, self.vocab, self.spec):
                p, pi = self.p[start:stop], self.pi[start:stop]
                slopes = self.spec.slopes(parts.rows(start, stop), p, pi)
                total -= float(pi @ np.vecdot(p, slopes.log_q))
                S[start:stop] = slopes.parts.S
                Wt += slopes.parts.Wt
                theta += slopes.parts.theta
                unigram += slopes.unigram
            if self.ridge:
                S += self.ridge * self.pi[:, None] * parts.S
                Wt[:, : self.dim] += self.ridge * self.base[:, None] * parts.Wt[:, : self.dim]
            return Evaluation(total + self._penalty(parts), Parts(S, Wt, theta).pack(), unigram)

    def _penalty(self, parts: Parts) -> float:
        if not self.ridge:
            return 0.0
        square = self.pi @ (parts.S**2).sum(axis=1) + self.base @ (parts.Wt[:, : self.dim] ** 2).sum(axis=1)
        return 0.5 * self.ridge * float(square)

    def hessian_product(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Hessian at x times ``direction``, by central differences of the gradient.  Cost: two evaluations."""
        length = float(np.linalg.norm(direction))
        step = DIFFERENCE * max(1.0, float(np.linalg.norm(x))) / (length or 1.0)
        above, below = self.evaluate(x + step * direction), self.evaluate(x - step * direction)
        return (above.gradient - below.gradient) / (2 * step)


class PartsMetric:
    """The kind's own rough curvature, made safely invertible."""

    name, scaling = "averaged", (1e-2, 1e2)

    def __init__(self, objective: AlternativeObjective, x: np.ndarray, at: Evaluation) -> None:
        self.objective = objective
        self.unigram = np.maximum(at.unigram, 1e-6 * objective.base)
        rough = objective.spec.curvature(objective.unpack(x), objective.pi, self.unigram)
        ridge = objective.ridge
        self.states = regular(np, rough.states + ridge * np.eye(len(rough.states)))
        self.tokens = regular(np, rough.tokens + ridge * np.eye(len(rough.tokens)))
        self.inverse_states, self.inverse_tokens = np.linalg.inv(self.states), np.linalg.inv(self.tokens)
        self.shared = rough.shared

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        """``B^-1 gradient``, packed (n,)."""
        parts = self.objective.unpack(gradient)
        S = (parts.S / self.objective.pi[:, None]) @ self.inverse_states
        return Parts(S, (parts.Wt / self.unigram[:, None]) @ self.inverse_tokens, parts.theta / self.shared).pack()
