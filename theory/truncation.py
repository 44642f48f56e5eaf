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


def gauge_truncation(distribution: ContextualDistribution, dim: int, bias: bool) -> tuple[Head, Array]:
    """Truncated SVD of ``D_pi^{1/2} L J`` and all its singular values; a bias first takes the mean over contexts.

    Needs every probability positive.  Cost: one dense SVD for all dimensions, O(C V min(C, V)).
    """
    U, sigma, Vt, mean = _gauge_svd(distribution, bias)
    root = namespace(U).sqrt(distribution.weights)[:, None]
    kept = min(dim, int(sigma.shape[0]))
    H, W = U[:, :kept] / root, Vt[:kept, :].T * sigma[None, :kept]
    return _assemble(H, W, mean if bias else None, dim), sigma


@remembered
def _gauge_svd(distribution: ContextualDistribution, bias: bool) -> tuple[Array, Array, Array, Array]:
    """``U``, ``sigma``, ``V'`` of ``D_pi^{1/2} L J`` (with a bias, of ``D_pi^{1/2} Q L J``), and the mean row."""
    L, weights = distribution.centred_logits, distribution.weights
    xp = namespace(L)
    M = centre_contexts(L, weights) if bias else L
    U, sigma, Vt = xp.linalg.svd(xp.sqrt(weights)[:, None] * M, full_matrices=False)
    return U, sigma, Vt, weights @ L


def unigram_truncation(
    distribution: ContextualDistribution, dim: int, bias: bool, share: float = 0.0, anchor: Anchor | None = None
) -> Head:
    """The head of dimension ``dim`` that truncates ``log((1 - share) P + share p_bar)`` in the unigram metric.

    ``share = 0`` needs every probability of a seen token positive.  Without a bias an anchor costs one of the
    dimensions.  The default is the mean with a bias, none without; a dimension of 0 keeps the unigram law as its bias,
    and a table with tokens never seen is always anchored (their logits need a common direction).
    Cost: one dense SVD for all dimensions, or for large sparse tables O(d) products with the nonzeros for each.
    Deterministic.
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
    U, centred, shift = _unigram_svd(distribution, share, anchor)
    root = namespace(U).sqrt(distribution.weights)[:, None]
    U = U[:, : min(dim, int(U.shape[1]))]
    return U / root, centred.T @ (root * U), shift  # W = Z' D_pi H: H is orthonormal under pi


@remembered
def _unigram_svd(distribution: ContextualDistribution, share: float, anchor: Anchor) -> tuple[Array, Array, Array]:
    """Left singular vectors of ``Z = S + 1a'`` in the metric, ``Z`` less its means under ``p_bar``, and ``a``."""
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
    U = xp.linalg.svd(to_metric(Z, weights, base), full_matrices=False)[0]
    return U, Z - token_mean(Z, base)[:, None], shift


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
