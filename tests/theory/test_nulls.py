"""Null models: closed forms against quadrature, exact enumeration and draws; each is seen to fail when it is wrong."""

from __future__ import annotations

import doctest
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from tests.tolerances import identity, rounding
from theory import geometry, nulls, spectrum

SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 60))


def test_the_examples_run():
    assert doctest.testmod(nulls).failed == 0
    assert doctest.testmod(nulls).attempted == 3


# ---------------------------------------------------------------------- Marchenko-Pastur


@pytest.mark.parametrize("r", [1e-4, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("theta", [0.3, 1.5, 3.0])
def test_the_share_above_is_the_integral_of_the_density(r, theta):
    def density(t):
        return 2 * math.sin(t) ** 2 / (math.pi * (1 + r * r + 2 * r * math.cos(t)))

    exact = quad(density, 0, theta, epsabs=1e-13)[0]
    assert nulls.share_above(np.array([theta]), r)[0] == pytest.approx(exact, rel=0, abs=identity())
    assert nulls.share_above(np.array([theta]), 0.9 * r)[0] != pytest.approx(exact, rel=0, abs=identity()) or r < 1e-3


def test_a_vanishing_ratio_gives_the_semicircle_and_a_square_matrix_the_quarter_circle():
    theta = np.linspace(0, np.pi, 9)
    semicircle = (theta - np.sin(2 * theta) / 2) / np.pi
    np.testing.assert_allclose(nulls.share_above(theta, 1e-6), semicircle, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        nulls.share_above(theta, 1.0), (theta - np.sin(theta)) / np.pi, rtol=0, atol=rounding(1, 9)
    )


@given(SHAPES, st.floats(1e-3, 1e3))
def test_expected_spectra_decrease_inside_the_edges_and_scale_with_the_root_of_the_energy(shape, energy):
    sigma = nulls.marchenko_pastur(shape, energy)
    m, n = min(shape), max(shape)
    x, r = sigma**2 * m / energy, math.sqrt(m / n)
    assert sigma.shape == (m,)
    assert np.all(np.diff(sigma) <= 0)
    assert (1 - r) ** 2 - rounding(1, 1) <= x.min() <= x.max() <= (1 + r) ** 2 + rounding(1, 1)
    np.testing.assert_allclose(sigma, nulls.marchenko_pastur(shape[::-1], energy), rtol=identity(), atol=0)
    np.testing.assert_allclose(sigma * 3, nulls.marchenko_pastur(shape, 9 * energy), rtol=identity(), atol=0)


@pytest.mark.parametrize(("rows", "columns"), [(1200, 1000), (50000, 1000), (1000, 1000)])
def test_moments_and_page_s_entropy(rows, columns):
    """The quantiles have the moments 1 and 1 + m/n, and the energy entropy m/(2n), up to the width of a quantile."""
    sigma, y = nulls.marchenko_pastur((rows, columns), rows * columns), columns / rows
    x = sigma**2 / rows
    assert x.mean() == pytest.approx(1, rel=1e-4, abs=0)
    assert np.mean(x * x) == pytest.approx(1 + y, rel=1e-4, abs=0)
    assert spectrum.energy_entropy(sigma) == pytest.approx(y / 2, rel=2e-3, abs=0)
    assert spectrum.energy_entropy(sigma) != pytest.approx(spectrum.singular_entropy(sigma), rel=0.5, abs=0)


def test_the_expected_spectrum_is_that_of_draws():
    rows, columns = 400, 100
    drawn = nulls.gaussian_spectra(rows, columns, draws=40, seed=0)
    mean, error = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / math.sqrt(40)
    expected = nulls.marchenko_pastur((rows, columns), 1.0)
    inside = slice(10, 90)  # at the edges the correction of order m^(-2/3) shows
    assert np.all(np.abs(mean - expected)[inside] <= 5 * error[inside] + 0.3 / columns * expected[inside])
    wrong = nulls.marchenko_pastur((2 * rows, columns), 1.0)
    assert np.any(np.abs(mean - wrong)[inside] > 5 * error[inside] + 0.3 / columns * wrong[inside])


# ---------------------------------------------------------------------- exact draws


@pytest.mark.parametrize("shape", [(40, 6), (6, 6), (4, 9)])
def test_the_participation_of_draws_has_the_exact_mean(shape):
    drawn = nulls.gaussian_spectra(*shape, draws=4000, seed=1)
    inverse = np.sum(drawn**4, axis=1)
    error = inverse.std(ddof=1) / math.sqrt(len(inverse))
    assert abs(inverse.mean() - nulls.inverse_participation(shape)) <= 5 * error
    assert abs(inverse.mean() - nulls.inverse_participation((shape[0] + 2, shape[1]))) > 5 * error


def test_draws_through_a_matrix_have_the_law_of_the_product_written_out():
    rng, S = np.random.default_rng(2), np.diag([3.0, 1.0, 0.2])
    quick = nulls.gaussian_spectra(30, S, draws=1500, seed=3)
    slow = np.stack([np.linalg.svd(rng.standard_normal((30, 3)) @ S, compute_uv=False) for _ in range(1500)])
    slow /= np.linalg.norm(slow, axis=1, keepdims=True)
    plain = nulls.gaussian_spectra(30, 3, draws=1500, seed=3)
    error = np.hypot(quick.std(axis=0), slow.std(axis=0)) / math.sqrt(1500)
    assert np.all(np.abs(quick.mean(axis=0) - slow.mean(axis=0)) <= 5 * error)
    assert np.all(np.abs(plain.mean(axis=0) - slow.mean(axis=0)) > 5 * error)


def test_a_seed_draws_the_same_again_and_bad_input_is_refused():
    assert np.array_equal(nulls.gaussian_spectra(9, 4, 2, seed=5), nulls.gaussian_spectra(9, np.eye(4), 2, seed=5))
    with pytest.raises(ValueError, match="square matrix"):
        nulls.gaussian_spectra(9, np.ones((2, 3)), 2)
    with pytest.raises(ValueError, match="energy"):
        nulls.marchenko_pastur((3, 3), 0.0)
    with pytest.raises(ValueError, match="count"):
        nulls.isotropic_spread(1, 3)


# ---------------------------------------------------------------------- isotropic states, permuted tokens


@pytest.mark.parametrize(("count", "dim"), [(2, 1), (5, 3), (30, 4)])
def test_isotropic_states_have_mean_zero_and_the_spread_of_the_formula(count, dim):
    rng, draws = np.random.default_rng(4), 4000
    found = np.array([geometry.anisotropy(rng.standard_normal((count, dim))) for _ in range(draws)])
    spread = nulls.isotropic_spread(count, dim)
    assert abs(found.mean()) <= 5 * spread / math.sqrt(draws)
    squares = found**2
    error = squares.std(ddof=1) / math.sqrt(draws) + rounding(1, draws)
    assert abs(squares.mean() - spread**2) <= 5 * error
    assert abs(squares.mean() - nulls.isotropic_spread(count, dim + 1) ** 2) > 5 * error


@given(
    st.integers(2, 6).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(-9, 9), min_size=n, max_size=n).filter(lambda y: len(set(y)) > 1),
            st.integers(0, n - 1),
            st.integers(0, 99),
        )
    )
)
def test_the_share_in_a_fixed_space_over_all_permutations(case):
    y, rank, seed = np.array(case[0], dtype=float), case[1], case[2]
    space = np.random.default_rng(seed).standard_normal((len(y), rank))
    Q = np.linalg.qr(space - space.mean(axis=0))[0]
    y -= y.mean()
    shares = [np.sum((y[list(order)] @ Q) ** 2) / np.sum(y * y) for order in itertools.permutations(range(len(y)))]
    assert np.mean(shares) == pytest.approx(nulls.permuted_share(rank, len(y)), rel=0, abs=identity())
    wrong = rank / len(y)  # the mean of y is not in the space: one dimension less than tokens
    assert rank == 0 or np.mean(shares) != pytest.approx(wrong, rel=0, abs=identity())
