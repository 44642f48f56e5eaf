"""Metrics for the factors of a head on frozen features, whitened: ``Z' pi Z = I``.

    B:          Cov_qbar(A) (x) I  + ridge S (x) M
    A, token v: sum_n pi_n q_nv (1 - q_nv) h~_n h~_n' + ridge K  (exact),   qbar_v B B' + ridge K  (averaged)

with ``h = B z``, ``S = A'A``, ``K = B M B'``.  Each averaged form is a sum of two matrices solved together in the basis
that makes one the identity and the other diagonal.  Centred features part the bias from A in the averaged form.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments.heads.blocks import AVERAGED_SHARE, pairs, pairwise
from experiments.heads.frozen.objective import FrozenObjective
from experiments.heads.metric import NARROW, regular
from experiments.heads.objective import Evaluation
from synth._array import Array, device


@dataclass(frozen=True, eq=False)
class Pencil:
    """Two forms F, G (r, r) at once: ``E'FE = I``, ``E'GE = diag(values)``, so (s F + t G)^-1 = E (s + t values)^-1 E'.

    F is made positive definite where it is not.
    """

    E: Array
    values: Array

    @classmethod
    def of(cls, xp: object, F: Array, G: Array) -> Pencil:
        """The pencil of a positive semi-definite F and a symmetric G."""
        linalg = xp.linalg  # type: ignore[attr-defined]
        inverse = linalg.inv(linalg.cholesky(regular(xp, F)))
        values, vectors = linalg.eigh(inverse @ G @ inverse.T)
        return cls(inverse.T @ vectors, xp.clip(values, 0.0, None))  # type: ignore[attr-defined]


class FrozenAveraged:
    """The averaged metric for both factors: see the head of this file."""

    name, scaling = "averaged", NARROW

    def __init__(self, objective: FrozenObjective, x: Array, at: Evaluation) -> None:
        xp, dim = objective.xp, objective.dim
        B, At = objective.split(x)
        A = At[:, :dim]
        self.objective = objective
        self.token_scale = xp.maximum(at.unigram, 1e-6 * objective.heads.base)
        mean = self.token_scale @ A
        covariance = A.T @ (self.token_scale[:, None] * A) - mean[:, None] * mean[None, :]
        self.moment = B @ B.T
        self.stiff = (B * objective.white.stiffness[None, :]) @ B.T
        self.of_tokens = Pencil.of(xp, self.moment, objective.ridge * self.stiff)
        self.of_features = Pencil.of(xp, covariance, objective.ridge * (A.T @ A))

    def solve_features(self, gradient: Array) -> Array:
        """The part of B, (r, k)."""
        pencil, stiffness = self.of_features, self.objective.white.stiffness
        turned = pencil.E.T @ gradient / (1.0 + pencil.values[:, None] * stiffness[None, :])
        return pencil.E @ turned

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        dim, pencil = self.objective.dim, self.of_tokens
        of_B, of_At = self.objective.split(gradient)
        scale = self.token_scale[:, None]
        tokens = (of_At[:, :dim] @ pencil.E / (scale + pencil.values[None, :])) @ pencil.E.T
        if self.objective.spec.bias:
            tokens = self.objective.xp.concat([tokens, of_At[:, dim:] / scale], axis=1)
        return self.objective.join(self.solve_features(of_B), tokens)


class FrozenBlocks:
    """Exact token blocks plus ``AVERAGED_SHARE`` of the averaged metric; the averaged metric for B."""

    name, scaling = "blocks", NARROW
    refresh = 0

    def __init__(self, objective: FrozenObjective, x: Array, at: Evaluation) -> None:
        xp, dim = objective.xp, objective.dim
        self.objective, self.averaged = objective, FrozenAveraged(objective, x, at)
        scale = self.averaged.token_scale
        blocks = token_blocks(objective, x)
        blocks[:, :dim, :dim] += AVERAGED_SHARE * scale[:, None, None] * self.averaged.moment[None, :, :]
        if objective.spec.bias:
            blocks[:, dim, dim] += AVERAGED_SHARE * scale
        blocks[:, :dim, :dim] += objective.ridge * self.averaged.stiff[None, :, :]
        self.inverse_tokens = xp.linalg.inv(blocks)
        objective.heads.work += objective.columns**2 / objective.distribution.contexts

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        of_B, of_At = self.objective.split(gradient)
        tokens = (self.inverse_tokens @ of_At[:, :, None])[:, :, 0]
        return self.objective.join(self.averaged.solve_features(of_B), tokens)

    @staticmethod
    def bytes_needed(objective: FrozenObjective) -> int:
        """Memory of the inverse blocks and their construction."""
        columns = objective.columns
        half = (objective.vocab + objective.heads.step) * columns * (columns + 1) // 2
        return 8 * (3 * objective.vocab * columns**2 + half)


def token_blocks(objective: FrozenObjective, x: Array) -> Array:
    """``sum_n pi_n q_nv (1 - q_nv) h~_n h~_n'`` for every token, (V, e, e).  Cost: e + 1 halves of a product."""
    xp, heads, columns = objective.xp, objective.heads, objective.columns
    packed = objective.lift(x)
    half = pairs(columns, x)
    Ht = heads.lift(heads.split(packed)[0])
    total = xp.zeros((objective.vocab, columns * (columns + 1) // 2), dtype=x.dtype, device=device(x))
    for start, stop, Q in heads.softmax_chunks(packed):
        spread = Q * (1 - Q) * heads.pi[start:stop][:, None]
        total += spread.T @ pairwise(xp, Ht[start:stop, :], half)
    heads.work += (columns + 1) / 2
    return xp.reshape(xp.take(total, half[2], axis=1), (objective.vocab, columns, columns))
