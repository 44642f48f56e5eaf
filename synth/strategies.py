"""Public Hypothesis strategies: draw small worlds, and shrink them to the smallest that still shows a bug.

``distributions()`` draws from every family and from raw integer counts.  Shrinking goes towards few contexts and few
tokens, small counts in a raw table, and small parameters in a family::

    from hypothesis import given
    from synth import strategies

    @given(strategies.distributions())
    def test_entropy_is_at_most_log_vocab(distribution):
        assert distribution.entropy <= math.log(distribution.vocab) + 1e-12

Sizes default to at most six contexts and six tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from synth import families
from synth import spectra as profiles
from synth.distribution import ContextualDistribution

Distributions = SearchStrategy[ContextualDistribution]

COUNTS = 9
"""Largest integer count of a raw table."""


# ---------------------------------------------------------------------- pieces


@st.composite
def weights(draw: DrawFn, contexts: int) -> np.ndarray:
    """Positive context weights (contexts,) summing to one: small integers divided by their sum."""
    counts = draw(st.lists(st.integers(1, COUNTS), min_size=contexts, max_size=contexts))
    return np.array(counts) / sum(counts)


@st.composite
def spectra(draw: DrawFn, max_rank: int = 6) -> np.ndarray:
    """A singular-value profile of ``synth.spectra`` with 1 to ``max_rank`` values."""
    return profiles.profile(draw(st.sampled_from(list(profiles.catalogue))), draw(st.integers(1, max_rank)))


def dims(vocab: int) -> SearchStrategy[int]:
    """Head dimensions from 0 to ``vocab - 1``, where every head is exact.

    Alternatives, not an integer: Hypothesis draws the ends of a small range of integers far more often than the rest.
    """
    return st.one_of([st.just(dim) for dim in range(vocab)])


def head_specs(vocab: int) -> SearchStrategy[tuple[int, bool]]:
    """Pairs ``(dim, bias)`` that name an unbounded class of heads: ``HeadSpec(*pair)``."""
    return st.tuples(dims(vocab), st.booleans())


@st.composite
def token_streams(draw: DrawFn, max_length: int = 40, max_vocab: int = 4) -> tuple[np.ndarray, int]:
    """A stream of token numbers (1 to ``max_length`` of them) and its vocabulary size (1 to ``max_vocab``)."""
    vocab = draw(st.integers(1, max_vocab))
    stream = draw(st.lists(st.integers(0, vocab - 1), min_size=1, max_size=max_length))
    return np.array(stream, dtype=np.int64), vocab


# ---------------------------------------------------------------------- raw tables


@st.composite
def raw_distributions(
    draw: DrawFn, max_contexts: int = 6, max_vocab: int = 6, least_count: int = 0
) -> ContextualDistribution:
    """A table of small integer counts (each at least ``least_count``) over its row sums, with integer-ratio weights.

    Zeros occur; no row is empty.  Stored densely or sparsely, as drawn.
    """
    contexts, vocab = draw(st.integers(1, max_contexts)), draw(st.integers(1, max_vocab))
    row = st.lists(st.integers(least_count, COUNTS), min_size=vocab, max_size=vocab).filter(any)
    counts = np.array(draw(st.lists(row, min_size=contexts, max_size=contexts)), dtype=np.float64)
    pi = draw(weights(contexts))
    if draw(st.booleans()):
        return ContextualDistribution.from_counts(counts, pi)
    return ContextualDistribution.from_probabilities(counts / counts.sum(axis=1, keepdims=True), pi)


def positive_distributions(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Tables whose every probability is positive: raw ones, and those of the logit families."""
    sizes = (max_contexts, max_vocab)
    return st.one_of(
        raw_distributions(*sizes, least_count=1), low_rank(*sizes), zipf(*sizes), near_unigram(*sizes), mixture(*sizes)
    )


