"""Gauss-Newton blocks of any kind of head, as the metric of its descent.

With the scores ``g_cv = d log q_cv / d(states of c)`` (s,), ``R_kcv`` the factor by which the logit of token v in
component k moves ``log q_cv`` (``phi'(A_cv)`` for pointwise heads, the share ``r_kcv`` in a mixture), and I_cv the
score in the shared numbers:

    context block c (s x s):   pi_c sum_v q_cv g_cv g_cv'
    token block v (e x e):     sum_c pi_c q_cv (1 - q_cv) h_cv h_cv',     h_cv = sum_k R_kcv h~_kc
    shared block (m x m):      sum_cv pi_c q_cv I_cv I_cv'

The first and the last are exact, the second is for pointwise heads; in a mixture it leaves out how a token's logit
moves the other tokens' shares.  ``AVERAGED_SHARE`` of the averaged metric is added, so that blocks stay invertible.
"""

from __future__ import annotations

import numpy as np

from experiments.heads.alternatives.objective import AlternativeObjective, PartsMetric, chunks
from experiments.heads.alternatives.parts import Parts
from experiments.heads.blocks import AVERAGED_SHARE
from experiments.heads.metric import Metrics, metrics_of, regular
from experiments.heads.objective import Evaluation


class ScoreBlocks:
    """Blocks of contexts, tokens and shared numbers, rebuilt now and then."""

    name, scaling = "blocks", (0.1, 10.0)
    refresh = 0

    def __init__(self, objective: AlternativeObjective, x: np.ndarray, at: Evaluation) -> None:
        averaged = PartsMetric(objective, x, at)
        kind, parts, pi = objective.spec, objective.unpack(x), objective.pi
        contexts = np.empty((objective.contexts, kind.states, kind.states))
        tokens = np.zeros((objective.vocab, kind.columns, kind.columns))
        shared = np.zeros((kind.shared, kind.shared))
        for start, stop in chunks(objective.contexts, objective.vocab, kind):
            scores = kind.scores(parts.rows(start, stop))
            weighted = scores.q[:, :, None] * scores.states
            contexts[start:stop] = weighted.swapaxes(1, 2) @ scores.states
            weight = pi[start:stop, None] * scores.q * (1 - scores.q)
            tokens += _token_blocks(weight, scores.factors, scores.lifted)
            flat = scores.shared.reshape(scores.q.size, kind.shared)
            shared += flat.T @ ((pi[start:stop, None] * scores.q).reshape(-1, 1) * flat)
        self.objective, self.unigram = objective, averaged.unigram
        tokens /= self.unigram[:, None, None]
        self.contexts = np.linalg.inv(contexts + AVERAGED_SHARE * averaged.states)
        self.tokens = np.linalg.inv(tokens + AVERAGED_SHARE * averaged.tokens)
        self.shared = np.linalg.inv(regular(np, shared)) if kind.shared else shared
        objective.evaluations += 1 + kind.states / 3

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        """``B^-1 gradient``, packed (n,)."""
        parts = self.objective.unpack(gradient)
        S = (self.contexts @ (parts.S / self.objective.pi[:, None])[:, :, None])[:, :, 0]
        Wt = (self.tokens @ (parts.Wt / self.unigram[:, None])[:, :, None])[:, :, 0]
        return Parts(S, Wt, self.shared @ parts.theta).pack()

    @staticmethod
    def bytes_needed(objective: AlternativeObjective) -> int:
        """Memory of the blocks and their inverses, and of the scores of one chunk of contexts."""
        kind = objective.spec
        _, rows = next(chunks(objective.contexts, objective.vocab, kind))
        scores = 3 * rows * objective.vocab * (kind.states + kind.shared)
        return 8 * (3 * (objective.contexts * kind.states**2 + objective.vocab * kind.columns**2) + scores)


@metrics_of.register(AlternativeObjective)
def metrics_of_alternative_heads(objective: AlternativeObjective) -> Metrics:
    """The averaged metric first, then Gauss-Newton blocks."""
    return Metrics(PartsMetric, (ScoreBlocks,), 20, 20)


def _token_blocks(weight: np.ndarray, factors: np.ndarray, lifted: np.ndarray) -> np.ndarray:
    """``sum_c weight_cv h_cv h_cv'`` (V, e, e), ``h_cv = sum_k R_kcv h~_kc``; one matrix product for a pair (k, l)."""
    columns = lifted.shape[2]
    total = np.zeros((weight.shape[1], columns * columns))
    for R, H in zip(factors, lifted, strict=True):
        for T, G in zip(factors, lifted, strict=True):
            pairs = (H[:, :, None] * G[:, None, :]).reshape(len(H), -1)
            total += (weight * R * T).T @ pairs
    return total.reshape(-1, columns, columns)
