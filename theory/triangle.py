"""The triangular factor of a tall matrix, a block of rows at a time: everything a spectrum needs of it.

``M = Q R`` with R (min(n, d), d) upper triangular.  R has the singular values and the right singular vectors of M, and
``M S`` those of ``R S`` for any S; unlike the eigenvalues of ``M'M`` they keep their relative precision.  Blocks are
folded one after the other: the factor of ``[R; block]`` is that of all rows so far.
"""

from __future__ import annotations

import numpy as np

BLOCK_ENTRIES = 2**22
"""Entries (32 MiB in float64) folded at once."""


def triangle(M: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
    """R of ``M - 1 shift'`` for M (n, d), in float64 whatever the type of M; ``shift`` (d,) defaults to zero.

    Signs of rows are arbitrary.  Raises ``ValueError`` for anything but a finite matrix.
    Cost: O(n d^2) time, O(d^2) memory beside a block.

    >>> abs(triangle(np.array([[3.0], [4.0]])))
    array([[5.]])
    """
    if M.ndim != 2 or M.size == 0 or not np.all(np.isfinite(M)):
        raise ValueError(f"M must be a finite matrix (n, d), found shape {M.shape}; drop rows with NaN or infinity")
    rows = max(M.shape[1], BLOCK_ENTRIES // M.shape[1])
    R: np.ndarray = np.zeros((0, M.shape[1]))
    for start in range(0, len(M), rows):
        block = M[start : start + rows].astype(np.float64)
        R = np.asarray(np.linalg.qr(np.vstack([R, block if shift is None else block - shift]), mode="r"))
    return R
