"""Tail energies of a sparse matrix too large for a dense decomposition: exact at small V, intervals at large V.

Setting: M (C, V) sparse, ``G = M'M`` (V, V), eigenvalues ``lambda_i = sigma_i(M)^2`` decreasing, and the tail energies
``tail_d = sum_{i > d} lambda_i`` of :mod:`theory.spectrum`.  M is never written out; neither is G beyond ``dense()``.

**Two bounds for every d at no cost.**  Rows with a single nonzero entry add a diagonal, ``G = diag(n) + R'R``, with R
the other rows.  Since ``G >= diag(n)`` as a form, ``lambda_i >= n_(i)`` (sorted), and by Schur (1923) sums of the
largest eigenvalues are at least sums of the largest diagonal entries of G, so

    sum_{i > d} n_(i)  <=  tail_d  <=  sum_{i > d} (diag G)_(i).

**Tighter at small d.**  Let Q (V, k) be orthonormal Ritz vectors, ``Q'GQ = diag(theta)``, residual ``S = R_Q'R_Q`` with
``R_Q = GQ - Q diag(theta)``, and ``delta >= |D|`` with D the part of G outside Q.

* ``sum_{i <= d} lambda_i >= sum_{i <= d} theta_i`` (Ky Fan 1949): an upper bound on the tail.
* If ``theta_d > delta``, then for ``i <= d`` the i-th eigenvalue of ``diag(theta) + B'(lambda_i - D)^{-1} B`` is
  ``lambda_i`` (Schur complement and inertia), where ``B'B = S``, so ``lambda_i <= lambda_i(diag(theta) + S / (theta_d -
  delta))``: a lower bound on the tail.  Beyond, each further dimension takes at most the last eigenvalue so bounded.

``delta`` comes from m Lanczos steps on D from a random start: their largest value xi has ``|D| <= xi / (1 - eps)``,
except with probability ``1.648 sqrt(V) exp(-sqrt(eps) (2m - 1))`` (Kuczynski & Wozniakowski 1992), set to ``FAILURE``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth._check import integer

FAILURE = 1e-10
"""Probability that an interval from a random start does not hold."""

STEPS = 80
"""Lanczos steps for the norm of what lies outside the Ritz vectors."""

ANCHORS = 4
"""Dimensions, besides those asked for, at which the largest eigenvalues are bounded from above."""

BLOCK = 2**24
"""Numbers held at once in a product with many vectors."""


@dataclass(frozen=True)
class Gram:
    """``G = M'M = diag(single) + R'R``: ``single`` (V,) from rows with one nonzero entry, ``rest`` R sparse."""

    single: np.ndarray
    rest: Any

    @classmethod
    def of(cls, M: Any) -> Gram:
        """From a SciPy sparse or dense matrix M (C, V).  ``ValueError`` for an empty or non-finite one."""
        from scipy.sparse import csr_array

        matrix = csr_array(M, dtype=np.float64)
        matrix.eliminate_zeros()
        if matrix.nnz == 0 or not np.all(np.isfinite(matrix.data)):
            raise ValueError(f"M of shape {matrix.shape} has {matrix.nnz} nonzero entries; finite ones are needed")
        alone = np.diff(matrix.indptr) == 1
        ones = matrix[alone]
        single = np.bincount(ones.indices, weights=ones.data**2, minlength=matrix.shape[1])
        return cls(single, matrix[~alone])

    @property
    def size(self) -> int:
        """V."""
        return len(self.single)

    @property
    def diagonal(self) -> np.ndarray:
        """``diag G`` (V,): the energy of each column of M."""
        return self.single + np.bincount(self.rest.indices, weights=self.rest.data**2, minlength=self.size)

    @property
    def trace(self) -> float:
        """``|M|_F^2``."""
        return float(math.fsum(self.diagonal))

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        """``G X`` for X (V, k), a block of the rows of R at a time."""
        out = self.single[:, None] * X
        rows = max(1, BLOCK // X.shape[1])
        for start in range(0, self.rest.shape[0], rows):
            block = self.rest[start : start + rows]
            out += block.T @ (block @ X)
        return out

    def dense(self) -> np.ndarray:
        """G (V, V) written out."""
        return np.diag(self.single) + (self.rest.T @ self.rest).toarray()


@dataclass(frozen=True)
class Tails:
    """``lower <= tail_d <= upper`` at each of ``dims``; ``total`` is ``|M|_F^2``, ``failure`` the chance of error."""

    dims: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    total: float
    failure: float

    def w_error(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ``W-error(d) = (tail_d / total)^{1/2}``."""
        return np.sqrt(self.lower / self.total), np.sqrt(self.upper / self.total)


def exact_tails(gram: Gram, dims: Sequence[int]) -> Tails:
    """Tails from every eigenvalue of G, up to rounding ``V eps |M|_F^2``: O(V^3) time, O(V^2) memory."""
    from scipy.linalg import eigvalsh

    values = np.clip(eigvalsh(gram.dense(), overwrite_a=True, check_finite=False), 0.0, None)
    tails = _tails_of(values, _dims(dims, gram.size))
    return Tails(_dims(dims, gram.size), tails, tails, gram.trace, 0.0)


