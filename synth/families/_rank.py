"""Rank of a product, claimed only where both factors show it beyond rounding."""

from __future__ import annotations

import numpy as np


def product_rank(left: np.ndarray, right: np.ndarray) -> int | None:
    """Rank K of ``left @ right``, shapes (C, K) and (K, V), if both factors clearly have full rank K; else ``None``.

    Full column rank times full row rank is rank K exactly (Sylvester).  "Clearly" asks that the condition numbers of
    the factors, multiplied, leave the K-th singular value of the product a thousand times above rounding.
    """
    (contexts, inner), vocab = left.shape, right.shape[1]
    if inner > min(contexts, vocab):
        return None
    condition = _condition(left) * _condition(right)
    return inner if condition * 1e3 * float(np.finfo(np.float64).eps) * max(contexts, vocab) < 1 else None


def _condition(matrix: np.ndarray) -> float:
    sigma = np.linalg.svd(matrix, compute_uv=False)
    return float(sigma[0] / sigma[-1]) if sigma[-1] > 0 else float("inf")
