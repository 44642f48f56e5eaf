"""Metrics in which the matrix of a head is truncated: raw, data-whitened, unigram (Fisher), information.

A metric is a second moment of features ``Sigma`` (D, D) about a centre ``mu`` and token weights ``s`` (V,).  It
measures a matrix by

    |M|^2 = |D_s^{1/2} (M - 1 s'M / sum s) Sigma^{1/2}|_F^2 = sum_n r_n min_u sum_v s_v (M_v (x_n - mu) - u)^2,

with ``Sigma = sum_n r_n (x_n - mu)(x_n - mu)'``: squared errors of logits with weights ``r_n s_v`` of rank one, gauge
and bias taken out.  By Eckart and Young the best matrix of rank r is the truncated decomposition, and the squared
distance its tail.  Everything goes through the (k, k) Gram matrix ``T^{-1} W' D_s W T^{-T}``; no N x V table is held.

- raw: ``Sigma = I``, ``s = 1``, no gauge: the decomposition of W itself (Godey, de la Clergerie & Sagot 2024).
- whitened: ``r = pi``, ``s = 1``: every token counts the same.
- unigram: ``r = pi``, ``s = p_bar``: to second order the divergence is half the squared distance around ``p_bar``.
- information: the curvature of the divergence at ``p_n`` is ``diag(p_n) - p_n p_n'``, whose diagonal
  ``pi_n p_nv (1 - p_nv)`` has row sums ``r_n`` and column sums; their product over the total is the rank-one table
  with the same sums.  A peaked context has little curvature and counts little, which the unigram metric cannot see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from weakref import WeakKeyDictionary

from synth._array import Array, device, epsilon, namespace
from theory.frozen.heads import FrozenHead
from theory.frozen.problem import FrozenProblem


@dataclass(frozen=True, eq=False)
class Metric:
    """``mean`` (D,), ``T`` (D, k) with ``T' Sigma T = I``, its left inverse ``K`` (k, D), token weights ``s`` (V,).

    ``W`` (V, D) and ``b`` (V,) or ``None`` are those of the full head that it measures.
    """

    W: Array
    b: Array | None
    mean: Array
    T: Array
    K: Array
    s: Array
    gauge: bool = True

    @property
    def rank(self) -> int:
        """Number k of directions the features have."""
        return int(self.K.shape[0])

    @cached_property
    def centred(self) -> Array:
        """``W - 1 s'W / sum s`` (V, D): the matrix in the gauge of the metric."""
        W, s = self.W, self.s
        return W - ((s @ W) / namespace(W).sum(s))[None, :] if self.gauge else W

    @cached_property
    def _decomposition(self) -> tuple[Array, Array]:
        """Squared singular values, decreasing, and right singular vectors (k, k) in whitened features."""
        xp, W = namespace(self.s), self.centred
        gram = self.K @ (W.T @ (self.s[:, None] * W)) @ self.K.T
        values, vectors = xp.linalg.eigh((gram + gram.T) / 2)
        values, vectors = xp.flip(values), xp.flip(vectors, axis=1)
        return xp.where(values > 0, values, xp.zeros_like(values)), vectors

    @property
    def sigma(self) -> Array:
        """Singular values (k,) of ``Sigma^{1/2} W' D_s^{1/2}`` in the gauge, decreasing."""
        return namespace(self.s).sqrt(self._decomposition[0])

    def tail(self, rank: int) -> float:
        """Squared distance of W from the matrices of this rank: ``sum_{j > rank} sigma_j^2``."""
        return float(namespace(self.s).sum(self._decomposition[0][rank:]))

    def truncation(self, rank: int) -> FrozenHead:
        """The nearest head of this rank, of logits ``W_r (x - mu) + W mu + b``; no more columns than directions."""
        basis = self._decomposition[1][:, : min(rank, self.rank)]
        A, B = self.centred @ (self.K.T @ basis), basis.T @ self.T.T
        if self.b is None:
            return FrozenHead(A, B, None)
        return FrozenHead(A, B, self.b + self.W @ self.mean - A @ (B @ self.mean))


