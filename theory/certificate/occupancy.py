"""The sum of the d largest eigenvalues, smoothed: fermions at a temperature.

    top_d(lambda) = max { sum_j y_j lambda_j : 0 <= y_j <= 1, sum_j y_j = d },

and adding ``tau`` times the entropy ``-sum_j y_j log y_j + (1 - y_j) log(1 - y_j)`` makes the maximiser unique,
``y_j = 1 / (1 + e^{(mu - lambda_j) / tau})`` with ``mu`` fixed by ``sum_j y_j = d``.  The smoothed sum is never
smaller, so the tail it leaves is never larger.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import expit, xlogy

STEPS = 100
"""Newton and bisection steps on the level ``mu``."""

PRECISION = 1e-9
"""Of the level, relative to the temperature; the smoothed sum is stationary in it."""


def occupancy(eigenvalues: np.ndarray, rank: int, temperature: float) -> tuple[np.ndarray, float]:
    """The occupation numbers ``y`` (n,) and ``temperature`` times their entropy.

    At temperature 0 the ``rank`` largest have ``y = 1``, the others 0.
    """
    size = len(eigenvalues)
    if rank <= 0 or rank >= size:
        return np.full(size, float(rank > 0)), 0.0
    if temperature == 0:
        y = np.zeros(size)
        y[np.argsort(-eigenvalues, kind="stable")[:rank]] = 1.0
        return y, 0.0
    y = expit((eigenvalues - _level(eigenvalues, rank, temperature)) / temperature)
    entropy = -float(np.sum(xlogy(y, y) + xlogy(1 - y, 1 - y)))
    return y, temperature * entropy


def _level(eigenvalues: np.ndarray, rank: int, temperature: float) -> float:
    """``mu`` with ``sum_j y_j = rank``: Newton's method inside a shrinking bracket."""
    ordered = np.sort(eigenvalues)[::-1]
    width = temperature * (2 + math.log(len(eigenvalues)))
    low, high = ordered[rank] - width, ordered[rank - 1] + width
    mu = (ordered[rank - 1] + ordered[rank]) / 2
    for _ in range(STEPS):
        y = expit((eigenvalues - mu) / temperature)
        excess, slope = float(y.sum()) - rank, float(np.sum(y * (1 - y))) / temperature
        low, high = (mu, high) if excess > 0 else (low, mu)
        step = mu + excess / slope if slope > 0 else math.inf
        step = step if low < step < high else (low + high) / 2
        done = abs(step - mu) <= PRECISION * temperature + 1e-15 * abs(mu)
        mu = step
        if done:
            break
    return mu
