"""Singular-value profiles: unit root-sum-square, decreasing, and the shape their name promises."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth import spectra, strategies
from tests.tolerances import rounding


@given(strategies.spectra(max_rank=30))
def test_profiles_are_positive_decreasing_and_of_unit_energy(values):
    assert np.all(values > 0)
    assert np.all(np.diff(values) <= rounding(1, 1))
    assert abs(np.sum(values**2) - 1) <= rounding(1, len(values))


@given(st.integers(2, 30), st.floats(0, 3))
def test_power_law_and_exponential_have_their_ratios(rank, decay):
    power, exponential = spectra.power_law(rank, decay), spectra.exponential(rank, decay)
    assert abs(power[1] / power[0] - 2**-decay) <= rounding(1, rank)
    assert abs(exponential[1] / exponential[0] - np.exp(-decay)) <= rounding(1, rank)


def test_limits_of_the_shapes_are_flat():
    flat = spectra.flat(7)
    for other in (spectra.power_law(7, 0), spectra.exponential(7, 0), spectra.step(7, 1), spectra.spiked(7, 1)):
        assert np.max(np.abs(other - flat)) <= rounding(1, 7)


def test_step_and_spike_have_their_heights():
    step, spiked = spectra.step(5, low=0.2), spectra.spiked(5, height=4)
    assert abs(step[3] / step[2] - 0.2) <= rounding(1, 5)
    assert step[0] == step[2]
    assert abs(spiked[0] / spiked[1] - 4) <= rounding(4, 5)
    assert spiked[1] == spiked[4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectra.flat(0), "rank must be an integer at least 1, found 0"),
        (lambda: spectra.power_law(3, -1), "exponent must be a finite number >= 0, found -1"),
        (lambda: spectra.exponential(3, float("nan")), "rate must be a finite number >= 0, found nan"),
        (lambda: spectra.step(3, 2), "low must lie in (0, 1]"),
        (lambda: spectra.spiked(3, 0.5), "height must be >= 1"),
        (lambda: spectra.profile("powerlaw", 3), "did you mean 'power_law'?"),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
