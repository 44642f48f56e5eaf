"""The metric of a head on frozen features where exact blocks of all tokens would not fit in memory.

The Gauss-Newton block of token v is ``sum_n w_nv h~_n h~_n'``, ``w_nv = pi_n q_nv (1 - q_nv)``.  On average over the
tokens it is ``s_v HH``, with ``s_v = sum_n w_nv``, ``r_n = sum_v w_nv`` and ``HH = sum_n r_n h~_n h~_n' / sum r``.  But
one token's weights rest on few contexts, effectively on

    n_v = (sum_n w_nv)^2 / sum_n w_nv^2,

and the spectrum of a second moment of n_v vectors reaches ``(1 + sqrt(e / n_v))^2`` times what it is on average (the
edge of Marchenko & Pastur 1967): e times for a token that occurs in one context.  A step by the average alone
overshoots in just those directions in which such a token has a gradient at all, and the line search then cuts every
step to 1/e:

    A, token v:  s_v (1 + sqrt(e / n_v))^2 HH + ridge K
    B:           (1 + sqrt(k / n))^2  M (x) ZZ + ridge S (x) stiffness,     M = A'(D_s - s s' / |s|) A,  n of the r_n

Where a target is far from the head the curvature will be that of the target: ``w = pi (q (1 - q) + p (1 - p)) / 2``.
"""

from __future__ import annotations

from experiments.heads.frozen.metric import FrozenAveraged, FrozenBlocks, Pencil
from experiments.heads.frozen.objective import FrozenObjective
from experiments.heads.metric import Metrics, identity, metrics_of
from experiments.heads.objective import Evaluation
from synth._array import Array
from theory.frozen.secant import widening

LEAST = 1e-6
"""Share of a token's unigram probability that its information counts as at least."""


class FrozenInformation:
    """Information of tokens and contexts, widened for how few contexts it rests on: see the head of this file."""

    name, scaling = "information", (0.01, 10.0)
    refresh = 8

    def __init__(self, objective: FrozenObjective, x: Array, at: Evaluation) -> None:
        xp, dim = objective.xp, objective.dim
        B, At = objective.split(x)
        A, self.objective = At[:, :dim], objective
        r, s, squares = objective.information(x)
        Z, total, mean = objective.white.Z, xp.sum(r), s @ A
        weighted = (r / total)[:, None] * Z
        ZZ, edge = Z.T @ weighted, xp.sum(weighted, axis=0)
        covariance = A.T @ (s[:, None] * A) - mean[:, None] * mean[None, :] / xp.sum(s)
        stiff = objective.ridge * ((B * objective.white.stiffness[None, :]) @ B.T)
        moment = self._with_bias(B @ ZZ @ B.T, B @ edge, 1.0)
        self.of_tokens = Pencil.of(xp, moment, self._with_bias(stiff, 0 * (B @ edge), 0.0))
        self.scale = widening(s, squares, objective.columns) * xp.maximum(s, LEAST * total * objective.heads.base)
        self.width = widening(total[None], xp.sum(r * r)[None], objective.width)
        self.of_factor = Pencil.of(xp, covariance, objective.ridge * (A.T @ A))
        self.of_features = Pencil.of(xp, ZZ, identity(xp, ZZ) * objective.white.stiffness[None, :])

    def _with_bias(self, moment: Array, edge: Array, mass: float) -> Array:
        """The moment of ``h~ = [h, 1]``, given that of h, the mean of h and 1; as it is without a bias."""
        if not self.objective.spec.bias:
            return moment
        xp = self.objective.xp
        top = xp.concat([moment, edge[:, None]], axis=1)
        return xp.concat([top, xp.concat([edge, xp.full_like(edge[:1], mass)])[None, :]], axis=0)

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        of_B, of_At = self.objective.split(gradient)
        left, right, tokens = self.of_factor, self.of_features, self.of_tokens
        turned = left.E.T @ of_B @ right.E / (self.width + left.values[:, None] * right.values[None, :])
        rows = (of_At @ tokens.E) / (self.scale[:, None] + tokens.values[None, :])
        return self.objective.join(left.E @ turned @ right.E.T, rows @ tokens.E.T)

    @staticmethod
    def bytes_needed(objective: FrozenObjective) -> int:
        """Nothing beyond the passes of an evaluation."""
        return 0


@metrics_of.register(FrozenObjective)
def metrics_of_frozen_heads(objective: FrozenObjective) -> Metrics:
    """Exact blocks, or the information where those do not fit; the averaged metric before them."""
    return Metrics(FrozenAveraged, (FrozenBlocks, FrozenInformation))
