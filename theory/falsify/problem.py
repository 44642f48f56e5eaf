"""One place where a claim is tried: a small table and a class of heads; and the moves that change it.

As unknowns of an ascent a table is the vector ``x = [logits on the support, log weights]``; both are normalised again
by softmax, so any finite x is a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth import ContextualDistribution, logspace
from synth._array import to_numpy
from theory.head import HeadSpec

LARGEST_LOGIT = 30.0
"""Range within a context to which an ascent keeps its logits: e^-30 is far below what any bound resolves."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A distribution and a class of heads."""

    distribution: ContextualDistribution
    spec: HeadSpec

    @cached_property
    def log_p(self) -> np.ndarray:
        """Log-probabilities (C, V) on the host, -inf for zeros."""
        return to_numpy(self.distribution.log_p).astype(np.float64)

    @cached_property
    def weights(self) -> np.ndarray:
        """Context weights (C,) on the host."""
        return to_numpy(self.distribution.weights).astype(np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """(C, V)."""
        return self.distribution.contexts, self.distribution.vocab

    @property
    def support(self) -> np.ndarray:
        """Where probabilities are positive (C, V)."""
        return np.isfinite(self.log_p)

    @cached_property
    def unknowns(self) -> np.ndarray:
        """The vector x of this table."""
        return np.concatenate([self.log_p[self.support], np.log(self.weights)])

    def at(self, x: np.ndarray) -> Problem:
        """The problem with the same support and class whose table is x, logits kept within ``LARGEST_LOGIT``."""
        logits = np.full(self.shape, -np.inf)
        cut = len(x) - len(self.weights)
        logits[self.support] = x[:cut]
        top = logits.max(axis=1, keepdims=True)
        logits = np.where(self.support, np.maximum(logits, top - LARGEST_LOGIT), -np.inf)
        log_weights = np.maximum(x[cut:], x[cut:].max() - LARGEST_LOGIT)
        return problem(logits, np.exp(logspace.log_softmax(log_weights)), self.spec)


def problem(logits: np.ndarray, weights: np.ndarray, spec: HeadSpec) -> Problem:
    """The problem with these logits (C, V), normalised by softmax, and weights (C,) of any positive sum."""
    return Problem(ContextualDistribution.from_logits(logits, weights / weights.sum()), spec)
