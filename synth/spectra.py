"""Singular-value profiles: how the energy of a low-rank matrix spreads over its directions.

Every profile is a function ``(rank, ...)`` that returns a decreasing NumPy float64 array of ``rank`` positive values
with unit root-sum-square, so the matrix built on it has unit Frobenius norm whatever the profile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synth._check import integer, member, nonnegative, positive


def flat(rank: int) -> np.ndarray:
    """Equal values ``1 / sqrt(rank)``, shape (rank,)."""
    return _unit(np.ones(integer("rank", rank, 1)))


def power_law(rank: int, exponent: float = 0.5) -> np.ndarray:
    """Values proportional to ``i ** -exponent``, i = 1..rank; ``exponent`` >= 0.  Shape (rank,)."""
    places = np.arange(1, integer("rank", rank, 1) + 1, dtype=np.float64)
    return _unit(places ** -nonnegative("exponent", exponent))


def exponential(rank: int, rate: float = 0.1) -> np.ndarray:
    """Values proportional to ``exp(-rate i)``, i = 0..rank - 1; ``rate`` >= 0.  Shape (rank,)."""
    return _unit(np.exp(-nonnegative("rate", rate) * np.arange(integer("rank", rank, 1))))


def step(rank: int, low: float = 0.1) -> np.ndarray:
    """A plateau of height 1 on the first ``ceil(rank / 2)`` values, one of height ``low`` in (0, 1] on the rest."""
    if not 0 < positive("low", low) <= 1:
        raise ValueError(f"low must lie in (0, 1] so that the values decrease, found {low!r}; choose another low")
    values = np.full(integer("rank", rank, 1), float(low))
    values[: (rank + 1) // 2] = 1.0
    return _unit(values)


def spiked(rank: int, height: float = 10.0) -> np.ndarray:
    """One value ``height`` >= 1 times those of a flat bulk, shape (rank,)."""
    if positive("height", height) < 1:
        raise ValueError(f"height must be >= 1 so that the values decrease, found {height!r}; choose another height")
    values = np.ones(integer("rank", rank, 1))
    values[0] = height
    return _unit(values)


catalogue: dict[str, Callable[..., np.ndarray]] = {
    "flat": flat,
    "power_law": power_law,
    "exponential": exponential,
    "step": step,
    "spiked": spiked,
}
"""Every profile by name."""


def profile(name: str, rank: int) -> np.ndarray:
    """The profile called ``name`` at its default shape; ``ValueError`` names the nearest one if there is none."""
    return catalogue[member("spectrum", name, catalogue)](rank)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values)
