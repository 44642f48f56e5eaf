"""A non-negative factorisation ``T ~ R S``, by the multiplicative steps of Lee and Seung (1999)."""

from __future__ import annotations

import numpy as np

from synth._array import Array, like, namespace

ROUNDS = 200
"""Multiplicative steps."""


def nonnegative_factors(T: Array, count: int, seed: int) -> tuple[Array, Array]:
    """``R`` (C, count) and ``S`` (count, V), positive, lowering ``sum T log(T / RS) - T + RS`` at every step.

    ``T`` (C, V) is positive.  Starts from random factors.  Cost: 200 rounds of four products, O(C V count) each.
    """
    xp, rng = namespace(T), np.random.default_rng(seed)
    R = like(0.2 + rng.random((T.shape[0], count)), T) * xp.mean(T, axis=1, keepdims=True)
    S = like(0.2 + rng.random((count, T.shape[1])), T)
    S = S / xp.sum(S, axis=0, keepdims=True)
    for _ in range(ROUNDS):
        R = R * ((T / (R @ S)) @ S.T) / xp.sum(S, axis=1)[None, :]
        S = S * (R.T @ (T / (R @ S))) / xp.sum(R, axis=0)[:, None]
    return R, S
