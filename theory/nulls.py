"""Null models: what a measure of a head or of hidden states would be if there were nothing to see.

**Gaussian head.**  G (n, m), n >= m, of independent normal entries with variance s^2.  With r = sqrt(m / n) the squared
singular values, divided by n s^2, follow the law of Marchenko and Pastur (1967) on ``[(1 - r)^2, (1 + r)^2]``.  Put
``x = 1 + r^2 + 2 r cos(theta)``.  The law has density ``2 sin(theta)^2 / (pi x)`` in theta, and integrating

    sin^2 / x = (1 + r^2 - 2 r cos) / (4 r^2) - (1 - r^2)^2 / (4 r^2 x)

from 0 gives the share of singular values above x in closed form:

    S(theta) = (theta - psi + (psi - r sin theta) / r^2) / pi,    psi = arctan(r sin theta / (1 + r cos theta)).    (1)

Its moments: ``E x = 1``, ``E x^2 = 1 + r^2``, and ``E x log x = r^2 / 2`` (Page 1993), the null of the energy entropy.
At finite size ``E tr (G'G)^2 / (tr G'G)^2 = (n + m + 1) / (n m + 2)``, the mean of one over the participation ratio.
Exact draws need no n x m matrix: G = Q R with R upper triangular, normal above the diagonal and ``R_ii`` the root of a
chi-square with n - i + 1 degrees of freedom (Bartlett 1933).  G S has the singular values of R S.

**Isotropic states.**  For N independent isotropic directions in d dimensions the cosines of different pairs are
uncorrelated with mean 0 and variance 1 / d, so the mean cosine has standard deviation ``sqrt(2 / (d N (N - 1)))``.

**Permuted tokens.**  y (V,) permuted at random, centred, against a fixed space orthogonal to 1 of dimension k: the mean
share of |y|^2 in the space is ``k / (V - 1)`` exactly, since the mean of ``y y'`` is a multiple of I - 11'/V.
For k = 1 this is the mean of a squared correlation.
"""

from __future__ import annotations

import math

import numpy as np

from synth._array import Array, to_numpy
from synth._check import generator, integer, positive

HALVINGS = 60
"""Halvings of the interval of theta in a quantile: beyond them float64 has no room."""


def marchenko_pastur(shape: tuple[int, int], energy: float) -> np.ndarray:
    """Singular values expected of a Gaussian matrix of this shape and energy ``|M|_F^2``: decreasing, (min(shape),).

    The i-th of m is the quantile (1) at ``S = (i - 1/2) / m``.  Raises ``ValueError`` for an empty shape or an energy
    that is not positive.  Cost: O(m).  Source: Marchenko and Pastur (1967).

    >>> marchenko_pastur((40000, 4), energy=4.0).round(2)
    array([1.01, 1.  , 1.  , 0.99])
    """
    m, n = sorted(integer(name, size, 1) for name, size in zip(("rows", "columns"), shape, strict=True))
    r = math.sqrt(m / n)
    theta = _quantiles((np.arange(m) + 0.5) / m, r)
    x = 1 + r * r + 2 * r * np.cos(theta)
    return np.sqrt(positive("energy", energy) / m * x)


def share_above(theta: np.ndarray, r: float) -> np.ndarray:
    """``S(theta)`` of (1) for r in (0, 1]: 0 at the upper edge, theta = 0, and 1 at the lower, theta = pi."""
    psi = np.arctan2(r * np.sin(theta), 1 + r * np.cos(theta))
    return (theta - psi + (psi - r * np.sin(theta)) / (r * r)) / np.pi


def gaussian_spectra(rows: int, through: Array | int, draws: int, seed: int = 0) -> np.ndarray:
    """Exact draws of the singular values of G S divided by their norm: decreasing rows, shape (draws, min(rows, d)).

    ``through`` is S (d, d), for instance the root of a second moment, or d itself for S = I.  Raises ``ValueError`` for
    a matrix that is not square.  Cost: O(draws d^3), whatever the number of rows.  Source: Bartlett (1933).
    """
    S = np.eye(integer("through", through, 1)) if isinstance(through, int) else np.asarray(to_numpy(through))
    if S.ndim != 2 or S.shape[0] != S.shape[1]:
        raise ValueError(f"through must be a square matrix (d, d) or d, found shape {S.shape}; pass a root of X'X / N")
    rng = generator(seed)
    integer("rows", rows, 1)
    found = np.stack([_spectrum(rows, S, rng) for _ in range(integer("draws", draws, 1))])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def inverse_participation(shape: tuple[int, int]) -> float:
    """Mean of ``sum sigma^4 / (sum sigma^2)^2`` of a Gaussian matrix, exact: one over its participation ratio.

    >>> inverse_participation((7, 1))
    1.0
    """
    n, m = shape
    return (n + m + 1) / (n * m + 2)


def isotropic_spread(count: int, dim: int) -> float:
    """Standard deviation of the anisotropy of ``count`` isotropic states in ``dim`` dimensions; its mean is 0.

    >>> isotropic_spread(2, 1)  # the cosine of two numbers is a fair sign
    1.0
    """
    integer("count", count, 2)
    return math.sqrt(2 / (integer("dim", dim, 1) * count * (count - 1)))


def permuted_share(rank: int, count: int) -> float:
    """Mean over permutations of ``count`` numbers of the share of their variance in a fixed space of this ``rank``.

    The space is orthogonal to 1.  With ``rank`` 1 it is the mean of a squared correlation.
    """
    integer("rank", rank, 0, integer("count", count, 2) - 1)
    return rank / (count - 1)


def _quantiles(shares: np.ndarray, r: float) -> np.ndarray:
    """``theta`` with ``S(theta) = shares``, by bisection."""
    low, high = np.zeros_like(shares), np.full_like(shares, np.pi)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = share_above(middle, r) < shares
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def _spectrum(rows: int, S: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Singular values of one G S, by its triangular factor where G has at least as many rows as columns."""
    dim = len(S)
    if rows < dim:
        return np.linalg.svd(rng.standard_normal((rows, dim)) @ S, compute_uv=False)
    R = np.triu(rng.standard_normal((dim, dim)), 1)
    np.fill_diagonal(R, np.sqrt(rng.chisquare(rows - np.arange(dim))))
    return np.linalg.svd(R @ S, compute_uv=False)
