"""The blocked triangular factor against one decomposition of the whole matrix."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tolerances import rounding
from theory import triangle as module
from theory.triangle import triangle


def test_the_example_runs():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted == 1


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([np.float32, np.float64]))
def test_it_has_the_spectrum_and_the_gram_matrix_whatever_the_blocks(rows, dim, seed, dtype):
    M = np.random.default_rng(seed).standard_normal((rows, dim)).astype(dtype)
    shift = M.mean(axis=0, dtype=np.float64)
    whole, slack = M.astype(np.float64) - shift, rounding(float(np.sum(np.square(M))) + rows, rows * dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ENTRIES", 1)
        R = triangle(M, shift)
    assert R.shape == (min(rows, dim), dim)
    assert np.abs(R.T @ R - whole.T @ whole).max() <= slack
    assert np.abs(np.linalg.svd(R, compute_uv=False) - np.linalg.svd(whole, compute_uv=False)).max() <= slack


def test_small_singular_values_keep_their_precision_where_the_gram_matrix_loses_them():
    rng = np.random.default_rng(0)
    M = rng.standard_normal((300, 2)) @ np.array([[1.0, 1.0], [0.0, 1e-10]])
    exact = np.linalg.svd(M, compute_uv=False)[-1]
    assert np.linalg.svd(triangle(M), compute_uv=False)[-1] == pytest.approx(exact, rel=1e-4, abs=0)
    lost = np.sqrt(np.abs(np.linalg.eigvalsh(M.T @ M)[0]))
    assert lost != pytest.approx(exact, rel=1e-1, abs=0)


@pytest.mark.parametrize("bad", [np.ones(3), np.ones((0, 2)), np.array([[np.nan]])])
def test_bad_matrices_are_refused(bad):
    with pytest.raises(ValueError, match="finite matrix"):
        triangle(bad)
