"""The geometry of softmax: its gauge, its curvature, and the unigram metric in which log-probabilities are measured.

Symbols: ``A`` (C, V) logits, ``pi`` (C,) context weights, ``s`` (V,) positive token weights, ``J = I - 11'/V``.
Everything runs on any array library and returns arrays of the library that came in.
"""

from __future__ import annotations

from synth._array import Array, namespace


def centre(A: Array) -> Array:
    """``A J``: logits minus their mean over tokens.  Softmax cannot tell ``A`` from ``A J`` (the gauge).

    Shape (..., V) -> (..., V).
    """
    return A - namespace(A).mean(A, axis=-1, keepdims=True)


def centre_contexts(M: Array, weights: Array) -> Array:
    """``M - 1 (pi' M)``: what is left of (C, V) logits when a bias has taken their weighted mean over contexts."""
    return M - (weights @ M)[None, :]


def token_mean(M: Array, base: Array) -> Array:
    """``sum_v s_v M_cv / sum_v s_v``, shape (C, V), (V,) -> (C,)."""
    return (M @ base) / namespace(base).sum(base)


def to_metric(M: Array, weights: Array, base: Array) -> Array:
    """``D_pi^{1/2} M D_s^{1/2} Pi_s`` with ``Pi_s`` projecting ``sqrt(s)`` away: the metric of ``pi`` and ``s``.

    ``M D_s^{1/2} Pi_s`` is ``(M - mean_s(M) 1') D_s^{1/2}``, so the squared Frobenius norm of the result is
    ``sum_c pi_c min_u sum_v s_v (M_cv - u)^2``: energy after the best gauge.  With ``s`` the unigram law this is the
    Fisher metric there, and half the squared norm is the divergence to second order.
    """
    xp = namespace(M)
    return xp.sqrt(weights)[:, None] * (M - token_mean(M, base)[:, None]) * xp.sqrt(base)[None, :]


def from_metric(X: Array, weights: Array, base: Array) -> Array:
    """``D_pi^{-1/2} X D_s^{-1/2}``: the logits (in the gauge of mean zero under ``s``) that ``to_metric`` maps to X."""
    xp = namespace(X)
    return X / xp.sqrt(weights)[:, None] / xp.sqrt(base)[None, :]


def curvature_product(p: Array, X: Array) -> Array:
    """``(diag(p) - p p') x`` row by row: the Hessian of log-sum-exp applied to logit directions.

    Shapes (..., V), (..., V) -> (..., V).
    """
    xp = namespace(p, X)
    return p * (X - xp.sum(p * X, axis=-1, keepdims=True))


def variance(p: Array, X: Array) -> Array:
    """``Var_p(x) = x' (diag(p) - p p') x`` row by row, shape (..., V), (..., V) -> (...)."""
    xp = namespace(p, X)
    centred = X - xp.sum(p * X, axis=-1, keepdims=True)
    return xp.sum(p * centred * centred, axis=-1)


def anisotropy(H: Array) -> float:
    """Mean cosine between two different rows of ``H`` (N, d), in O(N d) and without the N x N matrix.

    With unit rows ``h_i``, ``|sum_i h_i|^2 = N + sum_{i != j} cos(h_i, h_j)``.  Raises ``ValueError`` for fewer than
    two rows or a row of zeros, which has no direction.
    """
    xp = namespace(H)
    count = int(H.shape[0])
    norms = xp.sqrt(xp.sum(H * H, axis=1))
    if count < 2 or bool(xp.any(norms == 0)):
        raise ValueError(
            f"anisotropy needs at least two rows, none of them zero; found {count} rows, "
            f"{int(xp.sum(xp.astype(norms == 0, xp.int64)))} of them zero"
        )
    total = xp.sum(H / norms[:, None], axis=0)
    return (float(xp.sum(total * total)) - count) / (count * count - count)
