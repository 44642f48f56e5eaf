"""Exact Gauss-Newton blocks of a head's factors, as metrics.

The Gauss-Newton matrix of the gap couples everything, but its diagonal blocks are small:

    context block c (d x d):   pi_c ( W' diag(q_c) W - m_c m_c' ),   m_c = W' q_c
    token block v (e x e):     sum_c pi_c q_cv (1 - q_cv) h~_c h~_c'

``ExactBlocks`` holds both, ``ContextBlocks`` only the first and the averaged form for tokens (the better half where
memory is short).  A share of the averaged metric is added, so that blocks stay invertible.

The blocks are formed, inverted and kept in single precision: a metric need not be exact, and half the memory is half
the time of building and of solving.  ``pi_c`` and ``qbar_v`` are divided out first, and W is centred at its mean under
the unigram law, which changes no covariance and leaves less to cancel.
"""

from __future__ import annotations

import numpy as np

from experiments.heads.metric import NARROW, AveragedMetric, Metrics, WhitenedMetric, identity, metrics_of
from experiments.heads.objective import Evaluation, Objective
from synth._array import Array, device, like, namespace

AVERAGED_SHARE = 0.1
"""Share of the averaged metric added to the exact blocks; much less stalls the line search on peaky laws."""

WHITENED_ITERATIONS, WHITENED_HISTORY = 120, 20
"""Iterations on the whitened metric, where P has zeros, before exact blocks take over, and the pairs that L-BFGS keeps:
all it learns of the curvature then comes from them."""


class ExactBlocks:
    """Exact per-context and per-token blocks, plus ``AVERAGED_SHARE`` of the averaged metric."""

    name, scaling = "blocks", NARROW
    refresh = 0

    def __init__(self, objective: Objective, x: Array, at: Evaluation) -> None:
        averaged = AveragedMetric(objective, x, at)
        contexts, tokens = _blocks(objective, x, averaged.token_scale, tokens=True)
        self.objective, self.token_scale = objective, averaged.token_scale
        self.inverse_contexts = _inverse(objective, contexts, averaged.covariance)
        self.inverse_tokens = _inverse(objective, tokens, averaged.moment)
        objective.work += objective.dim**2 * (1 / objective.all_contexts + 1 / objective.vocab)

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        gradient_H, gradient_W = self.objective.split(gradient)
        return self.objective.join(
            apply_blocks(self.inverse_contexts, gradient_H / self.objective.pi[:, None]),
            apply_blocks(self.inverse_tokens, gradient_W / self.token_scale[:, None]),
        )

    @staticmethod
    def bytes_needed(objective: Objective) -> int:
        """Memory of the inverse blocks and their construction."""
        columns = objective.columns
        tokens = 3 * objective.vocab * columns**2 + objective.vocab * columns * (columns + 1) // 2
        return ContextBlocks.bytes_needed(objective) + 4 * tokens


class ContextBlocks:
    """Exact per-context blocks, plus ``AVERAGED_SHARE`` of the averaged metric; the averaged metric for tokens."""

    name, scaling = "context blocks", NARROW
    refresh = 0

    def __init__(self, objective: Objective, x: Array, at: Evaluation) -> None:
        self.objective, self.averaged = objective, AveragedMetric(objective, x, at)
        contexts, _ = _blocks(objective, x, self.averaged.token_scale, tokens=False)
        self.inverse_contexts = _inverse(objective, contexts, self.averaged.covariance)
        objective.work += objective.dim**2 / objective.vocab

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        gradient_H, gradient_W = self.objective.split(gradient)
        return self.objective.join(
            apply_blocks(self.inverse_contexts, gradient_H / self.objective.pi[:, None]),
            (gradient_W / self.averaged.token_scale[:, None]) @ self.averaged.inverse_moment,
        )

    @staticmethod
    def bytes_needed(objective: Objective) -> int:
        """Memory of the inverse blocks and their construction."""
        states = objective.size - objective.vocab * objective.columns
        chunk = (objective.vocab + objective.step) * objective.columns * (objective.columns + 1) // 2
        return 4 * (3 * states * objective.dim + chunk + 2 * objective.step * objective.vocab)


