"""Floating-point formats against those of torch, and the two implementations of them against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from theory import HeadSpec
from theory.formats import FORMATS, float_format
from theory.recheck import rounding as recheck

TORCH = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "fp8-e4m3": torch.float8_e4m3fn,
}
SINGLE = arrays(np.float32, 20, elements=st.floats(-400, 400, width=32))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=50)
@given(x=SINGLE, scale=st.sampled_from([1.0, 2.0**-8, 2.0**-20]))
def test_rounding_is_that_of_torch(name, x, scale):
    x = x.astype(np.float64) * scale  # a float32 still
    theirs = torch.from_numpy(x).to(torch.float32).to(TORCH[name]).to(torch.float64).numpy()
    ours = float_format(name).round(x)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(recheck.nearest(x, name), theirs)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=50)
@given(x=SINGLE)
def test_neighbours_enclose_and_errors_are_bounded(name, x):
    fmt, x = float_format(name), x.astype(np.float64)
    below, above = fmt.below(x), -fmt.below(-x)
    assert np.all(below <= x)
    assert np.all(x <= above)
    np.testing.assert_array_equal(fmt.round(below), below)
    nearest = fmt.round(x)
    assert np.all((nearest == below) | (nearest == above))
    assert np.all(np.abs(nearest - x) <= fmt.roundoff * np.abs(x) + fmt.underflow)
    np.testing.assert_array_equal(recheck.below(x, name), below)
    order = np.argsort(x)
    assert np.all(np.diff(nearest[order]) >= 0)  # monotone


@pytest.mark.parametrize("name", FORMATS)
def test_formats_saturate_and_know_their_ends(name):
    fmt = float_format(name)
    ends = torch.finfo(TORCH[name])
    assert fmt.largest == float(ends.max) == recheck.largest(name)
    assert 2.0**fmt.least_exponent == float(ends.tiny)
    far = np.array([fmt.largest * 1.5, -np.inf, 0.0])
    np.testing.assert_array_equal(fmt.round(far), [fmt.largest, -fmt.largest, 0.0])
    np.testing.assert_array_equal(fmt.below(-far), [-np.inf, fmt.largest, 0.0])
    assert fmt.error(fmt.largest * 2) == math.inf
    with pytest.raises(ValueError, match="did you mean 'float32'"):
        HeadSpec(2, float_format="float3")
