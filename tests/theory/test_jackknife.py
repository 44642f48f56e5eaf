"""The block jackknife: equal to the textbook error of a mean, right where items depend on their neighbours."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tolerances import rounding
from theory import jackknife as module
from theory.jackknife import block_jackknife


def test_the_example_runs():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted == 3


@given(st.integers(2, 8), st.integers(1, 5), st.integers(0, 10**6))
def test_for_a_mean_it_is_the_standard_error_of_the_block_means(blocks, size, seed):
    data = np.random.default_rng(seed).standard_normal(blocks * size)
    exact = data.reshape(blocks, size).mean(axis=1).std(ddof=1) / math.sqrt(blocks)
    found = block_jackknife(lambda kept: data[kept].mean(), len(data), blocks)
    assert float(found) == pytest.approx(exact, rel=0, abs=rounding(1, len(data)))


def test_blocks_see_the_dependence_that_single_items_hide():
    rng, runs, length = np.random.default_rng(0), 300, 400
    blocked, single, means = [], [], []
    for _ in range(runs):
        data = np.repeat(rng.standard_normal(length // 10), 10)  # ten equal neighbours
        means.append(data.mean())
        blocked.append(float(block_jackknife(lambda kept, data=data: data[kept].mean(), length, 8)) ** 2)
        single.append(float(data.var(ddof=1)) / length)
    truth, error = np.mean(np.square(means)), np.std(np.square(means)) / math.sqrt(runs)
    assert abs(np.mean(blocked) - truth) <= 5 * math.hypot(error, np.std(blocked) / math.sqrt(runs))
    assert np.mean(single) < truth - 5 * error


def test_arrays_and_the_number_of_blocks():
    data = np.random.default_rng(1).standard_normal((24, 3))
    together = block_jackknife(lambda kept: data[kept].mean(axis=0), 24)
    assert together.shape == (3,)
    apart = float(block_jackknife(lambda kept: data[kept, 1].mean(), 24))
    assert together[1] == pytest.approx(apart, rel=0, abs=rounding(1, 24))
    for blocks in (1, 25):
        with pytest.raises(ValueError, match="blocks must be"):
            block_jackknife(lambda kept: 0.0, 24, blocks)
