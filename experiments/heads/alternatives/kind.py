"""What every head of the arena can do: one abstract class, of which each file beside this one holds a member.

A kind of head has a width d (columns of W), some numbers for each context, and maybe a few numbers for all.  It turns
them into ``log q`` and knows its derivatives in closed form, so no automatic differentiation is needed: a few lines
each, checked against one in the tests, and several times faster than a graph of K tables of logits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np

from experiments.heads.alternatives.parts import Curvature, Parts, Scores, Slopes
from synth import ContextualDistribution
from synth._check import integer
from theory import Head


class Containment(Enum):
    """How the softmax heads of the same width and bias lie in a kind; each member explains itself."""

    EXACT = "every softmax head is a member"
    CLOSURE = "every softmax head is a limit of members, as logits grow without end; in general it is none"


SoftmaxHeads = Callable[[int], Head]
"""A fitted softmax head of any width up to d, with or without a bias as the kind has."""


@dataclass(frozen=True)
class Kind(ABC):
    """A class of heads of width ``dim``, with or without ``bias``.

    ``name`` is its name in the catalogue, ``source`` the paper, ``containment`` how it relates to softmax.
    """

    dim: int
    bias: bool = False

    name: ClassVar[str]
    summary: ClassVar[str]
    containment: ClassVar[Containment] = Containment.EXACT

    def __post_init__(self) -> None:
        integer("dim", self.dim, 1)
        if not isinstance(self.bias, bool):
            raise ValueError(f"bias must be True or False, found {self.bias!r}; choose one")

    # ------------------------------------------------------------------ sizes

    @property
    def columns(self) -> int:
        """Columns e of ``Wt``: d, plus one for a bias."""
        return self.dim + int(self.bias)

    @property
    def rank(self) -> int:
        """The same number: the rank of one matrix of logits."""
        return self.columns

    @property
    def states(self) -> int:
        """Numbers s that belong to each context."""
        return self.dim

    @property
    def shared(self) -> int:
        """Numbers m that belong to all contexts and tokens."""
        return 0

    def size(self, contexts: int, vocab: int) -> int:
        """Number of unknowns ``C s + V e + m``."""
        return contexts * self.states + vocab * self.columns + self.shared

    # ------------------------------------------------------------------ law

    @abstractmethod
    def log_q(self, parts: Parts) -> np.ndarray:
        """Log-probabilities (rows, V)."""

    @abstractmethod
    def slopes(self, parts: Parts, p: np.ndarray, pi: np.ndarray) -> Slopes:
        """``log q`` and the derivatives of ``-sum_c pi_c sum_v p_cv log q_cv``; p (rows, V), pi (rows,)."""

    @abstractmethod
    def curvature(self, parts: Parts, pi: np.ndarray, unigram: np.ndarray) -> Curvature:
        """A cheap stand-in for the curvature, for the metric of the descent."""

    @abstractmethod
    def scores(self, parts: Parts) -> Scores:
        """The derivatives of ``log q`` of which Gauss-Newton blocks are made."""

    # ------------------------------------------------------------------ where a fit begins

    @abstractmethod
    def embeddings(self, softmax: SoftmaxHeads) -> Iterator[tuple[str, Parts]]:
        """Members whose gap is that of a softmax head (of width d; see ``containment``), by name."""

    def closed_forms(self, distribution: ContextualDistribution) -> Iterator[tuple[str, Parts]]:
        """Members that need no fit, by name; none unless the kind knows some."""
        yield from ()

    def departures(self, softmax: SoftmaxHeads, rng: np.random.Generator) -> Iterator[tuple[str, Parts]]:
        """Where descents begin; the embeddings, unless one of them is a point that a descent cannot leave."""
        yield from self.embeddings(softmax)

    def random(self, contexts: int, log_unigram: np.ndarray, rng: np.random.Generator) -> Parts:
        """Gaussian states, a small Gaussian W, the unigram law as bias."""
        S = rng.standard_normal((contexts, self.states))
        Wt = 0.02 * rng.standard_normal((len(log_unigram), self.columns))
        if self.bias:
            Wt[:, self.dim] += log_unigram
        return Parts(S, Wt, self.neutral())

    def neutral(self) -> np.ndarray:
        """Shared numbers (m,) to begin with."""
        return np.zeros(self.shared)

    # ------------------------------------------------------------------ symmetries

    @abstractmethod
    def regauged(self, parts: Parts, rng: np.random.Generator) -> Parts:
        """Another set of parts for the same head: a random one of its symmetries."""

    def grown(self, smaller: Kind, parts: Parts, rng: np.random.Generator) -> Parts:
        """A head of the same kind and smaller width, its new columns of W zero and its new states random."""
        S = rng.standard_normal((len(parts.S), self.dim - smaller.dim))
        zeros = np.zeros((len(parts.Wt), self.dim - smaller.dim))
        Wt = np.concatenate([parts.Wt[:, : smaller.dim], zeros, parts.Wt[:, smaller.dim :]], axis=1)
        return Parts(np.concatenate([parts.S, S], axis=1), Wt, parts.theta)