def column_tails(gram: Gram, dims: Sequence[int]) -> Tails:
    """The bounds by single-entry rows and by column energies: O(nnz + V log V)."""
    at = _dims(dims, gram.size)
    return Tails(at, _tails_of(gram.single, at), _tails_of(gram.diagonal, at), gram.trace, 0.0)


def certified_tails(gram: Gram, dims: Sequence[int], vectors: int = 512, passes: int = 4, seed: int = 0) -> Tails:
    """Intervals from ``vectors`` Ritz vectors after ``passes`` of block power iteration, joined with the column bounds.

    O(passes (nnz + V vectors) vectors) time, O(V vectors) memory.  ``failure`` is ``FAILURE``; the bounds hold with
    rounding, for which ``V eps |M|_F^2`` is set aside.
    """
    integer("vectors", vectors, 1, gram.size, "there are no more")
    integer("passes", passes, 1)
    at, rng = _dims(dims, gram.size), np.random.default_rng(integer("seed", seed, 0))
    theta, Q, S = _ritz(gram, vectors, passes, rng)
    delta = _norm_outside(gram, Q, rng)
    columns, total = column_tails(gram, dims), gram.trace
    inside = np.minimum(at, vectors)
    slack = gram.size * np.finfo(float).eps * total  # rounding of sums and eigenvalues
    upper = np.minimum(columns.upper, slack + total - np.concatenate([[0.0], np.cumsum(theta)])[inside])
    upper = np.maximum(upper, 0.0)
    lower = np.maximum(columns.lower, _lower(theta, S, delta, at, total) - slack)
    return Tails(at, np.minimum(lower, upper), upper, total, FAILURE)


def _ritz(gram: Gram, vectors: int, passes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ritz values (k,) decreasing, Ritz vectors (V, k), and ``S = R_Q'R_Q`` (k, k)."""
    Q = np.linalg.qr(gram @ rng.standard_normal((gram.size, vectors)))[0]
    for _ in range(passes - 1):
        Q = np.linalg.qr(gram @ Q)[0]
    Y = gram @ Q
    theta, U = np.linalg.eigh(Q.T @ Y)
    theta, U = theta[::-1], U[:, ::-1]
    Q, Y = Q @ U, Y @ U
    residual = Y - Q * theta
    return theta, Q, residual.T @ residual


def _norm_outside(gram: Gram, Q: np.ndarray, rng: np.random.Generator) -> float:
    """An upper bound on the norm of ``(I - QQ') G (I - QQ')`` that fails with probability ``FAILURE``."""
    left = gram.size - Q.shape[1]
    steps, slack = min(STEPS, left), gram.size * np.finfo(float).eps * gram.trace
    if steps == 0:
        return 0.0

    def outside(x: np.ndarray) -> np.ndarray:
        return x - Q @ (Q.T @ x)

    x = outside(rng.standard_normal((gram.size, 1)))
    basis = np.zeros((gram.size, steps))
    T = np.zeros((steps, steps))
    for step in range(steps):
        norm = float(np.linalg.norm(x))
        if norm <= slack and step > 0:  # an invariant space: no more to find from this start
            return float(np.linalg.eigvalsh(T[:step, :step])[-1]) + slack
        if step > 0:
            T[step, step - 1] = T[step - 1, step] = norm
        basis[:, [step]] = x / norm
        x = outside(gram @ basis[:, [step]])
        T[step, step] = float(basis[:, step] @ x[:, 0])
        for _ in range(2):  # full orthogonalisation, twice
            x -= basis[:, : step + 1] @ (basis[:, : step + 1].T @ x)
    xi = float(np.linalg.eigvalsh(T)[-1])
    if steps == left:  # the whole space
        return xi + slack
    root = math.log(1.648 * math.sqrt(gram.size) / FAILURE) / (2 * steps - 1)
    return xi / (1 - root**2) + slack if root < 1 else gram.trace


def _lower(theta: np.ndarray, S: np.ndarray, delta: float, at: np.ndarray, total: float) -> np.ndarray:
    """Lower bounds on the tails at ``at``; from the last anchored dimension on, each takes at most its eigenvalue."""
    usable = int(np.sum(theta > delta))
    between = np.geomspace(1, usable, ANCHORS).astype(int).tolist() if usable else []
    anchors = sorted({int(d) for d in at if 0 < d <= usable} | set(between))
    lower = np.zeros(len(at))
    lower[at == 0] = total
    for d in anchors:
        bounded = np.linalg.eigvalsh(np.diag(theta) + S / (theta[d - 1] - delta))[::-1]
        tail, least = total - float(np.sum(bounded[:d])), float(bounded[d - 1])
        beyond = at >= d
        lower[beyond] = np.maximum(lower[beyond], tail - (at[beyond] - d) * least)
    return np.maximum(lower, 0.0)


def _tails_of(energies: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Sums of all but the d largest energies, added from the smallest up."""
    return np.concatenate([[0.0], np.cumsum(np.sort(energies))])[::-1][at]


def _dims(dims: Sequence[int], size: int) -> np.ndarray:
    return np.array([min(integer("each of dims", d, 0), size) for d in dims], dtype=np.int64)