@metrics_of.register(Objective)
def metrics_of_plain_heads(objective: Objective) -> Metrics:
    """Blocks, and before them the averaged metric, or the whitened one where P has zeros and no ridge helps."""
    refined = ExactBlocks, ContextBlocks
    if objective.distribution.is_positive or objective.ridge:
        return Metrics(AveragedMetric, refined, max(20, objective.dim // 2))
    return Metrics(WhitenedMetric, refined, WHITENED_ITERATIONS, WHITENED_HISTORY)


def apply_blocks(blocks: Array, rows: Array) -> Array:
    """Each block (n, k, k) times its row (n, k), in the precision of the blocks; the result in that of the rows."""
    xp = namespace(rows)
    return xp.astype((blocks @ xp.astype(rows, blocks.dtype)[:, :, None])[:, :, 0], rows.dtype)


def _blocks(objective: Objective, x: Array, token_scale: Array, tokens: bool) -> tuple[Array, Array | None]:
    """Context blocks (C, d, d) over pi_c and, if asked for, token blocks (V, e, e) over qbar_v; ridge included.

    All context blocks of a chunk are one product of Q with the pairwise products of the columns of W, of which only
    the upper half is formed; likewise for tokens.
    """
    xp, dim, columns = objective.xp, objective.dim, objective.columns
    single = xp.float32
    H, Wt = objective.split(x)
    W = Wt[:, :dim] - ((token_scale @ Wt[:, :dim]) / xp.sum(token_scale))[None, :]
    W, Ht = xp.astype(W, single), xp.astype(objective.lift(H), single)
    half_W, half_H, weights = pairs(dim, x), pairs(columns, x), xp.astype(objective.pi, single)[:, None]
    pairs_W = pairwise(xp, W, half_W)
    contexts = xp.empty((objective.contexts, dim, dim), dtype=single, device=device(x))
    total = xp.zeros((objective.vocab, columns * (columns + 1) // 2), dtype=single, device=device(x))
    for start, stop, law in objective.softmax_chunks(x):
        Q = xp.astype(law, single)
        mean = Q @ W
        second = xp.reshape(xp.take(Q @ pairs_W, half_W[2], axis=1), (stop - start, dim, dim))
        contexts[start:stop, :, :] = second - mean[:, :, None] * mean[:, None, :]
        if tokens:
            total += (Q * (1 - Q)).T @ (weights[start:stop, :] * pairwise(xp, Ht[start:stop, :], half_H))
    objective.work += (dim + 1) / 2 + 1
    if objective.ridge:
        contexts += objective.ridge * identity(xp, contexts[0, :, :])[None, :, :]
    if not tokens:
        return contexts, None
    objective.work += (dim + 2) / 2
    (total,) = objective.summed(total)
    total /= xp.astype(token_scale, single)[:, None]
    of_tokens = xp.reshape(xp.take(total, half_H[2], axis=1), (objective.vocab, columns, columns))
    if objective.ridge:
        ratio = xp.astype(objective.ridge * objective.base / token_scale, single)
        of_tokens += ratio[:, None, None] * identity(xp, of_tokens[0, :, :])[None, :, :]
    return contexts, of_tokens


def _inverse(objective: Objective, blocks: Array, averaged: Array) -> Array:
    """Inverses of ``blocks`` (n, k, k), which are overwritten, plus ``AVERAGED_SHARE`` of the averaged one."""
    xp = objective.xp
    blocks += AVERAGED_SHARE * xp.astype(averaged, blocks.dtype)[None, :, :]
    return xp.linalg.inv(blocks)


def pairs(size: int, reference: Array) -> tuple[Array, Array, Array]:
    """Index arrays (i, j) of the upper half of a size x size matrix, and where each full entry lies among them."""
    i, j = np.triu_indices(size)
    place = np.empty((size, size), dtype=np.int64)
    place[i, j] = place[j, i] = np.arange(len(i))
    return like(i, reference), like(j, reference), like(place.ravel(), reference)


def pairwise(xp: object, X: Array, pairs: tuple[Array, Array, Array]) -> Array:
    """Products ``X[:, i] X[:, j]`` for i <= j, shape (rows, size (size + 1) / 2)."""
    return xp.take(X, pairs[0], axis=1) * xp.take(X, pairs[1], axis=1)  # type: ignore[attr-defined]
