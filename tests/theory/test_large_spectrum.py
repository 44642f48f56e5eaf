"""Tails of sparse matrices: exact against a dense decomposition, certified against exact, and the Zipf null."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from tests.tolerances import rounding
from theory import large_spectrum
from theory.large_spectrum import FAILURE, Gram, certified_tails, column_tails, exact_tails
from theory.spectrum import singular_values, tail_energies, w_error
from theory.zipf import one_hot_share, zipf_w_error

seeds = st.integers(0, 2**32 - 1)


def ngram_like(seed, contexts=120, vocab=40, one_hot=0.5, exponent=1.2):
    """Rows of a few Zipfian tokens with random counts, normalised; the given share of them one-hot."""
    rng = np.random.default_rng(seed)
    law = np.arange(1, vocab + 1) ** -exponent
    M = np.zeros((contexts, vocab))
    for row in M:
        tokens = rng.choice(vocab, size=1 if rng.random() < one_hot else rng.integers(2, 8), p=law / law.sum())
        np.add.at(row, tokens, 1.0)
    return M / M.sum(axis=1, keepdims=True)


def dense_tails(M, dims):
    return np.asarray(tail_energies(singular_values(M)))[np.minimum(dims, min(M.shape))]


@given(seeds, st.floats(0, 1))
def test_the_gram_matrix_is_that_of_the_matrix(seed, one_hot):
    M = ngram_like(seed, 30, 12, one_hot)
    gram, X = Gram.of(csr_array(M)), np.random.default_rng(seed).standard_normal((12, 3))
    np.testing.assert_allclose(gram.dense(), M.T @ M, rtol=0, atol=rounding(30, 30))
    np.testing.assert_allclose(gram @ X, M.T @ (M @ X), rtol=0, atol=rounding(100, 300))
    np.testing.assert_allclose(gram.diagonal, np.sum(M * M, axis=0), rtol=0, atol=rounding(30, 30))
    assert abs(gram.trace - np.sum(M * M)) <= rounding(30, 300)


def test_a_product_in_blocks_is_the_same(monkeypatch):
    gram, X = Gram.of(csr_array(ngram_like(3))), np.random.default_rng(0).standard_normal((40, 5))
    whole = gram @ X
    monkeypatch.setattr(large_spectrum, "BLOCK", 35)
    np.testing.assert_allclose(gram @ X, whole, rtol=0, atol=rounding(100, 600))


@given(seeds, st.floats(0, 1))
def test_exact_tails_are_those_of_the_singular_values(seed, one_hot):
    M, dims = ngram_like(seed, 30, 12, one_hot), range(15)
    tails = exact_tails(Gram.of(csr_array(M)), dims)
    np.testing.assert_allclose(tails.lower, dense_tails(M, dims), rtol=0, atol=rounding(30, 12**2))
    assert np.array_equal(tails.lower, tails.upper)
    assert tails.dims.tolist() == [*range(13), 12, 12]
    errors = np.asarray(w_error(singular_values(M)))
    slack = math.sqrt(rounding(30, 12**2) / 30)  # a root near zero
    np.testing.assert_allclose(tails.w_error()[0][: len(errors)], errors, rtol=0, atol=10 * slack)


@given(seeds, st.floats(0, 1), st.integers(1, 12), st.integers(1, 4))
def test_certified_intervals_hold_the_tail(seed, one_hot, vectors, passes):
    """However few the vectors and passes; and they never leave the column bounds."""
    M, dims = ngram_like(seed, 30, 12, one_hot), range(13)
    gram = Gram.of(csr_array(M))
    exact, slack = dense_tails(M, dims), rounding(30, 12**2)
    for tails in (column_tails(gram, dims), certified_tails(gram, dims, vectors, passes, seed)):
        assert np.all(tails.lower <= exact + slack)
        assert np.all(exact <= tails.upper + slack)
    columns = column_tails(gram, dims)
    assert np.all(tails.lower >= columns.lower - slack)
    assert np.all(tails.upper <= columns.upper + slack)


def test_a_wrong_tail_is_caught():
    """The sabotage twin: where the interval is narrow, a tail one per cent off lies outside it."""
    M = ngram_like(5, 400, 60, 0.3)
    gram = Gram.of(csr_array(M))
    exact = exact_tails(gram, [1, 4, 8]).lower
    tails = certified_tails(gram, [1, 4, 8], vectors=30, passes=6)
    assert np.all(tails.upper - tails.lower <= 0.01 * exact)
    assert not np.any((tails.lower <= 1.01 * exact) & (1.01 * exact <= tails.upper))
    assert not np.any((tails.lower <= 0.99 * exact) & (0.99 * exact <= tails.upper))


def test_the_norm_outside_is_needed():
    """With a norm claimed too small, the lower bound exceeds the tail: the certificate rests on it."""
    theta, S, total = np.array([4.0, 1.0]), np.zeros((2, 2)), 8.0  # eigenvalues 4, 2, 1, 1: Ritz missed the second
    exact = np.array([8.0, 4.0, 2.0])
    honest = large_spectrum._lower(theta, S, 2.0, np.array([0, 1, 2]), total)
    fooled = large_spectrum._lower(theta, S, 0.5, np.array([0, 1, 2]), total)
    assert np.all(honest <= exact)
    assert fooled[2] > exact[2] + 0.5


@given(seeds)
def test_the_norm_outside_bounds_the_norm_outside(seed):
    gram = Gram.of(csr_array(ngram_like(seed, 30, 12)))
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((12, 4)))[0]
    outside = np.eye(12) - Q @ Q.T
    norm = np.linalg.eigvalsh(outside @ gram.dense() @ outside)[-1]
    bound = large_spectrum._norm_outside(gram, Q, rng)
    assert norm - rounding(30, 12**2) <= bound <= norm + rounding(30, 12**2)  # the whole space is spanned: exact


def test_the_norm_outside_of_many_dimensions_is_bounded_closely():
    """Fewer Lanczos steps than dimensions: above the norm, by the few per cent that the failure probability costs."""
    diagonal = np.linspace(0, 1, 500)
    gram = Gram(diagonal, csr_array((0, 500)))
    Q = np.eye(500)[:, -100:]
    bound = large_spectrum._norm_outside(gram, Q, np.random.default_rng(0))
    assert diagonal[399] <= bound <= 1.05 * diagonal[399]


def test_more_vectors_narrow_the_interval():
    gram = Gram.of(csr_array(ngram_like(7, 600, 100, 0.1, 0.8)))
    widths = []
    for vectors in (5, 20, 60, 100):
        tails = certified_tails(gram, [5, 20, 50], vectors, passes=4)
        widths.append(np.sum(tails.upper - tails.lower))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] <= rounding(600, 100**2)  # all vectors: exact
    assert tails.failure == FAILURE


@given(seeds)
def test_on_one_hot_rows_everything_is_the_zipf_null(seed):
    """To 1e-10: the exact spectrum, both column bounds and the null are the same curve."""
    M = csr_array(ngram_like(seed, 200, 20, one_hot=1.0))
    gram, dims = Gram.of(M), range(20)
    null = zipf_w_error(M, dims)
    for tails in (exact_tails(gram, dims), column_tails(gram, dims), certified_tails(gram, dims, 5)):
        for errors in tails.w_error():
            np.testing.assert_allclose(errors**2, null**2, rtol=0, atol=1e-10)
    assert one_hot_share(M) == 1


def test_the_null_differs_where_contexts_branch():
    M = csr_array(ngram_like(11, 200, 20, one_hot=0.0))
    apart = np.abs(exact_tails(Gram.of(M), range(20)).w_error()[0] - zipf_w_error(M, range(20)))
    assert apart.max() > 0.05
    assert one_hot_share(M) < 0.3


def test_the_null_is_the_tail_of_the_marginal():
    M = csr_array(np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(zipf_w_error(M, [0, 1, 2, 9]), [1, 0.5, 0, 0], rtol=0, atol=rounding(1, 3))
    assert one_hot_share(M) == 0.5


def test_a_rank_one_matrix_has_no_tail_and_no_warning():
    M = csr_array(np.full((1, 50), 0.02))
    lower, upper = certified_tails(Gram.of(M), [0, 1, 2], 5).w_error()
    assert abs(lower[0] - 1) <= rounding(1, 50**2)
    assert np.all(upper[1:] ** 2 <= rounding(1, 50**2))


def test_scaling_the_matrix_scales_the_tails():
    M = csr_array(ngram_like(13))
    one, other = (certified_tails(Gram.of(scale * M), [3, 9], 20, seed=4) for scale in (1.0, 4.0))
    np.testing.assert_allclose(other.lower, 16 * one.lower, rtol=0, atol=rounding(16 * 120, 40**2))
    np.testing.assert_allclose(other.w_error()[1], one.w_error()[1], rtol=0, atol=rounding(1, 40**2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda gram: Gram.of(csr_array((3, 4))), "0 nonzero entries"),
        (lambda gram: Gram.of(np.array([[1.0, math.inf]])), "finite ones are needed"),
        (lambda gram: certified_tails(gram, [1], vectors=99), "vectors must be an integer from 1 to 40"),
        (lambda gram: certified_tails(gram, [1], 3, passes=0), "passes must be an integer"),
        (lambda gram: exact_tails(gram, [-1]), "each of dims must be an integer"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(Gram.of(csr_array(ngram_like(1))))


def test_a_gram_matrix_is_plain_data():
    gram = Gram.of(csr_array(ngram_like(2)))
    assert replace(gram, single=0 * gram.single).trace < gram.trace
