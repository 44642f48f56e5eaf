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
from functools import cached_property

from experiments.heads.frozen.features import Factors, Whitened
from experiments.heads.kernels import kernel_for
from experiments.heads.metric import Metrics
from experiments.heads.objective import CHUNK_ENTRIES, Evaluation
from synth import ContextualDistribution
from synth._array import Array, device, epsilon, namespace
from theory import Head


class FullObjective:
    """The gap of any head, with a bias or without, on whitened features.

    ``work`` counts matrix products of size N x V x k; two of them make one evaluation.
    """

    def __init__(
        self,
        distribution: ContextualDistribution,
        white: Whitened,
        bias: bool,
        ridge: float = 0.0,
        chunk_entries: int = CHUNK_ENTRIES,
    ) -> None:
        self.distribution, self.white, self.bias, self.ridge = distribution, white, bias, ridge
        self.pi, self.xp = distribution.weights, namespace(white.Z)
        self.vocab, self.dim, self.columns = distribution.vocab, white.width, white.width + int(bias)
        one = self.xp.ones((white.Z.shape[0], int(bias)), dtype=white.Z.dtype, device=device(white.Z))
        self.Zt = self.xp.concat([white.Z, one], axis=1)
        self.stiffness = self.xp.concat([white.stiffness, self.xp.zeros_like(one[0, :])])
        self.step = kernel_for(self.pi).rows(self.vocab, chunk_entries)
        self.work = 0.0
        self._memo: tuple[Array, list[tuple[int, int, Array]]] | None = None

    @property
    def size(self) -> int:
        """Number of unknowns n = V e."""
        return self.vocab * self.columns

    @property
    def evaluations(self) -> float:
        """Gradient evaluations done so far, counted by their matrix products."""
        return self.work / 2

    @property
    def metrics(self) -> Metrics:
        """The metrics that serve it."""
        return FULL_METRICS

    @cached_property
    def entropy(self) -> float:
        """H(P) in nats."""
        return self.distribution.entropy

    def rounding(self, gap: float) -> float:
        """What a difference of two gaps near ``gap`` may owe to rounding, nats."""
        return 8 * epsilon(self.pi) * (1.0 + abs(gap) + self.entropy)

    @cached_property
    def base(self) -> Array:
        """Unigram law (V,) lifted by a thousandth of the uniform one, so that unseen tokens have a scale too."""
        return 0.999 * self.distribution.marginal + 0.001 / self.vocab

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

    def _chunks(self, Wt: Array) -> Iterator[tuple[int, int, Array, Array]]:
        """``(start, stop, A, top)`` for each chunk of rows: logits, and their maxima (rows, 1)."""
        for start in range(0, self.Zt.shape[0], self.step):
            stop = min(start + self.step, self.Zt.shape[0])
            A = self.Zt[start:stop, :] @ Wt.T
            yield start, stop, A, self.xp.max(A, axis=1, keepdims=True)

    def penalty(self, x: Array) -> float:
        """``ridge/2`` times the squared norm of the head on the features as they came."""
        Wt = self.matrix(x)
        return 0.5 * self.ridge * float(self.stiffness @ self.xp.sum(Wt * Wt, axis=0))

    def value(self, x: Array) -> float:
        """The gap (ridge included) at x.  Cost: one product."""
        xp, total = self.xp, 0.0
        for start, stop, A, top in self._chunks(self.matrix(x)):
            log_total = xp.log(xp.sum(xp.exp(A - top), axis=1)) + top[:, 0]
            total += float(self.pi[start:stop] @ (log_total - self.distribution.table.inner(A, start, stop)))
        self.work += 1
        return total - self.entropy + self.penalty(x)

    def evaluate(self, x: Array) -> Evaluation:
        """Gap, gradient and the head's unigram law at x.  Cost: two products."""
        xp, table, Wt = self.xp, self.distribution.table, self.matrix(x)
        total, gradient, excess = 0.0, self.ridge * Wt * self.stiffness[None, :], xp.zeros_like(self.base)
        for start, stop, A, top in self._chunks(Wt):
            inner = table.inner(A, start, stop)
            Q = xp.exp(A - top)
            sums = xp.sum(Q, axis=1, keepdims=True)
            Q /= sums
            weights = self.pi[start:stop]
            total += float(weights @ (xp.log(sums[:, 0]) + top[:, 0] - inner))
            G = table.residual(Q, start, stop)  # Q - P
            G *= weights[:, None]
            gradient += G.T @ self.Zt[start:stop, :]
            excess += xp.sum(G, axis=0)
        self.work += 2
        unigram = xp.clip(self.distribution.marginal + excess, 0.0, None)
        return Evaluation(total - self.entropy + self.penalty(x), xp.reshape(gradient, (-1,)), unigram)

    def _softmax_chunks(self, x: Array) -> Iterator[tuple[int, int, Array]]:
        """``(start, stop, Q)`` for each chunk; a dense target's are remembered for the last x asked for."""
        if self._memo is not None and self._memo[0] is x:
            yield from self._memo[1]
            return
        xp, chunks = self.xp, []
        for start, stop, A, top in self._chunks(self.matrix(x)):
            Q = xp.exp(A - top)
            Q /= xp.sum(Q, axis=1, keepdims=True)
            if not self.distribution.is_sparse:
                chunks.append((start, stop, Q))
            yield start, stop, Q
        self.work += 1
        self._memo = (x, chunks) if chunks else None

    def hessian_product(self, x: Array, direction: Array) -> Array:
        """Hessian at x times ``direction`` (n,).  Cost: two or three products."""
        xp, dWt = self.xp, self.matrix(direction)
        out = self.ridge * dWt * self.stiffness[None, :]
        for start, stop, Q in self._softmax_chunks(x):
            D = self.Zt[start:stop, :] @ dWt.T  # dA
            D -= xp.sum(Q * D, axis=1, keepdims=True)
            D *= Q
            D *= self.pi[start:stop][:, None]
            out += D.T @ self.Zt[start:stop, :]
        self.work += 2
        return xp.reshape(out, (-1,))


class FullMetric:
    """``qbar_v I + ridge diag(stiffness)``, qbar the head's unigram law."""

    name = "averaged"

    def __init__(self, objective: FullObjective, x: Array, at: Evaluation) -> None:
        scale = objective.xp.maximum(at.unigram, 1e-6 * objective.base)
        diagonal = scale[:, None] + objective.ridge * objective.stiffness[None, :]
        self.diagonal = objective.xp.reshape(diagonal, (-1,))

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        return gradient / self.diagonal


FULL_METRICS = Metrics(FullMetric)
"""What serves a ``FullObjective``; exact token blocks would take V e^2 numbers and are not worth their building."""
