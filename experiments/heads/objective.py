"""The gap of a softmax head as a function of its factors, with closed-form gradient and curvature products.

Unknowns are ``H`` (C, d) and ``W~ = [W, b]`` (V, e), e = d + 1 with a bias and d without, packed in one vector
``x = [H, W~]``; the logits are ``A = H~ W~'`` with ``H~ = [H, 1]`` (or H).  With ``Q = softmax(A)``,

    gap        = sum_c pi_c ( logsumexp(A_c) - sum_v p_cv A_cv ) - H(P)
    G = dgap/dA = pi (Q - P),        dH = G W,        dW~ = G' H~
    D = J dA    = pi (Q dA - Q (Q . dA)),   dA = dH W' + H~ dW~'
    Hess [dH, dW~] = [ D W + G dW,  D' H~ + G' [dH, 0] ]

so no automatic differentiation is needed.  Logits are formed a chunk of contexts at a time and never stored whole; the
weights pi multiply the small factors of each product.  ``experiments.heads.kernels`` does the passes over a chunk.
An optional ridge adds ``ridge/2 ( sum pi |h|^2 + sum base |w|^2 )``, base the unigram law; the bias is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from experiments.heads.cross_entropy import CHUNK_ENTRIES, CrossEntropy
from synth import ContextualDistribution
from synth._array import Array, device
from theory import Head, HeadSpec


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Gap in nats (the ridge included), gradient (n,), and the head's own unigram law ``sum_c pi_c q_c`` (V,)."""

    gap: float
    gradient: Array
    unigram: Array


