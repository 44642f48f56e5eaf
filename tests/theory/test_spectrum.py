"""Spectral measures against independent formulas and closed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from tests.tolerances import identity, rounding
from theory import spectrum

M = np.random.default_rng(0).standard_normal((7, 5))
SIGMA = spectrum.singular_values(M)
FLAT, ONE = np.full(6, 3.0), np.array([2.0, 0, 0, 0])
TINY = {"rel": 0.0, "abs": rounding(50.0, 35)}


def test_squares_of_singular_values_are_the_eigenvalues_of_the_gram_matrix():
    np.testing.assert_allclose(SIGMA**2, np.linalg.eigvalsh(M.T @ M)[::-1], rtol=0, atol=rounding(50, 35))


def test_tails_are_the_distances_to_truncations():
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    tails, errors = spectrum.tail_energies(SIGMA), spectrum.w_error(SIGMA)
    assert len(tails) == len(errors) == 6
    for d in range(6):
        distance = np.sum((M - (U[:, :d] * s[:d]) @ Vt[:d]) ** 2)
        assert tails[d] == pytest.approx(distance, **TINY)
        assert spectrum.tail_energy(SIGMA, d) == pytest.approx(distance, **TINY)
        assert errors[d] == pytest.approx(math.sqrt(distance / np.sum(M * M)), rel=0, abs=1e-7)  # a root near 0
    assert spectrum.tail_energy(SIGMA, 99) == 0
    assert np.all(spectrum.w_error(np.zeros(3)) == 0)


def test_entropies_are_divergences_from_uniform():
    uniform = np.full(5, 0.2)
    assert spectrum.singular_entropy(SIGMA) == pytest.approx(entropy(SIGMA / SIGMA.sum(), uniform), **TINY)
    assert spectrum.energy_entropy(SIGMA) == pytest.approx(entropy(SIGMA**2 / np.sum(SIGMA**2), uniform), **TINY)
    assert spectrum.entropy_rank(SIGMA) == pytest.approx(math.exp(entropy(SIGMA)), **TINY)
    assert spectrum.singular_entropy(SIGMA) < spectrum.energy_entropy(SIGMA)


@pytest.mark.parametrize("measure", [spectrum.entropy_rank, spectrum.stable_rank, spectrum.participation_ratio])
def test_effective_ranks_of_flat_and_rank_one_spectra(measure):
    assert measure(FLAT) == pytest.approx(6.0, **TINY)
    assert measure(ONE) == pytest.approx(1.0, **TINY)


def test_entropies_of_flat_and_rank_one_spectra():
    assert spectrum.singular_entropy(FLAT) == pytest.approx(0.0, **TINY)
    assert spectrum.energy_entropy(ONE) == pytest.approx(math.log(4), **TINY)


def test_rank_of_a_product_is_found_and_rounding_is_not_rank():
    rng = np.random.default_rng(1)
    product = rng.standard_normal((9, 3)) @ rng.standard_normal((3, 8))
    assert spectrum.numerical_rank(spectrum.singular_values(product), (9, 8)) == 3
    constant = np.full((9, 8), math.pi) + 1e-16 * rng.standard_normal((9, 8))
    centred = constant - constant.mean(axis=1, keepdims=True)
    assert spectrum.numerical_rank(spectrum.singular_values(centred), (9, 8), scale=math.pi) == 0


def test_zero_matrices_have_no_effective_rank():
    for measure in (
        spectrum.singular_entropy,
        spectrum.entropy_rank,
        spectrum.stable_rank,
        spectrum.participation_ratio,
    ):
        with pytest.raises(ValueError, match="every singular value is zero"):
            measure(np.zeros(3))


def test_tail_exponent_reads_a_power_law_and_skips_what_is_not():
    law = np.arange(1, 41) ** -0.7
    assert abs(spectrum.tail_exponent(law) - 0.7) <= identity()
    spiked = np.concatenate([[100.0], law[1:], [0.0]])
    assert abs(spectrum.tail_exponent(spiked, skip=1) - 0.7) <= identity()
    assert abs(spectrum.tail_exponent(spiked) - 0.7) > 0.01
    with pytest.raises(ValueError, match="two are needed"):
        spectrum.tail_exponent(law, skip=39)


def test_torch_goes_in_and_out():
    sigma = spectrum.singular_values(torch.tensor(M))
    assert isinstance(spectrum.w_error(sigma), torch.Tensor)
    np.testing.assert_allclose(spectrum.w_error(sigma).numpy(), spectrum.w_error(SIGMA), rtol=0, atol=1e-7)
