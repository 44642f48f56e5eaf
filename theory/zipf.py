"""The null of W-error: what the curve would be if every context had a single continuation.

If every row of M (C, V) is one-hot, ``M'M = diag(n)`` with ``n_v`` the number of contexts that continue with v, so

    W-error(d)^2 = tail mass beyond d of the sorted next-token marginal,    n_v / C,

whatever the contexts are: the rank of such a matrix is the number of different tokens, and its spectrum is their
frequency law.  Long n-grams of a text are mostly one-hot, and their W-error is then Zipf's law and little else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from theory.large_spectrum import _dims, _tails_of


def one_hot_share(M: Any) -> float:
    """Share of the rows of a sparse M (C, V) that have a single nonzero entry."""
    from scipy.sparse import csr_array

    matrix = csr_array(M)
    matrix.eliminate_zeros()
    return float(np.mean(np.diff(matrix.indptr) == 1))


def zipf_w_error(M: Any, dims: Sequence[int]) -> np.ndarray:
    """``(tail mass of the sorted column sums of M)^{1/2}`` at each of ``dims``: the W-error were all rows one-hot.

    M (C, V) has nonnegative rows that sum to one.  Exact for one-hot rows, no bound otherwise.  O(nnz + V log V).
    """
    from scipy.sparse import csr_array

    mass = np.asarray(csr_array(M).sum(axis=0)).ravel()
    return np.sqrt(_tails_of(mass, _dims(dims, len(mass))) / mass.sum())
