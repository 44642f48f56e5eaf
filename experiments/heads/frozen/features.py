"""Features made easy to fit on: centred, whitened, and freed of directions that hold nothing but rounding.

With ``mu = X' pi`` (zero without a bias) the fits work on ``Z = (X - mu) T`` (N, k), ``T`` (D, k) such that
``Z' pi Z = I``.  A head ``W_z`` (V, k) with bias ``c`` on Z is the head ``W = W_z T'`` with bias ``c - W mu`` on X, and
``W_z = W K'`` leads back, ``K`` (k, D) the left inverse of T.

Columns are first scaled to unit variance, which makes the result independent of their units; the eigenvectors of the
scaled second moment then give T.  A column is dropped when its variance is no larger than the rounding of its mean,
``N eps^2`` times its mean square; a direction, when its eigenvalue is no larger than ``D eps`` times the largest plus
the rounding of the columns.  Whitening leaves a rotation free: it is chosen such that ``T'T`` is diagonal, so that a
ridge on ``W`` acts on the columns of ``W_z`` separately: ``|W|^2 = sum_j stiffness_j |W_z,j|^2``.
"""

from __future__ import annotations

from dataclasses import dataclass

from synth._array import Array, epsilon, namespace

Factors = tuple[Array, Array, Array | None]
"""Of a head: ``A`` (V, r), ``B`` (r, k) on whitened features or (r, D) on those given, and the bias (V,)."""


@dataclass(frozen=True, eq=False)
class Whitened:
    """Whitened features ``Z`` (N, k) with the maps there and back: see the head of this file."""

    Z: Array
    mean: Array  # mu (D,)
    T: Array  # (D, k)
    K: Array  # (k, D)
    stiffness: Array  # diagonal of T'T (k,)

    @property
    def width(self) -> int:
        """Number k of directions kept."""
        return int(self.Z.shape[1])


def whiten(X: Array, pi: Array, centre: bool) -> Whitened:
    """Whiten features (N, D) under weights (N,).  Cost: O(N D^2 + D^3)."""
    xp, eps = namespace(X), epsilon(X)
    mean = pi @ X if centre else xp.zeros_like(X[0, :])
    centred = X - mean[None, :]
    variance = pi @ (centred * centred)
    noise = X.shape[0] * eps**2 * (pi @ (X * X))
    kept = variance > noise
    scale = xp.sqrt(xp.where(kept, variance, xp.ones_like(variance)))
    unit = xp.where(kept, 1.0 / scale, xp.zeros_like(scale))
    scaled = centred * unit[None, :]
    values, vectors = xp.linalg.eigh(scaled.T @ (pi[:, None] * scaled))
    least = X.shape[1] * eps * float(values[-1]) + float(xp.sum(noise * unit * unit))
    dropped = int(xp.sum(xp.astype(values <= least, xp.int64)))
    roots, vectors = xp.sqrt(values[dropped:]), vectors[:, dropped:]
    T, K = unit[:, None] * vectors / roots[None, :], (vectors * roots[None, :]).T * scale[None, :]
    if roots.shape[0]:
        _, rotation = xp.linalg.eigh(T.T @ T)
        T, K = T @ rotation, rotation.T @ K
    return Whitened(centred @ T, mean, T, K, xp.sum(T * T, axis=0))
