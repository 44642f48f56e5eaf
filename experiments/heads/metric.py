"""Metrics for the factors of a head: cheap, structured stand-ins for the inverse Hessian.

The Gauss-Newton matrix of the gap couples everything, but its diagonal blocks are small:

    context block c (d x d):   pi_c ( W' diag(q_c) W - m_c m_c' ),   m_c = W' q_c
    token block v (e x e):     sum_c pi_c q_cv (1 - q_cv) h~_c h~_c'

``AveragedMetric`` replaces q_c by the head's unigram law (the preconditioner of scaled gradient descent: Tong, Ma & Chi
2021): almost free.  ``BlockMetric`` holds the exact blocks, plus a tenth of the averaged ones so that they stay
invertible.  Either acts as the initial inverse Hessian of L-BFGS and as the preconditioner of the Newton certificate.

These serve ``Objective``; another kind of objective (a ``Problem``) names its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from experiments.heads.objective import Evaluation, Objective
from synth import ContextualDistribution
from synth._array import Array, device, epsilon, like
from theory import Head

AVERAGED_SHARE = 0.1
"""Share of the averaged metric added to the exact blocks; much less stalls the line search on peaky laws."""


class Metric(Protocol):
    """A positive-definite approximation B of the Hessian that can be solved with."""

    name: str

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        ...


class Problem(Protocol):
    """What a descent needs of an objective other than ``Objective``."""

    @property
    def metrics(self) -> Metrics:
        """The metrics that serve it."""
        ...

    @property
    def xp(self) -> Any:
        """The array namespace."""
        ...

    @property
    def distribution(self) -> ContextualDistribution:
        """The target."""
        ...

    @property
    def dim(self) -> int:
        """Dimension of the head; it paces the change from one metric to the other."""
        ...

    @property
    def ridge(self) -> float:
        """Weight of the penalty; 0 for none."""
        ...

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        ...

    @property
    def evaluations(self) -> float:
        """Gradient evaluations done so far."""
        ...

    def rounding(self, gap: float) -> float:
        """What a difference of two gaps near ``gap`` may owe to rounding, nats."""
        ...

    def dot(self, a: Array, b: Array) -> float:
        """Inner product of two packed vectors."""
        ...

    def value(self, x: Array) -> float:
        """The gap at x, ridge included."""
        ...

    def evaluate(self, x: Array) -> Evaluation:
        """Gap, gradient and unigram law at x."""
        ...

    def hessian_product(self, x: Array, direction: Array) -> Array:
        """Hessian at x times ``direction``."""
        ...

    def head(self, x: Array) -> Head:
        """The head that x stands for."""
        ...


@dataclass(frozen=True)
class Metrics:
    """How the metrics of one kind of objective are built from ``(objective, x, evaluation)``.

    ``blocks`` is ``None`` where exact blocks do not pay; ``block_bytes(objective)`` is the memory they take.
    """

    averaged: Callable[[Any, Array, Evaluation], Metric]
    blocks: Callable[[Any, Array, Evaluation], Metric] | None
    block_bytes: Callable[[Any], int]


class AveragedMetric:
    """``pi_c (x) Cov_qbar(W)`` for contexts and ``qbar_v (x) H~' pi H~`` for tokens, qbar the head's unigram law."""

    name = "averaged"

    def __init__(self, objective: Objective, x: Array, at: Evaluation) -> None:
        xp = objective.xp
        H, Wt = objective.split(x)
        W, Ht = Wt[:, : objective.dim], objective.lift(H)
        self.objective = objective
        self.token_scale = xp.maximum(at.unigram, 1e-6 * objective.base)
        mean = self.token_scale @ W
        covariance = W.T @ (self.token_scale[:, None] * W) - mean[:, None] * mean[None, :]
        self.covariance = regular(xp, covariance + objective.ridge * _eye(xp, covariance))
        (moment,) = objective.summed(Ht.T @ (objective.pi[:, None] * Ht))
        self.moment = regular(xp, moment + objective.ridge * _eye(xp, moment))
        self.inverse_covariance, self.inverse_moment = xp.linalg.inv(self.covariance), xp.linalg.inv(self.moment)

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        gradient_H, gradient_W = self.objective.split(gradient)
        return self.objective.join(
            (gradient_H / self.objective.pi[:, None]) @ self.inverse_covariance,
            (gradient_W / self.token_scale[:, None]) @ self.inverse_moment,
        )


class BlockMetric:
    """Exact per-context and per-token Gauss-Newton blocks, plus ``AVERAGED_SHARE`` of the averaged metric."""

    name = "blocks"

    def __init__(self, objective: Objective, x: Array, at: Evaluation) -> None:
        xp = objective.xp
        averaged = AveragedMetric(objective, x, at)
        self.objective = objective
        contexts, tokens = _blocks(objective, x)
        contexts += AVERAGED_SHARE * objective.pi[:, None, None] * averaged.covariance[None, :, :]
        tokens += AVERAGED_SHARE * averaged.token_scale[:, None, None] * averaged.moment[None, :, :]
        self.inverse_contexts, self.inverse_tokens = xp.linalg.inv(contexts), xp.linalg.inv(tokens)
        objective.work += objective.dim**2 * (1 / objective.all_contexts + 1 / objective.vocab)

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        gradient_H, gradient_W = self.objective.split(gradient)
        return self.objective.join(
            (self.inverse_contexts @ gradient_H[:, :, None])[:, :, 0],
            (self.inverse_tokens @ gradient_W[:, :, None])[:, :, 0],
        )

    @staticmethod
    def bytes_needed(objective: Objective) -> int:
        """Memory of the inverse blocks and their construction."""
        states = objective.size - objective.vocab * objective.columns
        blocks = states * objective.dim + objective.vocab * objective.columns**2
        pairs = (objective.vocab + objective.step) * objective.columns * (objective.columns + 1) // 2
        return 8 * (3 * blocks + pairs)


def metrics_of(objective: Objective | Problem) -> Metrics:
    """The metrics that serve an objective: those of this file, or those it names itself."""
    if isinstance(objective, Objective):
        return Metrics(AveragedMetric, BlockMetric, BlockMetric.bytes_needed)
    return objective.metrics


def _blocks(objective: Objective, x: Array) -> tuple[Array, Array]:
    """Context blocks (C, d, d) and token blocks (V, e, e) of the Gauss-Newton matrix, ridge included.

    All context blocks of a chunk are one product of Q with the pairwise products of the columns of W, of which only
    the upper half is formed; likewise for tokens.
    """
    xp = objective.xp
    H, Wt = objective.split(x)
    W, Ht = Wt[:, : objective.dim], objective.lift(H)
    dim, columns = objective.dim, objective.columns
    half_W, half_H = pairs(dim, x), pairs(columns, x)
    pairs_W = pairwise(xp, W, half_W)
    rows: list[Array] = []
    token_half = xp.zeros((objective.vocab, int(half_H[0].shape[0])), dtype=x.dtype, device=device(x))
    for start, stop, Q in objective.softmax_chunks(x):
        weights = objective.pi[start:stop]
        mean = Q @ W
        second = xp.reshape(xp.take(Q @ pairs_W, half_W[2], axis=1), (stop - start, dim, dim))
        rows.append(weights[:, None, None] * (second - mean[:, :, None] * mean[:, None, :]))
        spread = Q * (1 - Q) * weights[:, None]
        token_half += spread.T @ pairwise(xp, Ht[start:stop, :], half_H)
    objective.work += (dim + 1) / 2 + 1 + (dim + 2) / 2
    (token_half,) = objective.summed(token_half)
    contexts = xp.concat(rows, axis=0)
    tokens = xp.reshape(xp.take(token_half, half_H[2], axis=1), (objective.vocab, columns, columns))
    if objective.ridge:
        contexts += objective.ridge * objective.pi[:, None, None] * _eye(xp, contexts[0, :, :])[None, :, :]
        tokens += objective.ridge * objective.base[:, None, None] * _eye(xp, tokens[0, :, :])[None, :, :]
    return contexts, tokens


def pairs(size: int, reference: Array) -> tuple[Array, Array, Array]:
    """Index arrays (i, j) of the upper half of a size x size matrix, and where each full entry lies among them."""
    import numpy as np

    i, j = np.triu_indices(size)
    place = np.empty((size, size), dtype=np.int64)
    place[i, j] = place[j, i] = np.arange(len(i))
    return like(i, reference), like(j, reference), like(place.ravel(), reference)


def pairwise(xp: object, X: Array, pairs: tuple[Array, Array, Array]) -> Array:
    """Products ``X[:, i] X[:, j]`` for i <= j, shape (rows, size (size + 1) / 2)."""
    return xp.take(X, pairs[0], axis=1) * xp.take(X, pairs[1], axis=1)  # type: ignore[attr-defined]


def _eye(xp: object, matrix: Array) -> Array:
    return xp.eye(matrix.shape[0], dtype=matrix.dtype, device=device(matrix))  # type: ignore[attr-defined]


def regular(xp: object, matrix: Array) -> Array:
    """A semi-definite matrix made safely invertible: a sqrt(eps) share of its mean diagonal is added."""
    size = max(1, matrix.shape[0])
    mean = float(xp.sum(xp.linalg.diagonal(matrix))) / size  # type: ignore[attr-defined]
    return matrix + max(epsilon(matrix) ** 0.5 * mean, 1e-30) * _eye(xp, matrix)
