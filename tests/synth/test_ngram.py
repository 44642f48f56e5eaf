"""Empirical conditionals of a stream, against a slow dictionary counter."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth import families, strategies
from tests.tolerances import rounding


def slow_counts(stream, order):
    """History -> counts of the token that follows."""
    table = defaultdict(Counter)
    for end in range(order - 1, len(stream)):
        table[tuple(stream[end - order + 1 : end])][stream[end]] += 1
    return dict(sorted(table.items()))


@given(strategies.token_streams(), st.integers(1, 5), st.integers(1, 3))
def test_the_table_is_that_of_a_dictionary_counter(drawn, order, min_count):
    stream, vocab = drawn
    slow = slow_counts(stream.tolist(), order)
    kept = {history: counts for history, counts in slow.items() if counts.total() >= min_count}
    if not kept:
        with pytest.raises(ValueError, match=r"lower (order|min_count)"):
            families.ngram(stream, order, vocab, min_count)
        return
    distribution = families.ngram(stream, order, vocab, min_count)
    totals = np.array([counts.total() for counts in kept.values()])
    P = np.array([[counts[token] / counts.total() for token in range(vocab)] for counts in kept.values()])
    assert distribution.is_sparse
    assert np.max(np.abs(distribution.p - P)) <= rounding(1, vocab)
    assert np.max(np.abs(distribution.weights - totals / totals.sum())) <= rounding(1, len(totals))
    told = distribution.known.parameters
    assert (told["contexts_kept"], told["contexts_total"]) == (len(kept), len(slow))
    assert abs(told["coverage"] - totals.sum() / (len(stream) - order + 1)) <= rounding(1, 1)


def test_a_stream_of_a_known_chain_gives_its_law_back():
    """Bigram frequencies of a sampled stream are within five standard errors of the chain that made it."""
    rng = np.random.default_rng(0)
    T = rng.dirichlet(np.ones(4), size=4)
    stream = [0]
    for u in rng.random(40_000):
        stream.append(int(np.searchsorted(np.cumsum(T[stream[-1]]), u)))
    distribution = families.ngram(stream, 2, 4)
    visits = distribution.weights * 40_000
    assert np.all(np.abs(distribution.p - T) <= 5 * np.sqrt(T * (1 - T) / visits[:, None]))


def test_a_long_stream_of_high_order_is_counted_in_seconds():
    rng = np.random.default_rng(1)
    stream = rng.zipf(1.5, size=200_000) % 50_000
    started = time.perf_counter()
    distribution = families.ngram(stream, 5, 50_000)
    assert time.perf_counter() - started < 10
    assert distribution.known.parameters["coverage"] == 1.0
    assert distribution.vocab == 50_000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: families.ngram([], 1, 3), "tokens have shape (0,); a non-empty one-dimensional stream is needed"),
        (lambda: families.ngram([[1]], 1, 3), "tokens have shape (1, 1)"),
        (lambda: families.ngram([0.5], 1, 3), "tokens have dtype float64; integer token numbers are needed"),
        (lambda: families.ngram([0, 3], 1, 3), "token 3 lies outside 0..2; raise vocab"),
        (lambda: families.ngram([0, -1], 1, 3), "token -1 lies outside 0..2"),
        (lambda: families.ngram([0, 1], 3, 3), "the stream has 2 tokens, an n-gram of order 3 needs 3; lower order"),
        (lambda: families.ngram([0, 1], 6, 3), "order must be an integer from 1 to 5"),
        (lambda: families.ngram([0, 1, 0], 2, 3, 4), "no history occurs 4 times, the largest count is 1"),
        (lambda: families.ngram([0, 1], 1, 3, 0), "min_count must be an integer at least 1, found 0"),
    ],
)
def test_bad_streams_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