def _kept(make: Callable[[FrozenProblem], Metric]) -> Callable[[FrozenProblem], Metric]:
    """Decorator: a problem's metric is made once and lives as long as the problem."""
    found: WeakKeyDictionary[FrozenProblem, Metric] = WeakKeyDictionary()

    @wraps(make)
    def metric(problem: FrozenProblem) -> Metric:
        if problem not in found:
            found[problem] = make(problem)
        return found[problem]

    return metric


@_kept
def raw(problem: FrozenProblem) -> Metric:
    """The plain decomposition of W, blind to features and laws; its centre is still the mean of the features."""
    xp = namespace(problem.X)
    identity = xp.eye(problem.width, dtype=problem.X.dtype, device=device(problem.X))
    mean = problem.weights @ problem.X if problem.bias else xp.zeros_like(problem.X[0, :])
    return Metric(problem.W, problem.b, mean, identity, identity, xp.ones_like(problem.full_bias), gauge=False)


@_kept
def whitened(problem: FrozenProblem) -> Metric:
    """Second moment of the features, every token alike: the spectrum of "frozen-smoothness"."""
    return weighted(problem, problem.weights, namespace(problem.X).ones_like(problem.full_bias))


@_kept
def unigram(problem: FrozenProblem) -> Metric:
    """The Fisher metric at the unigram law: the spectrum of "frozen-unigram"."""
    return weighted(problem, problem.weights, problem.moments.marginal)


@_kept
def information(problem: FrozenProblem) -> Metric:
    """Weights ``r_n s_v`` with the sums of ``pi_n p_nv (1 - p_nv)`` by row and column; if all vanish, the unigram's."""
    xp, moments = namespace(problem.X), problem.moments
    r = problem.weights * moments.spread
    s = xp.where(moments.token_variance > 0, moments.token_variance, xp.zeros_like(moments.token_variance))
    total = float(xp.sum(r))
    if not total > 0:
        return unigram(problem)
    return weighted(problem, r, s / total)


METRICS: dict[str, Callable[[FrozenProblem], Metric]] = {
    "raw": raw,
    "whitened": whitened,
    "unigram": unigram,
    "information": information,
}


def weighted(problem: FrozenProblem, r: Array, s: Array) -> Metric:
    """The metric of row weights ``r`` (N,) and token weights ``s`` (V,), both >= 0.  Cost: O(N D^2 + D^3 + V D^2)."""
    xp, X = namespace(problem.X), problem.X
    total = xp.sum(r)
    mean = (r @ X) / total if problem.bias else xp.zeros_like(X[0, :])
    centred = X - mean[None, :]
    T, K = whitening(centred, r, total * (mean * mean))
    return Metric(problem.W, problem.b, mean, T, K, s)


def whitening(centred: Array, r: Array, offset: Array) -> tuple[Array, Array]:
    """``T`` (D, k) and ``K`` (k, D): ``T' Sigma T = I``, ``K T = I``, ``Sigma = centred' D_r centred``.

    Columns are scaled to unit variance first.  Dropped are columns whose variance is the rounding of their mean
    (``N eps^2`` times its square, ``offset`` (D,) being weighted squares of the mean) and directions whose eigenvalue
    is below ``D eps`` of the largest.
    """
    xp, eps = namespace(centred), epsilon(centred)
    variance = r @ (centred * centred)
    kept = variance > centred.shape[0] * eps**2 * (offset + variance)
    scale = xp.sqrt(xp.where(kept, variance, xp.ones_like(variance)))
    unit = xp.where(kept, 1 / scale, xp.zeros_like(scale))
    scaled = centred * unit[None, :]
    values, vectors = xp.linalg.eigh(scaled.T @ (r[:, None] * scaled))
    dropped = int(xp.sum(xp.astype(values <= centred.shape[1] * eps * values[-1], xp.int64)))
    roots, vectors = xp.sqrt(values[dropped:]), vectors[:, dropped:]
    return unit[:, None] * vectors / roots[None, :], (vectors * roots[None, :]).T * scale[None, :]