def distributions(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Any distribution: a raw table, or a member of any family."""
    return st.one_of(
        raw_distributions(max_contexts, max_vocab), *(family(max_contexts, max_vocab) for family in by_family.values())
    )


# ---------------------------------------------------------------------- one strategy per family


def seeds() -> SearchStrategy[int]:
    """Seeds of ``numpy.random.default_rng``."""
    return st.integers(0, 2**16)


def _contexts(most: int, least: int = 1) -> SearchStrategy[int]:
    return st.integers(least, max(most, least))


def _vocab(most: int) -> SearchStrategy[int]:
    return st.integers(2, max(most, 2))


def _scales() -> SearchStrategy[float]:
    return st.sampled_from([1.0, 0.1, 0.5, 2.0, 4.0])


def _exponents() -> SearchStrategy[float]:
    return st.sampled_from([0.0, 1.0, 0.5, 1.5])


def _concentrations() -> SearchStrategy[float]:
    return st.sampled_from([1.0, 0.1, 0.5, 5.0])


@st.composite
def low_rank(draw: DrawFn, max_contexts: int = 6, max_vocab: int = 6) -> ContextualDistribution:
    """Members of ``families.low_rank``, of every rank, spectrum and centring."""
    centred = draw(st.booleans())
    contexts, vocab = draw(_contexts(max_contexts, 1 + int(centred))), draw(_vocab(max_vocab))
    rank = draw(st.integers(1, min(contexts - int(centred), vocab - 1)))
    return families.low_rank(
        contexts,
        vocab,
        rank,
        spectrum=draw(st.sampled_from(list(profiles.catalogue))),
        scale=draw(_scales()),
        centred=centred,
        seed=draw(seeds()),
    )


def zipf(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Members of ``families.zipf``."""
    return st.builds(
        families.zipf,
        contexts=_contexts(max_contexts),
        vocab=_vocab(max_vocab),
        rank=st.integers(1, max(max_contexts, max_vocab)),
        scale=_scales(),
        exponent=_exponents(),
        seed=seeds(),
    )


def topics(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Members of ``families.topics``."""
    return st.builds(
        families.topics,
        contexts=_contexts(max_contexts),
        vocab=_vocab(max_vocab),
        topics=st.integers(1, max(max_contexts, max_vocab)),
        mixing=_concentrations(),
        concentration=_concentrations(),
        seed=seeds(),
    )


def mixture(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Members of ``families.mixture``."""
    return st.builds(
        families.mixture,
        contexts=_contexts(max_contexts),
        vocab=_vocab(max_vocab),
        components=st.integers(1, 4),
        rank=st.integers(1, 4),
        scale=_scales(),
        seed=seeds(),
    )


@st.composite
def sparse(draw: DrawFn, max_contexts: int = 6, max_vocab: int = 6) -> ContextualDistribution:
    """Members of ``families.sparse``."""
    contexts, vocab = draw(_contexts(max_contexts)), draw(_vocab(max_vocab))
    k = draw(st.integers(1, vocab))
    return families.sparse(contexts, vocab, k, draw(_concentrations()), draw(seeds()))


@st.composite
def all_k_subsets(draw: DrawFn, max_contexts: int = 6, max_vocab: int = 6) -> ContextualDistribution:
    """Members of ``families.all_k_subsets``; the number of contexts follows from the vocabulary."""
    vocab = draw(st.integers(2, max(2, min(max_contexts, max_vocab))))
    return families.all_k_subsets(vocab, draw(st.sampled_from(sorted({1, vocab - 1, vocab}))))


def one_hot(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Members of ``families.one_hot``."""
    return st.builds(families.one_hot, _vocab(min(max_contexts, max_vocab)))


def zipf_counts(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Members of ``families.zipf_counts``."""
    return st.builds(
        families.zipf_counts,
        contexts=_contexts(max_contexts),
        vocab=_vocab(max_vocab),
        draws=st.integers(1, 2 * max_vocab),
        exponent=_exponents(),
        own=st.sampled_from([0.5, 0.0, 1.0]),
        seed=seeds(),
    )


@st.composite
def markov(draw: DrawFn, max_contexts: int = 6, max_vocab: int = 6) -> ContextualDistribution:
    """Members of ``families.markov`` with at most ``max_contexts`` histories."""
    vocab = draw(_vocab(max_vocab))
    history = draw(st.sampled_from([n for n in range(4) if vocab**n <= max_contexts] or [0]))
    return families.markov(vocab, draw(st.integers(1, 4)), history, draw(_concentrations()), draw(seeds()))


def near_unigram(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Members of ``families.near_unigram``."""
    return st.builds(
        families.near_unigram,
        contexts=_contexts(max_contexts, 2),
        vocab=_vocab(max_vocab),
        eps=st.sampled_from([0.1, 0.01, 1.0]),
        exponent=_exponents(),
        seed=seeds(),
    )


def staircase(max_contexts: int = 6, max_vocab: int = 6) -> Distributions:
    """Members of ``families.staircase``."""
    return st.builds(families.staircase, _vocab(min(max_contexts, max_vocab)), _exponents())


@st.composite
def ngram(draw: DrawFn, max_contexts: int = 6, max_vocab: int = 6) -> ContextualDistribution:
    """Members of ``families.ngram`` on drawn token streams of at most ``max_contexts`` different histories."""
    stream, vocab = draw(token_streams(4 * max_contexts, max_vocab))
    order = draw(st.integers(1, min(5, len(stream))))
    most = max_contexts + order - 1 if order > 1 else len(stream)
    return families.ngram(stream[:most], order, vocab)


by_family: dict[str, Callable[..., Distributions]] = {
    "low_rank": low_rank,
    "zipf": zipf,
    "topics": topics,
    "mixture": mixture,
    "sparse": sparse,
    "all_k_subsets": all_k_subsets,
    "one_hot": one_hot,
    "zipf_counts": zipf_counts,
    "markov": markov,
    "near_unigram": near_unigram,
    "staircase": staircase,
    "ngram": ngram,
}
"""One strategy factory ``(max_contexts, max_vocab)`` per family."""
