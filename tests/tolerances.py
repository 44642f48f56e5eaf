"""Every tolerance of the test suite: scaled with machine epsilon, never picked to make a test pass."""

from __future__ import annotations

import math

import numpy as np

EPS = float(np.finfo(np.float64).eps)

WITNESS = 1e-10
"""A witness's re-evaluated gap against the value of its bound, nats."""

KNOWN_FLOOR = 1e-6
"""A fit against a floor known exactly, nats."""

UNATTAINED = 1e-4
"""What a fit must reach where the exact floor is an infimum that no finite head attains, nats."""

LIBRARIES = 1e-10
"""The same computation in two array libraries, relative."""

ORDER = 0.1
"""Fitted slope of log error against log step, from the order claimed."""


def rounding(scale: float, size: int) -> float:
    """Slack of an inequality between exact quantities of magnitude ``scale`` summed over ``size`` terms (float64)."""
    return 64 * EPS * max(1.0, abs(scale)) * math.sqrt(max(size, 1))


def identity(dtype: object = np.float64) -> float:
    """Relative and absolute error allowed between two routes to one number in ``dtype``."""
    return 10 * math.sqrt(float(np.finfo(np.dtype(dtype)).eps))
