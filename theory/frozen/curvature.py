"""Gradient and Gauss-Newton curvature of the loss at a head of rank r, streamed over rows.

At a head ``(A, B, c)`` on whitened features ``z`` (k directions, ``h = B z``), with ``R = pi (q - p)`` (N, V):

    dA = R'H,    dB = A' R'Z,    dc = R'1.

A direction moves the logits by ``delta = H dA' + (Z dB') A' + 1 dc'``; the loss, a Bregman divergence of log-sum-exp,
curves by ``sum_n pi_n Var_{q_n}(delta_n)`` (Gauss-Newton: the curvature of the product ``A B`` itself is left out, so
the form is positive semidefinite).  Its average

    sum_v s_v [dA dc]_v HH [dA dc]_v' + tr(M dB ZZ dB'),    M = A'(D_s - s s'/|s|)A,

``r_n s_v`` the rank-one table with the sums of ``pi (q (1 - q) + p (1 - p)) / 2``, is inverted at once: it
preconditions, and damps.  The target's part matters for tokens that a truncation has made far too improbable: their
curvature under q vanishes while their gradient does not, and damping by q alone would never hold them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth import logspace
from synth._array import Array, device, like, namespace
from theory.frozen.heads import FrozenHead, divergence
from theory.frozen.metrics import Metric
from theory.frozen.problem import FrozenProblem

Triple = tuple[Array, Array, Array]
"""A point or direction: ``A`` (V, r), ``B`` (r, k) on whitened features, ``c`` (V,)."""

FLOOR = 1e-10
"""Share of the largest eigenvalue added to the averaged moments before they are inverted."""


def inner(x: Triple, y: Triple) -> float:
    """Euclidean inner product."""
    return sum(float(namespace(a).sum(a * b)) for a, b in zip(x, y, strict=True))


def combine(x: Triple, step: float, y: Triple) -> Triple:
    """``x + step y``."""
    return x[0] + step * y[0], x[1] + step * y[1], x[2] + step * y[2]


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates for heads of a problem: whitened features of a metric."""

    problem: FrozenProblem
    metric: Metric

    def enter(self, head: FrozenHead) -> Triple:
        """A head in these coordinates; what lies in directions without features is lost."""
        c = 0.0 * self.problem.full_bias if head.b is None else head.b
        if self.problem.bias:
            c = c + head.A @ (head.B @ self.metric.mean)
        return head.A, head.B @ self.metric.K.T, c

    def leave(self, point: Triple) -> FrozenHead:
        """The head on the features as they came."""
        A, B, c = point
        out = B @ self.metric.T.T
        return FrozenHead(A, out, c - A @ (out @ self.metric.mean) if self.problem.bias else None)

    def features(self, X: Array) -> Array:
        """Whitened features (n, k)."""
        return (X - self.metric.mean[None, :]) @ self.metric.T


@dataclass(frozen=True, eq=False)
class Rows:
    """A block of rows at a point.

    Whitened features ``Z`` (n, k), weights and costs ``KL(p || q)`` (n,) in float64; hidden states ``H = Z B'`` (n, r),
    ``log p`` and ``q`` (n, V) in the precision of the tables.
    """

    Z: Array
    H: Array
    weights: Array
    log_p: Array
    q: Array
    costs: Array


