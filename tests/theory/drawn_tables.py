"""Small tables and weights of many kinds from one seed, in which bounds find their hard cases.

Hypothesis draws the seed alone.  Its own integers favour 0 strongly: half of the heads would have no dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from synth import ContextualDistribution, strategies
from theory import HeadSpec

KINDS = ("gaussian", "counts", "low rank", "one extreme", "alike", "zipf")
SCALES = (1.0, 0.05, 0.3, 3.0)
Item = TypeVar("Item")


def seeded(make: Callable[[np.random.Generator], Item]) -> SearchStrategy[Item]:
    """What ``make`` makes of a generator seeded with eight bytes, which Hypothesis draws uniformly."""
    return st.binary(min_size=8, max_size=8).map(lambda seed: make(np.random.default_rng(list(seed))))


def one_of(rng: np.random.Generator, *items: Item) -> Item:
    """One of the items, each as often."""
    return items[int(rng.integers(len(items)))]


def between(rng: np.random.Generator, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``, each as often."""
    return int(rng.integers(least, most + 1))


def _logits(rng: np.random.Generator, kind: str, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Logits (C, V) of one kind: smooth ones, small counts with their ties, and the shapes that bounds find hard."""
    L = scale * rng.standard_normal(shape)
    if kind == "counts":
        L = np.log(rng.integers(1, strategies.COUNTS + 1, shape))
    elif kind == "low rank":
        rank = int(rng.integers(1, min(shape) + 1))
        L = scale * rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    elif kind == "one extreme":
        L[tuple(rng.integers(shape))] += rng.choice([-8.0, 8.0])
    elif kind == "alike":
        L = L[rng.integers(0, shape[0], shape[0])]
    elif kind == "zipf":
        L = L - np.log(1 + np.arange(shape[1]))
    return L


def _weights(rng: np.random.Generator, contexts: int) -> np.ndarray:
    """Context weights (C,): equal ones, small whole numbers, or spread ones."""
    drawn = (np.ones(contexts), rng.integers(1, 10, contexts), rng.dirichlet(np.full(contexts, 0.5)) + 1e-3)
    weights = drawn[int(rng.integers(3))].astype(np.float64)
    return weights / weights.sum()


def drawn_logits(rng: np.random.Generator, contexts: int, vocab: int) -> np.ndarray:
    """Logits (C, V) of any kind and scale."""
    return _logits(rng, one_of(rng, *KINDS), (contexts, vocab), one_of(rng, *SCALES))


def weighted(logits: np.ndarray, rng: np.random.Generator) -> ContextualDistribution:
    """The table of these logits, contexts weighted at random."""
    return ContextualDistribution.from_logits(logits, _weights(rng, len(logits)))


def shuffled(logits: np.ndarray, rng: np.random.Generator) -> ContextualDistribution:
    """Contexts and tokens in any order."""
    return weighted(logits[rng.permutation(len(logits))][:, rng.permutation(logits.shape[1])], rng)


def ranked_spec(rank: int, bias: bool) -> HeadSpec:
    """A class of that rank, with a bias if one fits."""
    return HeadSpec(rank - int(bias and rank > 0), bias and rank > 0)
