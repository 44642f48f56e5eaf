"""Heads by truncation: a singular value decomposition of log-probabilities, cut at d and mapped back to logits.

Nothing is optimised here.  The heads are the witnesses of the spectral upper bounds and the starting points of fits.

Around the unigram law ``p_bar`` the divergence is, to second order, half the squared distance of logits in the metric
``D_pi^{1/2} . D_{p_bar}^{1/2} Pi`` (``theory.geometry.to_metric``).  Its weights have rank one, so the best rank-d
approximation is a truncated SVD.  Zeros have no logarithm: they are smoothed first,
``(1 - share) P + share p_bar``, whose log-ratio to ``share p_bar``

    S_cv = log(1 + (1 - share) p_cv / (share p_bar_v))

is zero wherever p is.  A sparse table therefore stays sparse, and the gauge and the anchor are rank-one corrections.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import numpy as np

from synth import ContextualDistribution
from synth._array import Array, like, namespace, to_numpy
from theory.geometry import centre_contexts, to_metric, token_mean
from theory.head import Head
from theory.remember import remembered

SPARSE_ENTRIES = 2**20
"""Entries (C V) from which a sparse table is decomposed by Lanczos iterations rather than written out."""

UNSEEN_MARGIN = 60.0
"""Logit by which tokens of probability zero everywhere stay below the others: a share of ``e^-60`` of the mass."""


class Anchor(Enum):
    """The law whose logits are taken out before the truncation and kept as a bias, or as one of the d dimensions."""

    MEAN = "the geometric mean of the contexts' laws, the best bias in the metric"
    MARGINAL = "the unigram law, the best bias alone"
    NONE = "none: the log-probabilities themselves are truncated"


def gauge_truncation(distribution: ContextualDistribution, dim: int, bias: bool) -> Head:
    """Truncated SVD of ``D_pi^{1/2} L J``; a bias first takes the mean over contexts.

    Needs every probability positive.  Cost: one eigendecomposition for all dimensions, O(C V min(C, V)).
    """
    M, basis = _gauge_basis(distribution, bias)
    root = namespace(M).sqrt(distribution.weights)[:, None]
    U = leading_frame(M, basis, dim)
    mean = distribution.weights @ distribution.centred_logits
    return _assemble(U / root, M.T @ U, mean if bias else None, dim)


@remembered
def gauge_values(distribution: ContextualDistribution, bias: bool) -> Array:
    """Singular values of ``D_pi^{1/2} L J`` (with a bias, of ``D_pi^{1/2} Q L J``), decreasing.

    Cost: one dense SVD.
    """
    return namespace(distribution.weights).linalg.svdvals(_gauge_matrix(distribution, bias))


@remembered
def _gauge_basis(distribution: ContextualDistribution, bias: bool) -> tuple[Array, Array]:
    """The matrix and its ``short_basis``."""
    M = _gauge_matrix(distribution, bias)
    return M, short_basis(M)


def _gauge_matrix(distribution: ContextualDistribution, bias: bool) -> Array:
    L, weights = distribution.centred_logits, distribution.weights
    return namespace(L).sqrt(weights)[:, None] * (centre_contexts(L, weights) if bias else L)


def short_basis(M: Array) -> Array:
    """Singular vectors of ``M`` (C, V) on its shorter side, by the eigenvectors of its Gram matrix, leading first.

    A direction is found to within ``eps sigma_1^2 / sigma^2``: the energy that a truncation misplaces is of order
    ``eps sigma_1^2``, whatever the direction.
    """
    xp = namespace(M)
    gram = M @ M.T if M.shape[0] <= M.shape[1] else M.T @ M
    return xp.flip(xp.linalg.eigh(gram)[1], axis=1)


def leading_frame(M: Array, basis: Array, dim: int) -> Array:
    """Orthonormal columns (C, min(dim, C, V)) that span the leading left singular vectors, from ``short_basis``."""
    leading = basis[:, : min(dim, *M.shape)]
    return leading if M.shape[0] <= M.shape[1] else namespace(M).linalg.qr(M @ leading)[0]


def unigram_truncation(
    distribution: ContextualDistribution, dim: int, bias: bool, share: float = 0.0, anchor: Anchor | None = None
) -> Head:
    """The head of dimension ``dim`` that truncates ``log((1 - share) P + share p_bar)`` in the unigram metric.

    ``share = 0`` needs every probability of a seen token positive.  Without a bias an anchor costs one of the
    dimensions.  The default is the mean with a bias, none without; a dimension of 0 keeps the unigram law as its bias,
    and a table with tokens never seen is always anchored (their logits need a common direction).
    Cost: one eigendecomposition for all dimensions, or for large sparse tables O(d) products with the nonzeros for
    each.  Deterministic.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must lie in [0, 1), found {share}")
    xp = namespace(distribution.marginal)
    seen = distribution.marginal > 0
    log_base = xp.where(seen, distribution.log_marginal, xp.zeros_like(distribution.marginal))
    anchor = _choose_anchor(anchor, dim, bias, bool(xp.all(seen)))
    spent = int(anchor is not Anchor.NONE and not bias and dim > 0)
    entries = distribution.contexts * distribution.vocab
    kept = dim - spent
    if distribution.is_sparse and share > 0 and entries > SPARSE_ENTRIES and kept < min(distribution.table.shape) - 1:
        H, W, shift = _sparse_factors(distribution, kept, share, anchor)
    else:
        H, W, shift = _dense_factors(distribution, kept, share, anchor)
    W = xp.where(seen[:, None], W, xp.zeros_like(W))
    if anchor is Anchor.NONE:
        return _assemble(H, W, xp.zeros_like(log_base) if bias else None, dim)
    b = log_base - shift
    # H W' has mean zero under p_bar, so the largest logit of a context is at least sum_v p_bar_v b_v
    lowest = float(distribution.marginal @ xp.where(seen, b, xp.zeros_like(b))) - UNSEEN_MARGIN
    b = xp.where(seen, b, xp.full_like(b, lowest))
    if bias:
        return _assemble(H, W, b, dim)
    if dim == 0:
        return _assemble(H, W, None, dim)
    return _assemble(
        xp.concat([H, like(np.ones((H.shape[0], 1)), H)], axis=1), xp.concat([W, b[:, None]], axis=1), None, dim
    )


