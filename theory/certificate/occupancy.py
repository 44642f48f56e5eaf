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


def occupancy(eigenvalues: np.ndarray, rank: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """The occupation numbers ``y`` (..., n) of each row of eigenvalues, and ``temperature`` times their entropy (...).

    At temperature 0 the ``rank`` largest have ``y = 1``, the others 0.
    """
    size, none = eigenvalues.shape[-1], np.zeros(eigenvalues.shape[:-1])
    if rank <= 0 or rank >= size:
        return np.full(eigenvalues.shape, float(rank > 0)), none
    if temperature == 0:
        y = np.zeros(eigenvalues.shape)
        largest = np.argsort(-eigenvalues, axis=-1, kind="stable")[..., :rank]
        np.put_along_axis(y, largest, 1.0, axis=-1)
        return y, none
    y = expit((eigenvalues - _level(eigenvalues, rank, temperature)[..., None]) / temperature)
    return y, -temperature * np.sum(xlogy(y, y) + xlogy(1 - y, 1 - y), axis=-1)


def _level(eigenvalues: np.ndarray, rank: int, temperature: float) -> np.ndarray:
    """``mu`` (...) with ``sum_j y_j = rank``: Newton's method inside a shrinking bracket, for all rows at once."""
    ordered = np.sort(eigenvalues, axis=-1)[..., ::-1]
    width = temperature * (2 + math.log(eigenvalues.shape[-1]))
    low, high = ordered[..., rank] - width, ordered[..., rank - 1] + width
    mu = (ordered[..., rank - 1] + ordered[..., rank]) / 2
    done = np.zeros(mu.shape, dtype=bool)
    for _ in range(STEPS):
        y = expit((eigenvalues - mu[..., None]) / temperature)
        excess, slope = np.sum(y, axis=-1) - rank, np.sum(y * (1 - y), axis=-1) / temperature
        low, high = np.where(excess > 0, mu, low), np.where(excess > 0, high, mu)
        step = mu + excess / np.where(slope > 0, slope, 1.0)
        within = (slope > 0) & (low < step) & (step < high)
        step = np.where(done, mu, np.where(within, step, (low + high) / 2))
        done = done | (np.abs(step - mu) <= PRECISION * temperature + 1e-15 * np.abs(mu))
        mu = step
        if done.all():
            break
    return mu
