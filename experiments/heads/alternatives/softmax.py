"""The plain softmax head, as a member of the arena: ``phi`` is the identity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from experiments.heads.alternatives.kind import SoftmaxHeads
from experiments.heads.alternatives.parts import Parts
from experiments.heads.alternatives.pointwise import Pointwise
from theory import Head


@dataclass(frozen=True)
class Softmax(Pointwise):
    """``q = softmax(H W' + 1 b')``."""

    name = "softmax"
    summary = "softmax(H W' + b): log q has rank d up to row constants"

    def phi(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """A itself."""
        return A

    def derivative(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """One."""
        return np.ones_like(A)

    def embeddings(self, softmax: SoftmaxHeads) -> Iterator[tuple[str, Parts]]:
        """The fitted softmax head."""
        yield "softmax", plain(softmax(self.dim))

    def regauged(self, parts: Parts, rng: np.random.Generator) -> Parts:
        """``(H G, W G^-T)`` and a constant per row: ``W + 1 w'`` adds ``h_c . w`` to every logit of context c."""
        parts = super().regauged(parts, rng)
        return Parts(parts.S, parts.Wt + rng.standard_normal(self.columns), parts.theta)


def plain(head: Head) -> Parts:
    """A softmax head of NumPy arrays as parts."""
    Wt = head.W if head.b is None else np.concatenate([head.W, head.b[:, None]], axis=1)
    return Parts(np.asarray(head.H), np.asarray(Wt), np.zeros(0))