def _choose_anchor(anchor: Anchor | None, dim: int, bias: bool, all_seen: bool) -> Anchor:
    if anchor is None:
        anchor = Anchor.MEAN if bias else Anchor.NONE
    if (dim == 0 and bias) or (anchor is Anchor.NONE and not all_seen):
        return Anchor.MARGINAL
    return anchor


def _assemble(H: Array, W: Array, b: Array | None, dim: int) -> Head:
    """The head, padded with zero columns up to ``dim``."""
    xp = namespace(H)
    missing = dim - int(H.shape[1])
    if missing > 0:
        H = xp.concat([H, like(np.zeros((H.shape[0], missing)), H)], axis=1)
        W = xp.concat([W, like(np.zeros((W.shape[0], missing)), W)], axis=1)
    return Head(H, W, b)


def _dense_factors(
    distribution: ContextualDistribution, dim: int, share: float, anchor: Anchor
) -> tuple[Array, Array, Array]:
    """``H``, ``W`` and the anchor's shift ``a``: ``H W'`` truncates ``S + 1a'`` at rank ``dim`` in the metric."""
    centred, basis, shift = _unigram_basis(distribution, share, anchor)
    root = namespace(centred).sqrt(distribution.weights)[:, None]
    U = leading_frame(to_metric(centred, distribution.weights, distribution.marginal), basis, dim)
    return U / root, centred.T @ (root * U), shift  # W = Z' D_pi H: H is orthonormal under pi


@remembered
def _unigram_basis(distribution: ContextualDistribution, share: float, anchor: Anchor) -> tuple[Array, Array, Array]:
    """``Z = S + 1a'`` less its means under ``p_bar``, its ``short_basis`` in the metric, and ``a``."""
    log_p, base, weights = distribution.log_p, distribution.marginal, distribution.weights
    xp = namespace(log_p)
    seen = base > 0
    log_base = xp.where(seen, distribution.log_marginal, xp.zeros_like(base))
    S = log_p - log_base[None, :]
    if share > 0:
        S = xp.logaddexp(S + math.log((1 - share) / share), xp.zeros_like(S))
    S = xp.where(seen[None, :], S, xp.zeros_like(S))
    if not bool(xp.all(xp.isfinite(S))):
        raise ValueError("share = 0 needs every probability positive; pass a share > 0 to smooth the zeros")
    shift = {Anchor.MEAN: -(weights @ S), Anchor.MARGINAL: xp.zeros_like(base), Anchor.NONE: log_base}[anchor]
    Z = S + shift[None, :]
    centred = Z - token_mean(Z, base)[:, None]
    return centred, short_basis(to_metric(centred, weights, base)), shift


@remembered
def _sparse_factors(
    distribution: ContextualDistribution, dim: int, share: float, anchor: Anchor
) -> tuple[Array, Array, Array]:
    """The same factors by Lanczos iterations (``scipy.sparse.linalg.svds``) on the host; S is never written out.

    Each dimension is computed for itself: cut from a larger one, its last digits would depend on what was asked before.
    """
    from scipy.sparse.linalg import LinearOperator, svds

    table: Any = distribution.table
    weights = to_numpy(distribution.weights).astype(np.float64)
    base = to_numpy(distribution.marginal).astype(np.float64)
    log_base = np.log(np.where(base > 0, base, 1.0))
    columns = to_numpy(table.columns)
    ratio = to_numpy(table.log_p).astype(np.float64) - log_base[columns] + math.log((1 - share) / share)
    S = table.to_csr(np.logaddexp(ratio, 0.0))
    St = S.T.tocsr()
    shift = {Anchor.MEAN: -(St @ weights), Anchor.MARGINAL: np.zeros_like(base), Anchor.NONE: log_base}[anchor]
    left, right = np.sqrt(weights)[:, None], np.sqrt(base)[:, None]
    axis = right / np.linalg.norm(right)

    def forward(x: np.ndarray) -> np.ndarray:  # D_pi^{1/2} (S + 1a') D_base^{1/2} Pi x
        x = x.reshape(len(base), -1)
        x = right * (x - axis * (axis.T @ x))
        return left * (S @ x + shift @ x)

    def backward(y: np.ndarray) -> np.ndarray:
        y = left * y.reshape(len(weights), -1)
        z = right * (St @ y + np.outer(shift, y.sum(axis=0)))
        return z - axis * (axis.T @ z)

    root = np.zeros((len(weights), 0))
    if dim > 0:
        operator = LinearOperator(
            S.shape, matvec=forward, rmatvec=backward, matmat=forward, rmatmat=backward, dtype=np.float64
        )
        start = np.random.default_rng(0).standard_normal(min(S.shape))
        U, sigma, _ = svds(operator, k=dim, v0=start, solver="arpack")
        root = left * U[:, np.argsort(-sigma)]
    mean = S @ base + shift @ base
    W = St @ root + np.outer(shift, root.sum(axis=0)) - (mean @ root)[None, :]
    reference = distribution.weights
    return like(root / weights[:, None], reference), like(W, reference), like(shift, reference)
