"""Singular values and what is read off them: tail energies, W-error, entropies and effective ranks.

The exact route: one dense SVD.  ``sigma`` is always the decreasing vector of singular values of a matrix M, and
``tail_d = sum_{j > d} sigma_j^2`` (``d`` counts from 0, so ``tail_0 = |M|_F^2``).
"""

from __future__ import annotations

import math

import numpy as np

from synth._array import Array, epsilon, namespace, to_numpy


def singular_values(M: Array) -> Array:
    """Singular values of M (n, m), decreasing, shape (min(n, m),)."""
    return namespace(M).linalg.svdvals(M)


def tail_energies(sigma: Array) -> Array:
    """``tail_d`` for d = 0 ... len(sigma), summed from the smallest value up, shape (len(sigma) + 1,).

    ``tail_d`` is the squared distance of M from the matrices of rank d (Eckart & Young 1936).
    """
    xp = namespace(sigma)
    return xp.flip(xp.cumulative_sum(xp.flip(sigma * sigma), include_initial=True))


def tail_energy(sigma: Array, dim: int) -> float:
    """``tail_d`` at one dimension; 0 beyond the last singular value."""
    xp = namespace(sigma)
    rest = sigma[min(dim, sigma.shape[0]) :]
    return float(xp.sum(rest * rest))


def w_error(sigma: Array) -> Array:
    """``W-error(d) = (tail_d / |M|_F^2)^{1/2}`` for d = 0 ... len(sigma) (Godey, de la Clergerie & Sagot 2024).

    The relative error of the best rank-d approximation; all zeros for the zero matrix.
    """
    xp = namespace(sigma)
    tails = tail_energies(sigma)
    total = float(tails[0])
    return xp.sqrt(tails / (total if total > 0 else 1.0))


def singular_entropy(sigma: Array) -> float:
    """KL of ``sigma / sum(sigma)`` from the uniform law, nats: 0 for a flat spectrum, ``log n`` for rank one."""
    return _entropy_from_uniform(sigma)


def energy_entropy(sigma: Array) -> float:
    """KL of ``sigma^2 / sum(sigma^2)`` from the uniform law, nats: ``singular_entropy`` of the energies."""
    return _entropy_from_uniform(sigma * sigma)


def entropy_rank(sigma: Array) -> float:
    """``exp(H(sigma / sum sigma))``: the effective rank of Roy & Vetterli (2007), between 1 and n."""
    return math.exp(math.log(sigma.shape[0]) - singular_entropy(sigma))


def stable_rank(sigma: Array) -> float:
    """``|M|_F^2 / sigma_1^2``, at most the rank."""
    _require_nonzero(sigma)
    return tail_energy(sigma, 0) / float(sigma[0]) ** 2


def participation_ratio(sigma: Array) -> float:
    """``(sum sigma^2)^2 / sum sigma^4``: how many directions share the energy."""
    _require_nonzero(sigma)
    energy = (sigma / sigma[0]) ** 2
    xp = namespace(sigma)
    return float(xp.sum(energy)) ** 2 / float(xp.sum(energy * energy))


def tail_exponent(sigma: Array, skip: int = 0) -> float:
    """Exponent a of the power law ``sigma_i ~ i^-a`` (positive for decay), by least squares on logarithms.

    ``skip`` leading values are left out, and values that are zero.  Raises ``ValueError`` for fewer than two values.
    """
    values = to_numpy(sigma)[skip:]
    kept = values > 0
    if kept.sum() < 2:
        raise ValueError(f"{int(kept.sum())} positive singular values remain after skipping {skip}; two are needed")
    index = np.log(np.arange(skip + 1, skip + 1 + len(values))[kept])
    return -float(np.polyfit(index, np.log(values[kept]), 1)[0])


def numerical_rank(sigma: Array, shape: tuple[int, int], scale: float | None = None, eps: float | None = None) -> int:
    """Number of singular values above ``eps * max(shape) * scale``.

    ``scale`` defaults to ``sigma_1`` (the rule of ``numpy.linalg.matrix_rank``).  Pass the largest absolute entry of
    the matrix before it was centred when M is a difference of larger numbers: their rounding, at most
    ``eps * scale`` an entry, has spectral norm at most ``eps * scale * sqrt(n m)``, and is not rank.
    """
    xp = namespace(sigma)
    height = float(sigma[0]) if scale is None else max(scale, float(sigma[0]))
    threshold = (epsilon(sigma) if eps is None else eps) * max(shape) * height
    return int(xp.sum(xp.astype(sigma > threshold, xp.int64)))


def _entropy_from_uniform(masses: Array) -> float:
    """``log n - H(masses / sum)`` with ``0 log 0 = 0``."""
    _require_nonzero(masses)
    xp = namespace(masses)
    share = masses / xp.sum(masses)
    logs = xp.log(xp.where(share > 0, share, xp.ones_like(share)))
    return max(0.0, math.log(masses.shape[0]) + float(xp.sum(share * logs)))


def _require_nonzero(sigma: Array) -> None:
    if not float(sigma[0]) > 0:
        raise ValueError("every singular value is zero; entropies and effective ranks are defined for nonzero matrices")