class Objective(CrossEntropy):
    """The gap of heads of class ``spec`` on ``distribution``; its products are of size C x V x d."""

    products = 3

    def __init__(
        self,
        distribution: ContextualDistribution,
        spec: HeadSpec,
        ridge: float = 0.0,
        chunk_entries: int = CHUNK_ENTRIES,
    ) -> None:
        spec.check_against(distribution)
        super().__init__(distribution, chunk_entries)
        self.spec, self.ridge = spec, ridge
        self.contexts, self.dim = distribution.contexts, spec.dim
        self.all_contexts, self.held = self.contexts, slice(0, self.contexts)  # ``distributed`` holds a part of them
        self.columns = spec.rank  # e: columns of W~
        self._memo: tuple[Array, list[tuple[int, int, Array]]] | None = None

    @property
    def size(self) -> int:
        """Number of unknowns n = C d + V e."""
        return self.contexts * self.dim + self.vocab * self.columns

    # ------------------------------------------------------------------ what ``distributed`` does over processes

    def summed(self, *sums: Any) -> tuple[Any, ...]:
        """Sums over the contexts held here, completed by those held elsewhere: there are none."""
        return sums

    def orthonormal(self, X: Array) -> Array:
        """An orthonormal basis (C, k) of the columns of ``X`` (C, k), C >= k."""
        basis, _ = self.xp.linalg.qr(X)
        return basis

    # ------------------------------------------------------------------ packing

    def split(self, x: Array) -> tuple[Array, Array]:
        """``H`` (C, d) and ``W~`` (V, e) as views of the packed vector (n,)."""
        cut = self.contexts * self.dim
        xp = self.xp
        return xp.reshape(x[:cut], (self.contexts, self.dim)), xp.reshape(x[cut:], (self.vocab, self.columns))

    def join(self, H: Array, Wt: Array) -> Array:
        """The packed vector (n,) of ``H`` (C, d) and ``W~`` (V, e)."""
        xp = self.xp
        return xp.concat([xp.reshape(H, (-1,)), xp.reshape(Wt, (-1,))])

    def dot(self, a: Array, b: Array) -> float:
        """Inner product of two packed vectors."""
        return float(a @ b)

    def lift(self, H: Array) -> Array:
        """``H~ = [H, 1]`` with a bias, ``H`` without."""
        if not self.spec.bias:
            return H
        one = self.xp.ones((H.shape[0], 1), dtype=H.dtype, device=device(H))
        return self.xp.concat([H, one], axis=1)

    def pack(self, head: Head) -> Array:
        """A head of this class as a packed vector."""
        if not self.spec.bias:
            return self.join(head.H, head.W)
        b = head.b if head.b is not None else self.xp.zeros_like(self.base)
        return self.join(head.H, self.xp.concat([head.W, b[:, None]], axis=1))

    def head(self, x: Array) -> Head:
        """The head that a packed vector stands for."""
        H, Wt = self.split(x)
        return Head(H, Wt[:, : self.dim], Wt[:, self.dim] if self.spec.bias else None)

    # ------------------------------------------------------------------ value and gradient

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Start and stop of each chunk of contexts."""
        for start in range(0, self.contexts, self.step):
            yield start, min(start + self.step, self.contexts)

    def _penalty(self, H: Array, W: Array) -> float:
        if self.ridge == 0:
            return 0.0
        xp = self.xp
        (square,) = self.summed(float(self.pi @ xp.sum(H * H, axis=1)))
        return 0.5 * self.ridge * (square + float(self.base @ xp.sum(W * W, axis=1)))

    def value(self, x: Array) -> float:
        """The gap (ridge included) at x.  Cost: one product."""
        H, Wt = self.split(x)
        Ht, total, room = self.lift(H), 0.0, None
        for start, stop in self.ranges():
            room = A = self.kernel.product(Ht[start:stop, :], Wt.T, room)
            costs = self.kernel.costs(A, self.distribution.table, start, stop, self.constants)
            total = total + self._weights64[start:stop] @ costs
        self.work += 1
        (total,) = self.summed(float(total))
        return total + self._penalty(H, Wt[:, : self.dim])

    def evaluate(self, x: Array) -> Evaluation:
        """Gap, gradient and unigram law at x, in one pass over the chunks.  Cost: three products."""
        xp, kernel, table = self.xp, self.kernel, self.distribution.table
        H, Wt = self.split(x)
        W, Ht, weights = Wt[:, : self.dim], self.lift(H), self.pi[:, None]
        total, room, weighted = 0.0, None, weights * Ht
        gradient_H, gradient_W, excess = xp.empty_like(H), xp.zeros_like(Wt), xp.zeros_like(self.base)
        for start, stop in self.ranges():
            room = A = kernel.product(Ht[start:stop, :], Wt.T, room)
            costs, R = kernel.residual(A, table, start, stop, self.constants)  # R = Q - P
            total = total + self._weights64[start:stop] @ costs
            gradient_H[start:stop, :] = R @ W
            gradient_W += R.T @ weighted[start:stop, :]
            if not self.spec.bias:
                excess += R.T @ self.pi[start:stop]
        self.work += 3
        if self.spec.bias:
            excess += gradient_W[:, self.dim]  # the gradient of the bias
        total, gradient_W, excess = self.summed(float(total), gradient_W, excess)
        gradient_H *= weights
        if self.ridge:
            gradient_H += self.ridge * weights * H
            gradient_W[:, : self.dim] += self.ridge * self.base[:, None] * W
        gap = total + self._penalty(H, W)
        unigram = xp.clip(self.distribution.marginal + excess, 0.0, None)
        return Evaluation(gap, self.join(gradient_H, gradient_W), unigram)

    @cached_property
    def _weights64(self) -> Array:
        """``pi`` in float64: costs are added up in it."""
        return self.xp.astype(self.pi, self.xp.float64, copy=False)

    # ------------------------------------------------------------------ curvature

    def softmax_chunks(self, x: Array) -> Iterator[tuple[int, int, Array]]:
        """``(start, stop, Q)`` for each chunk of contexts; Q must not be written to.  Cost: one product for a pass.

        A dense target, which holds a C x V table anyway, remembers the chunks of the last x asked for.  A sparse one
        writes each over the one before.
        """
        if self._memo is not None and self._memo[0] is x:
            yield from self._memo[1]
            return
        H, Wt = self.split(x)
        Ht, chunks, room = self.lift(H), [], None
        for start, stop in self.ranges():
            A = self.kernel.product(Ht[start:stop, :], Wt.T, room)
            chunk = start, stop, self.kernel.softmax(A)
            if self.distribution.is_sparse:
                room = A
            else:
                chunks.append(chunk)
            yield chunk
        self.work += 1
        self._memo = (x, chunks) if chunks else None

    def information(self, x: Array) -> tuple[Array, Array, Array]:
        """Row sums (C,), column sums (V,) and column sums of squares (V,) of ``w = pi (q (1 - q) + p (1 - p)) / 2``.

        Cost: one product.
        """
        xp, table = self.xp, self.distribution.table
        H, Wt = self.split(x)
        Ht, rows, room = self.lift(H), [], None
        sums, squares = xp.zeros_like(self.base), xp.zeros_like(self.base)
        for start, stop in self.ranges():
            room = A = self.kernel.product(Ht[start:stop, :], Wt.T, room)
            w, pi = self.kernel.variance(self.kernel.softmax(A), table, start, stop), self.pi[start:stop]
            rows.append(pi * xp.sum(w, axis=1))
            sums += pi @ w
            w *= w
            squares += (pi * pi) @ w
        self.work += 1
        return xp.concat(rows), sums, squares

    def _residual(self, Q: Array, start: int, stop: int) -> Array:
        """``R = Q - P`` on a chunk, leaving Q as it is."""
        return self.distribution.table.residual(self.xp.asarray(Q, copy=True), start, stop)

    def hessian_product(self, x: Array, direction: Array, gauss_newton: bool = False) -> Array:
        """Hessian at x times ``direction`` (n,); ``gauss_newton`` drops the terms in G.  Cost: 6 or 7 products."""
        xp = self.xp
        H, Wt = self.split(x)
        dH, dWt = self.split(direction)
        W, dW, weights = Wt[:, : self.dim], dWt[:, : self.dim], self.pi[:, None]
        left, right = xp.concat([dH, self.lift(H)], axis=1), xp.concat([W, dWt], axis=1)
        weighted, weighted_dH = weights * self.lift(H), weights * dH
        out_H, out_W, room = xp.empty_like(H), xp.zeros_like(Wt), None
        for start, stop, Q in self.softmax_chunks(x):
            room = dA = self.kernel.product(left[start:stop, :], right.T, room)
            D = self.kernel.tangent(Q, dA)  # without its factor pi
            out_H[start:stop, :] = D @ W
            out_W += D.T @ weighted[start:stop, :]
            if not gauss_newton:
                R = self._residual(Q, start, stop)
                out_H[start:stop, :] += R @ dW
                out_W[:, : self.dim] += R.T @ weighted_dH[start:stop, :]
        self.work += 4 if gauss_newton else 6
        (out_W,) = self.summed(out_W)
        out_H *= weights
        if self.ridge:
            out_H += self.ridge * self.pi[:, None] * dH
            out_W[:, : self.dim] += self.ridge * self.base[:, None] * dW
        return self.join(out_H, out_W)

    def residual_products(self, x: Array, right: Array | None, left: Array | None) -> tuple[Array | None, Array | None]:
        """``G right`` (C, k) and ``G' left`` (V, k) for ``G = pi (Q - P)`` at x, in one pass."""
        xp = self.xp
        rows: list[Array] = []
        weighted = None if left is None else self.pi[:, None] * left
        columns = None if left is None else xp.zeros((self.vocab, left.shape[1]), dtype=x.dtype, device=device(x))
        for start, stop, Q in self.softmax_chunks(x):
            R = self._residual(Q, start, stop)
            if right is not None:
                rows.append(R @ right)
            if weighted is not None:
                columns += R.T @ weighted[start:stop, :]
        if columns is not None:
            (columns,) = self.summed(columns)
        return (self.pi[:, None] * xp.concat(rows, axis=0) if rows else None), columns