@dataclass(frozen=True, eq=False)
class Curvature:
    """The loss around one point of a chart."""

    chart: Chart
    point: Triple

    def _rows(self) -> Iterator[Rows]:
        """What every pass needs, block by block."""
        if self.chart.problem.keeps:
            yield from self._kept
        else:
            yield from self._formed()

    @cached_property
    def _kept(self) -> list[Rows]:
        return list(self._formed())

    def _formed(self) -> Iterator[Rows]:
        problem, xp = self.chart.problem, namespace(self.point[0])
        A, _, c = self._single(self.point)
        for block in problem.blocks():
            Z = self.chart.features(block.X)
            H = xp.astype(Z @ self.point[1].T, A.dtype, copy=False)
            log_q = logspace.log_softmax(H @ A.T + c[None, :])
            costs = xp.astype(divergence(block.log_p, log_q), xp.float64, copy=False)
            yield Rows(Z, H, block.weights, block.log_p, xp.exp(log_q), costs)

    def _single(self, x: Triple) -> Triple:
        """A point or direction in the precision of the tables."""
        xp = namespace(x[0])
        dtype = getattr(xp, self.chart.problem.passes.precision)
        A, B, c = (xp.astype(part, dtype, copy=False) for part in x)
        return A, B, c

    @cached_property
    def _first(self) -> tuple[Triple, Triple]:
        """One pass: the gradient, and the moments ``s`` (V,), ``ZZ`` (k, k), ``r'[Z 1]`` (k + 1,)."""
        A, B, c = self.point
        xp, pull, s = namespace(A), _Pull(self), namespace(c).zeros_like(c)
        ZZ, mean, mass = 0.0 * (B.T @ B), xp.zeros_like(self.chart.metric.K[:, 0]), 0.0
        for rows in self._rows():
            pi, Z, q = xp.astype(rows.weights, rows.q.dtype, copy=False), rows.Z, rows.q
            p = xp.exp(rows.log_p)
            pull.add(rows, pi[:, None] * (q - p))
            f = pi[:, None] * (q * (1 - q) + p * (1 - p)) / 2
            r, s = xp.astype(xp.sum(f, axis=1), Z.dtype, copy=False), s + xp.sum(f, axis=0)
            ZZ, mean, mass = ZZ + Z.T @ (r[:, None] * Z), mean + r @ Z, mass + float(xp.sum(r))
        return pull.triple, (s / max(mass, float(np.finfo(np.float64).tiny)), ZZ, _joined(mean, mass))

    @cached_property
    def gap(self) -> float:
        """The loss here, nats per token."""
        return sum(float(rows.weights @ rows.costs) for rows in self._rows())

    @property
    def gradient(self) -> Triple:
        """Its gradient."""
        return self._first[0]

    def signed_gradient(self, signs: Array) -> Triple:
        """``sum_n signs_n grad_n``, the gradients of the rows with random signs (N,)."""
        xp, at, pull = namespace(self.point[0]), 0, _Pull(self)
        for rows in self._rows():
            weights = signs[at : at + rows.weights.shape[0]] * rows.weights
            pi = xp.astype(weights, rows.q.dtype, copy=False)
            pull.add(rows, pi[:, None] * (rows.q - xp.exp(rows.log_p)))
            at += int(weights.shape[0])
        return pull.triple

    def product(self, direction: Triple, damping: float = 0.0) -> Triple:
        """Gauss-Newton curvature times a direction, plus ``damping`` times the averaged one.  One pass."""
        xp, pull = namespace(self.point[0]), _Pull(self)
        (A, _, _), (dA, _, dc) = self._single(self.point), self._single(direction)
        right = xp.concat([dA, A], axis=1)
        for rows in self._rows():
            change = xp.astype(rows.Z @ direction[1].T, A.dtype, copy=False)
            delta = xp.concat([rows.H, change], axis=1) @ right.T + dc[None, :]
            delta = delta - xp.vecdot(rows.q, delta)[:, None]
            pi = xp.astype(rows.weights, delta.dtype, copy=False)
            pull.add(rows, rows.q * delta * pi[:, None])
        return combine(pull.triple, damping, self.averaged(direction)) if damping else pull.triple

    @cached_property
    def _average(self) -> tuple[Array, Array, Array, Array]:
        """``s`` (V,), ``HH`` (r + 1, r + 1), ``M`` (r, r), ``ZZ`` (k, k), each made invertible."""
        A, B, _ = self.point
        xp, (s, ZZ, edge) = namespace(A), self._first[1]
        cross, mass = B @ edge[:-1], edge[-1:]
        top = xp.concat([B @ ZZ @ B.T, cross[:, None]], axis=1)
        HH = xp.concat([top, xp.concat([cross, mass])[None, :]], axis=0)
        mean = (s @ A) / xp.sum(s)
        M = A.T @ (s[:, None] * A) - xp.sum(s) * mean[:, None] * mean[None, :]
        least = FLOOR * xp.max(s)
        return xp.where(s > least, s, least * xp.ones_like(s)), _lifted(HH), _lifted(M), _lifted(ZZ)

    def averaged(self, direction: Triple) -> Triple:
        """The averaged curvature times a direction."""
        s, HH, M, ZZ = self._average
        dA, dB, dc = direction
        side = s[:, None] * (namespace(dA).concat([dA, dc[:, None]], axis=1) @ HH)
        return side[:, :-1], M @ dB @ ZZ, side[:, -1] if self.chart.problem.bias else 0.0 * dc

    def precondition(self, gradient: Triple) -> Triple:
        """The inverse of the averaged curvature times a gradient."""
        s, HH, M, ZZ = self._average
        dA, dB, dc = gradient
        xp = namespace(dA)
        if not self.chart.problem.bias:
            return xp.linalg.solve(HH[:-1, :-1], (dA / s[:, None]).T).T, self._inner_inverse(dB, M, ZZ), dc
        side = xp.linalg.solve(HH, (xp.concat([dA, dc[:, None]], axis=1) / s[:, None]).T).T
        return side[:, :-1], self._inner_inverse(dB, M, ZZ), side[:, -1]

    @staticmethod
    def _inner_inverse(dB: Array, M: Array, ZZ: Array) -> Array:
        solve = namespace(dB).linalg.solve
        return solve(ZZ, solve(M, dB).T).T


class _Pull:
    """From residuals ``R`` (n, V), block by block, to ``R'H``, ``A'R'Z`` and ``R'1``: the way back to the factors.

    ``A'R'Z = (R A)'Z`` never forms the V x k gradient of the matrix ``A B``.
    """

    def __init__(self, curvature: Curvature) -> None:
        A, B, c = curvature.point
        xp = namespace(A)
        self.A, self.bias = curvature._single(curvature.point)[0], curvature.chart.problem.bias
        self.triple = xp.zeros_like(A), xp.zeros_like(B), xp.zeros_like(c)

    def add(self, rows: Rows, R: Array) -> None:
        """Add a block's part."""
        xp, (dA, dB, dc) = namespace(R), self.triple
        back = xp.astype(R @ self.A, rows.Z.dtype, copy=False).T @ rows.Z
        self.triple = dA + R.T @ rows.H, dB + back, dc + xp.sum(R, axis=0) if self.bias else dc


def _joined(mean: Array, mass: float) -> Array:
    return namespace(mean).concat([mean, like(np.array([mass]), mean)])


def _lifted(matrix: Array) -> Array:
    """The matrix plus ``FLOOR`` of its largest diagonal entry, at least the smallest normal number, times I."""
    xp, size = namespace(matrix), int(matrix.shape[0])
    if size == 0:
        return matrix
    diagonal = xp.linalg.diagonal(matrix)
    lift = max(FLOOR * float(xp.max(diagonal)), float(np.finfo(np.float64).tiny))
    return matrix + lift * xp.eye(size, dtype=matrix.dtype, device=device(matrix))
