"""How far a head's table of log-probabilities is from low rank, beside its null.

A softmax head of width d has ``log Q = A - u1'``, so ``log Q J`` has rank at most d (d + 1 with a bias).  Any other
kind of head breaks exactly this.  A numerical rank only counts what lies above rounding, and a bent function of a rank
one table has full numerical rank; the effective rank ``exp(H(sigma / sum sigma))`` says how much there is of it.  Its
null is the effective rank of independent normal entries with centred rows, the same shape: nothing but rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.nulls import gaussian_spectra
from theory.spectrum import entropy_rank, numerical_rank, singular_values

DRAWS = 20
"""Draws of the null."""


@dataclass(frozen=True)
class LogRank:
    """Numerical and effective rank of ``log Q J``, and the mean effective rank of the null with its standard error."""

    numerical: int
    effective: float
    null: float
    null_stderr: float


def log_rank(log_q: np.ndarray, draws: int = DRAWS, seed: int = 0) -> LogRank:
    """Ranks of finite log-probabilities (C, V) with centred rows.

    Raises ``ValueError`` where some are infinite, or every row is uniform.  Cost: one SVD, and one for each draw.
    """
    if not np.isfinite(log_q).all():
        raise ValueError("some log-probabilities are infinite and have no rank; restrict to a positive block first")
    sigma = singular_values(log_q - log_q.mean(axis=1, keepdims=True))
    vocab = log_q.shape[1]
    null = [entropy_rank(draw) for draw in gaussian_spectra(len(log_q), np.eye(vocab) - 1 / vocab, draws, seed)]
    return LogRank(
        numerical_rank(sigma, log_q.shape, scale=float(np.abs(log_q).max())),
        entropy_rank(sigma),
        float(np.mean(null)),
        float(np.std(null, ddof=1) / np.sqrt(draws)),
    )
