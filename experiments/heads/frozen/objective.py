"""The gap of a rank-r head on frozen features as a function of its factors.

Unknowns are ``B`` (r, k) and ``A~ = [A, b]`` (V, e), packed as ``x = [B, A~]``; on whitened features Z (N, k) the
logits are those of the head whose hidden states are a linear image of B,

    H = Z B',    W~ = A~,        so    dB = (dgap/dH)' Z,    dA~ = dgap/dW~,

and the curvature is pulled back by the same map: ``dH = Z dB'`` goes in, ``H``'s part comes out through ``' Z``.
Value, gradient and curvature of (H, W~) are those of ``experiments.heads.objective``, chunks included.  A ridge adds

    R = ridge/2 tr(S K),   S = A'A,   K = B M B',   M = diag(stiffness)
    dA = ridge A K,        dB = ridge S B M

which is ``ridge/2`` times the squared norm of the head on the features as they came.
"""

from __future__ import annotations

from experiments.heads.cross_entropy import CHUNK_ENTRIES
from experiments.heads.frozen.features import Factors, Whitened
from experiments.heads.objective import Evaluation, Objective
from synth import ContextualDistribution
from synth._array import Array
from theory import Head, HeadSpec


class FrozenObjective:
    """The gap of heads of class ``spec`` (rank ``spec.dim``) on ``distribution``, hidden states linear in ``white.Z``.

    One evaluation is three products of size N x V x r and two of size N x k x r.
    """

    def __init__(
        self,
        distribution: ContextualDistribution,
        white: Whitened,
        spec: HeadSpec,
        ridge: float = 0.0,
        chunk_entries: int = CHUNK_ENTRIES,
    ) -> None:
        self.heads = Objective(distribution, spec, 0.0, chunk_entries)
        self.distribution, self.white, self.spec, self.ridge = distribution, white, spec, ridge
        self.vocab, self.dim, self.width = distribution.vocab, spec.dim, white.width
        self.columns = spec.rank  # e: columns of A~
        self.xp = self.heads.xp
        self.maps = 0  # products of size N x k x r
        self._memo: tuple[Array, Array] | None = None

    @property
    def size(self) -> int:
        """Number of unknowns n = r k + V e."""
        return self.dim * self.width + self.vocab * self.columns

    @property
    def evaluations(self) -> float:
        """Gradient evaluations done so far, counted by their matrix products."""
        share = self.width / self.vocab
        return (self.heads.work + self.maps * share) / (3 + 2 * share)

    def rounding(self, gap: float) -> float:
        """What a difference of two gaps near ``gap`` may owe to rounding, nats."""
        return self.heads.rounding(gap)

    # ------------------------------------------------------------------ packing

    def split(self, x: Array) -> tuple[Array, Array]:
        """``B`` (r, k) and ``A~`` (V, e) as views of the packed vector (n,)."""
        cut = self.dim * self.width
        xp = self.xp
        return xp.reshape(x[:cut], (self.dim, self.width)), xp.reshape(x[cut:], (self.vocab, self.columns))

    def join(self, B: Array, At: Array) -> Array:
        """The packed vector (n,) of ``B`` (r, k) and ``A~`` (V, e)."""
        xp = self.xp
        return xp.concat([xp.reshape(B, (-1,)), xp.reshape(At, (-1,))])

    def pack(self, factors: Factors) -> Array:
        """Factors on whitened features as a packed vector."""
        A, B, c = factors
        return self.join(B, A if c is None else self.xp.concat([A, c[:, None]], axis=1))

    def factors(self, x: Array) -> Factors:
        """``A`` (V, r), ``B`` (r, k), bias (V,) of a packed vector."""
        B, At = self.split(x)
        return At[:, : self.dim], B, At[:, self.dim] if self.spec.bias else None

    def dot(self, a: Array, b: Array) -> float:
        """Inner product of two packed vectors."""
        return float(a @ b)

    def head(self, x: Array) -> Head:
        """The head that a packed vector stands for, on its N rows."""
        return self.heads.head(self.lift(x))

    def _map(self, B: Array, At: Array) -> Array:
        """``[Z B', A~]`` packed as factors of a head."""
        self.maps += 1
        return self.heads.join(self.white.Z @ B.T, At)

    def _pull(self, packed: Array) -> tuple[Array, Array]:
        """The transpose of ``_map``."""
        self.maps += 1
        of_H, of_At = self.heads.split(packed)
        return of_H.T @ self.white.Z, of_At

    def lift(self, x: Array) -> Array:
        """``_map`` of x, remembered so that products at one point share its softmax."""
        if self._memo is None or self._memo[0] is not x:
            self._memo = x, self._map(*self.split(x))
        return self._memo[1]

    # ------------------------------------------------------------------ value, gradient, curvature

    def value(self, x: Array) -> float:
        """The gap (ridge included) at x."""
        return self.heads.value(self._map(*self.split(x))) + self.penalty(x)

    def penalty(self, x: Array) -> float:
        """``ridge/2`` times the squared norm of the head on the features as they came."""
        if self.ridge == 0:
            return 0.0
        A, B, _ = self._weighted(x)
        S, K = self._forms(A, B)
        return 0.5 * self.ridge * float(self.xp.sum(S * K))

    def _weighted(self, x: Array) -> tuple[Array, Array, Array]:
        """``A``, ``B`` and ``B M``."""
        B, At = self.split(x)
        return At[:, : self.dim], B, B * self.white.stiffness[None, :]

    def _forms(self, A: Array, B: Array) -> tuple[Array, Array]:
        """``S = A'A`` and ``K = B M B'``, both (r, r)."""
        return A.T @ A, (B * self.white.stiffness[None, :]) @ B.T

    def evaluate(self, x: Array) -> Evaluation:
        """Gap, gradient and the head's unigram law at x."""
        at = self.heads.evaluate(self._map(*self.split(x)))
        of_B, of_At = self._pull(at.gradient)
        if self.ridge:
            A, B, BM = self._weighted(x)
            S, K = self._forms(A, B)
            of_At[:, : self.dim] += self.ridge * (A @ K)
            of_B += self.ridge * (S @ BM)
        return Evaluation(at.gap + self.penalty(x), self.join(of_B, of_At), at.unigram)

    def information(self, x: Array) -> tuple[Array, Array, Array]:
        """Of the head at x: see ``Objective.information``."""
        return self.heads.information(self._map(*self.split(x)))

    def hessian_product(self, x: Array, direction: Array, gauss_newton: bool = False) -> Array:
        """Hessian at x times ``direction`` (n,); ``gauss_newton`` drops the terms in the residual, not the ridge's."""
        dB, dAt = self.split(direction)
        product = self.heads.hessian_product(self.lift(x), self._map(dB, dAt), gauss_newton)
        of_B, of_At = self._pull(product)
        if self.ridge:
            A, B, BM = self._weighted(x)
            S, K = self._forms(A, B)
            dA, dBM = dAt[:, : self.dim], dB * self.white.stiffness[None, :]
            cross = dBM @ B.T
            of_At[:, : self.dim] += self.ridge * (dA @ K + A @ (cross + cross.T))
            turn = dA.T @ A
            of_B += self.ridge * ((turn + turn.T) @ BM + S @ dBM)
        return self.join(of_B, of_At)
