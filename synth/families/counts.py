"""Counts of tokens drawn for each context: the sparse law of a large text, without the text."""

from __future__ import annotations

import numpy as np

from synth._check import generator, integer, nonnegative, plain
from synth.distribution import ContextualDistribution
from synth.known import Known


def zipf_counts(
    contexts: int = 1000,
    vocab: int = 500,
    draws: int = 21,
    exponent: float = 1.0,
    own: float = 0.5,
    seed: int = 0,
) -> ContextualDistribution:
    """Relative frequencies of ``draws`` independent tokens for each context; stored sparsely, equal weights.

    A token has the law ``v^-exponent`` on 1..V; with probability ``own`` it is then moved on by a step that belongs to
    its context, drawn uniformly from 0..V - 1, so that contexts have favourites of their own.  At V = 32,000 the
    default draws see about 20 different tokens.  Nothing is known of the floor beyond what every distribution knows
    of its supports.  O(C draws) time and memory.
    """
    parameters = plain(locals())
    integer("contexts", contexts, 1)
    integer("vocab", vocab, 2)
    integer("draws", draws, 1)
    if not 0 <= own <= 1:
        raise ValueError(f"own must be a probability, found {own!r}; choose it from 0 to 1")
    from scipy.sparse import csr_array

    rng = generator(seed)
    law = np.cumsum(np.arange(1, vocab + 1) ** -nonnegative("exponent", exponent))
    tokens = np.searchsorted(law, law[-1] * rng.random((contexts, draws)), side="right")
    moved = rng.random((contexts, draws)) < own
    tokens = (tokens + moved * rng.integers(0, vocab, (contexts, 1))) % vocab
    starts = np.arange(0, contexts * draws + 1, draws)
    counts = csr_array((np.ones(contexts * draws), tokens.ravel(), starts), shape=(contexts, vocab))
    return ContextualDistribution.from_counts(counts, known=Known("zipf_counts", parameters))
