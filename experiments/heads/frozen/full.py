"""The gap of an unrestricted head on frozen features: a convex function of its matrix.

Unknowns are ``W~ = [W, b]`` (V, e), e = k + 1 with a bias and k without, packed as one vector.  On whitened features,
with ``Z~ = [Z, 1]`` (or Z) and ``Q = softmax(Z~ W~')``,

    gap  = sum_n pi_n ( logsumexp(A_n) - sum_v p_nv A_nv ) - H(P),        dW~ = (pi (Q - P))' Z~
    Hess dW~ = D' Z~,        D = pi (Q dA - Q (Q . dA)),        dA = Z~ dW~'

plus ``ridge/2 sum_j stiffness_j |W_j|^2``.  The curvature is nowhere negative, so a certificate speaks of *the*
minimum.  The metric ``qbar_v I + ridge diag(stiffness)`` is what the Hessian would
nearly be if every row held the same law q.
"""

from __future__ import annotations

from collections.abc import Iterator

from experiments.heads.cross_entropy import CHUNK_ENTRIES, CrossEntropy
from experiments.heads.frozen.features import Factors, Whitened
from experiments.heads.metric import NARROW, Metrics, metrics_of
from experiments.heads.objective import Evaluation
from synth import ContextualDistribution
from synth._array import Array, device
from theory import Head


class FullObjective(CrossEntropy):
    """The gap of any head, with a bias or without, on whitened features; its products are of size N x V x k."""

    products = 2

    def __init__(
        self,
        distribution: ContextualDistribution,
        white: Whitened,
        bias: bool,
        ridge: float = 0.0,
        chunk_entries: int = CHUNK_ENTRIES,
    ) -> None:
        super().__init__(distribution, chunk_entries)
        self.white, self.bias, self.ridge = white, bias, ridge
        self.dim, self.columns = white.width, white.width + int(bias)
        one = self.xp.ones((white.Z.shape[0], int(bias)), dtype=white.Z.dtype, device=device(white.Z))
        self.Zt = self.xp.concat([white.Z, one], axis=1)
        self.stiffness = self.xp.concat([white.stiffness, self.xp.zeros_like(one[0, :])])
        self._memo: tuple[Array, list[tuple[int, int, Array]]] | None = None

    @property
    def size(self) -> int:
        """Number of unknowns n = V e."""
        return self.vocab * self.columns

    def matrix(self, x: Array) -> Array:
        """``W~`` (V, e) as a view of the packed vector (n,)."""
        return self.xp.reshape(x, (self.vocab, self.columns))

    def pack(self, factors: Factors) -> Array:
        """Factors on whitened features as a packed vector; a bias is left out where there is none."""
        A, B, c = factors
        W = A @ B
        joined = W if c is None or not self.bias else self.xp.concat([W, c[:, None]], axis=1)
        return self.xp.reshape(joined, (-1,))

    def factors(self, x: Array) -> Factors:
        """``W``, the identity, and the bias."""
        Wt = self.matrix(x)
        one = self.xp.eye(self.dim, dtype=Wt.dtype, device=device(Wt))
        return Wt[:, : self.dim], one, Wt[:, self.dim] if self.bias else None

    def dot(self, a: Array, b: Array) -> float:
        """Inner product of two packed vectors."""
        return float(a @ b)

    def head(self, x: Array) -> Head:
        """The head that a packed vector stands for, on its N rows."""
        Wt = self.matrix(x)
        return Head(self.white.Z, Wt[:, : self.dim], Wt[:, self.dim] if self.bias else None)

    # ------------------------------------------------------------------ value, gradient, curvature

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Start and stop of each chunk of rows."""
        for start in range(0, self.Zt.shape[0], self.step):
            yield start, min(start + self.step, self.Zt.shape[0])

    def penalty(self, x: Array) -> float:
        """``ridge/2`` times the squared norm of the head on the features as they came."""
        Wt = self.matrix(x)
        return 0.5 * self.ridge * float(self.stiffness @ self.xp.sum(Wt * Wt, axis=0))

    def value(self, x: Array) -> float:
        """The gap (ridge included) at x.  Cost: one product."""
        Wt, total, room = self.matrix(x), 0.0, None
        for start, stop in self._ranges():
            room = A = self.kernel.product(self.Zt[start:stop, :], Wt.T, room)
            costs = self.kernel.costs(A, self.distribution.table, start, stop, self.constants)
            total += float(self.xp.astype(self.pi[start:stop], costs.dtype) @ costs)
        self.work += 1
        return total + self.penalty(x)

    def evaluate(self, x: Array) -> Evaluation:
        """Gap, gradient and the head's unigram law at x.  Cost: two products."""
        xp, table, Wt = self.xp, self.distribution.table, self.matrix(x)
        total, gradient, excess = 0.0, self.ridge * Wt * self.stiffness[None, :], xp.zeros_like(self.base)
        room = None
        for start, stop in self._ranges():
            Z, weights = self.Zt[start:stop, :], self.pi[start:stop]
            room = A = self.kernel.product(Z, Wt.T, room)
            costs, R = self.kernel.residual(A, table, start, stop, self.constants)  # R = Q - P
            total += float(xp.astype(weights, costs.dtype) @ costs)
            gradient += R.T @ (weights[:, None] * Z)
            excess += R.T @ weights
        self.work += 2
        unigram = xp.clip(self.distribution.marginal + excess, 0.0, None)
        return Evaluation(total + self.penalty(x), xp.reshape(gradient, (-1,)), unigram)

    def _softmax_chunks(self, x: Array) -> Iterator[tuple[int, int, Array]]:
        """``(start, stop, Q)`` for each chunk; a dense target's are remembered for the last x asked for."""
        if self._memo is not None and self._memo[0] is x:
            yield from self._memo[1]
            return
        Wt, chunks = self.matrix(x), []
        for start, stop in self._ranges():
            chunk = start, stop, self.kernel.softmax(self.Zt[start:stop, :] @ Wt.T)
            if not self.distribution.is_sparse:
                chunks.append(chunk)
            yield chunk
        self.work += 1
        self._memo = (x, chunks) if chunks else None

    def hessian_product(self, x: Array, direction: Array) -> Array:
        """Hessian at x times ``direction`` (n,).  Cost: two or three products."""
        dWt = self.matrix(direction)
        out = self.ridge * dWt * self.stiffness[None, :]
        for start, stop, Q in self._softmax_chunks(x):
            D = self.kernel.tangent(Q, self.Zt[start:stop, :] @ dWt.T)  # without its factor pi
            out += D.T @ (self.pi[start:stop][:, None] * self.Zt[start:stop, :])
        self.work += 2
        return self.xp.reshape(out, (-1,))


class FullMetric:
    """``qbar_v I + ridge diag(stiffness)``, qbar the head's unigram law."""

    name, scaling = "averaged", NARROW

    def __init__(self, objective: FullObjective, x: Array, at: Evaluation) -> None:
        scale = objective.xp.maximum(at.unigram, 1e-6 * objective.base)
        diagonal = scale[:, None] + objective.ridge * objective.stiffness[None, :]
        self.diagonal = objective.xp.reshape(diagonal, (-1,))

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        return gradient / self.diagonal


@metrics_of.register(FullObjective)
def metrics_of_full_heads(objective: FullObjective) -> Metrics:
    """Its one metric; exact token blocks would take V e^2 numbers and are not worth their building."""
    return Metrics(FullMetric)
