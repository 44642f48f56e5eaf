"""Frozen-feature problems for the tests: drawn at random, and a few with a known answer."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from theory.frozen import FrozenHead, FrozenProblem
from theory.recheck.frozen import Features


def problem(seed, rows=40, width=3, vocab=6, scale=1.0, bias=True):
    """Gaussian features off centre, a Gaussian head, uneven weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, width)) * rng.uniform(0.3, 2.0, width) + rng.standard_normal(width)
    W = scale * rng.standard_normal((vocab, width))
    b = scale * rng.standard_normal(vocab) if bias else None
    return FrozenProblem.of(X, W, b, rng.uniform(0.5, 1.5, rows))


def problems(largest_scale=2.0):
    """A strategy: 8 to 40 rows, 1 to 4 features, 2 to 7 tokens, with and without a bias."""
    return st.builds(
        problem,
        st.integers(0, 2**20),
        st.integers(8, 40),
        st.integers(1, 4),
        st.integers(2, 7),
        st.floats(0.05, largest_scale),
        st.booleans(),
    )


def random_head(world, rank, seed, nearness):
    """A random head of this rank: the full one, cut by a random projection of features and shaken."""
    rng = np.random.default_rng(seed)
    B = np.linalg.qr(rng.standard_normal((world.width, world.width)))[0][:rank]
    A = world.W @ B.T + nearness * rng.standard_normal((world.vocab, rank))
    b = world.b + nearness * rng.standard_normal(world.vocab) if world.bias else None
    return FrozenHead(A, B, b)


def features(world):
    """The problem as the re-check takes it."""
    return Features(world.X, world.W, world.b, world.weights)
