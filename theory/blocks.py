"""Positive blocks of a table: contexts and tokens between which no probability is zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy

BLOCKS = 6
"""Nested blocks offered."""

BLOCK_ENTRIES = 2**20
"""Entries of the largest block taken out of a table; beyond, the contexts of least weight are left out."""


def positive_blocks(distribution: ContextualDistribution, rank: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Nested blocks (contexts, tokens): tokens that most contexts have first, contexts that have all the tokens."""
    present, least = _token_statistics(distribution)
    order = np.lexsort((-least, -present))
    depth = _leading_tokens(distribution, order)
    weights = to_numpy(distribution.weights)
    for size in np.unique(np.geomspace(rank + 2, max(rank + 2, depth.max()), BLOCKS).round().astype(np.int64))[::-1]:
        contexts = np.flatnonzero(depth >= size)
        cap = max(rank + 2, BLOCK_ENTRIES // size)
        if len(contexts) > cap:
            contexts = np.sort(contexts[np.argsort(-weights[contexts], kind="stable")[:cap]])
        if len(contexts) > rank:
            yield contexts, np.sort(order[:size])


def _token_statistics(distribution: ContextualDistribution) -> tuple[np.ndarray, np.ndarray]:
    """How many contexts have each token, and its least positive log-probability; both (V,)."""
    present, least = np.zeros(distribution.vocab, dtype=np.int64), np.full(distribution.vocab, np.inf)
    for rows in _row_blocks(distribution):
        inside = np.isfinite(rows)
        present += inside.sum(axis=0)
        least = np.minimum(least, np.where(inside, rows, np.inf).min(axis=0))
    return present, least


def _leading_tokens(distribution: ContextualDistribution, order: np.ndarray) -> np.ndarray:
    """For each context, how many tokens in the given order are positive before the first zero, (C,)."""
    depths = []
    for rows in _row_blocks(distribution):
        inside = np.isfinite(rows[:, order])
        depths.append(np.where(inside.all(axis=1), inside.shape[1], inside.argmin(axis=1)))
    return np.concatenate(depths)


def _row_blocks(distribution: ContextualDistribution) -> Iterator[np.ndarray]:
    """The table on the host, a block of contexts at a time."""
    step = max(1, BLOCK_ENTRIES // distribution.vocab)
    for start in range(0, distribution.contexts, step):
        yield to_numpy(distribution.table.block(start, min(start + step, distribution.contexts)))
