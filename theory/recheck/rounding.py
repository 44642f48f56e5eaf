"""Rounding of logits and the range that limits leave them, for re-checks: by exponents, not by logarithms."""

from __future__ import annotations

import math

import numpy as np

from theory.head import HeadSpec
from theory.recheck.table import Mismatch

SHAPES = {"float32": (24, -126, 127), "bfloat16": (8, -126, 127), "float16": (11, -14, 15), "fp8-e4m3": (4, -6, 8)}
"""Significant digits, least and largest exponent of each format."""


def largest(name: str) -> float:
    """The largest finite number: all ones, but for the pattern that E4M3 keeps for NaN."""
    digits, _, top = _shape(name)
    return math.ldexp(2**digits - (2 if name == "fp8-e4m3" else 1), top - digits + 1)


def nearest(x: np.ndarray, name: str) -> np.ndarray:
    """``x`` rounded to nearest, ties to even, saturating."""
    return np.clip(np.rint(x / _spacing(x, name)) * _spacing(x, name), -largest(name), largest(name))


def below(x: np.ndarray, name: str) -> np.ndarray:
    """The largest number of the format at most x, minus infinity if there is none."""
    down = np.floor(x / _spacing(x, name)) * _spacing(x, name)
    return np.where(down > largest(name), largest(name), np.where(down < -largest(name), -np.inf, down))


def error(name: str, size: float) -> float:
    """What rounding can move a number of magnitude ``size``; infinite beyond the largest number."""
    digits, least, _ = _shape(name)
    return math.ldexp(size, -digits) + math.ldexp(1.0, least - digits) if size <= largest(name) else math.inf


def widest_range(spec: HeadSpec) -> float:
    """The largest difference of two logits of one context in the class; +inf without a limit that binds it."""
    reach = math.inf if spec.norm is None else spec.norm
    if spec.float_format is not None:
        reach = min(largest(spec.float_format), reach + error(spec.float_format, reach))
    return min(2 * reach, math.inf if spec.logit_range is None else spec.logit_range)


def spacing_at(x: float, name: str) -> float:
    """Distance of neighbouring numbers at one magnitude."""
    return float(_spacing(np.array(x), name))


def _spacing(x: np.ndarray, name: str) -> np.ndarray:
    """Distance of neighbouring numbers of the format around x."""
    digits, least, top = _shape(name)
    exponent = np.clip(np.frexp(x)[1] - 1, least, top)
    return np.ldexp(1.0, exponent - digits + 1)


def _shape(name: str) -> tuple[int, int, int]:
    if name not in SHAPES:
        raise Mismatch(f"{name!r} is no known format of logits")
    return SHAPES[name]
