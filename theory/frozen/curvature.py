"""Gradient and Gauss-Newton curvature of the loss at a head of rank r, streamed over rows.

At a head ``(A, B, c)`` on whitened features ``z`` (k directions, ``h = B z``), with ``R = pi (q - p)`` (N, V):

    dA = R'H,    dB = A' R'Z,    dc = R'1.

A direction moves the logits by ``delta = H dA' + (Z dB') A' + 1 dc'``; the loss, a Bregman divergence of log-sum-exp,
curves by ``sum_n pi_n Var_{q_n}(delta_n)`` (Gauss-Newton: the curvature of the product ``A B`` itself is left out, so
the form is positive semidefinite).  Its average

    sum_v s_v [dA dc]_v HH [dA dc]_v' + tr(M dB ZZ dB'),    M = A'(D_s - s s'/|s|)A,

``r_n s_v`` the rank-one table with the sums of ``pi q (1 - q)``, is inverted at once: it preconditions, and damps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth import logspace
from synth._array import Array, device, like, namespace
from theory.frozen.heads import FrozenHead
from theory.frozen.metrics import Metric
from theory.frozen.problem import KEPT_ENTRIES, FrozenProblem

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
class Curvature:
    """The loss around one point of a chart."""

    chart: Chart
    point: Triple

    def _rows(self) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Whitened features, weights, log-probabilities of the target and of the head, block by block."""
        if self.chart.problem.rows * self.chart.problem.vocab <= KEPT_ENTRIES:
            yield from self._kept
        else:
            yield from self._formed()

    @cached_property
    def _kept(self) -> list[tuple[Array, Array, Array, Array]]:
        return list(self._formed())

    def _formed(self) -> Iterator[tuple[Array, Array, Array, Array]]:
        A, B, c = self.point
        for block in self.chart.problem.blocks():
            Z = self.chart.features(block.X)
            yield Z, block.weights, block.log_p, logspace.log_softmax((Z @ B.T) @ A.T + c[None, :])

    @cached_property
    def _first(self) -> tuple[float, Triple, Triple]:
        """One pass: the gap, the gradient, and the moments ``s`` (V,), ``ZZ`` (k, k), ``r'[Z 1]`` (k + 1,)."""
        A, B, c = self.point
        xp, total = namespace(A), 0.0
        matrix, column, s = xp.zeros_like(A @ B), xp.zeros_like(c), xp.zeros_like(c)
        ZZ, mean, mass = 0.0 * (B.T @ B), xp.zeros_like(self.chart.metric.K[:, 0]), 0.0
        for Z, pi, log_p, log_q in self._rows():
            q = xp.exp(log_q)
            total += float(pi @ logspace.divergence(log_p, log_q))
            R = pi[:, None] * (q - xp.exp(log_p))
            matrix, column = matrix + R.T @ Z, column + xp.sum(R, axis=0)
            f = pi[:, None] * (q * (1 - q))
            r, s = xp.sum(f, axis=1), s + xp.sum(f, axis=0)
            ZZ, mean, mass = ZZ + Z.T @ (r[:, None] * Z), mean + r @ Z, mass + float(xp.sum(r))
        gradient = self._pull(matrix, column)
        return total, gradient, (s / max(mass, float(np.finfo(np.float64).tiny)), ZZ, _joined(mean, mass))

    def _pull(self, matrix: Array, column: Array) -> Triple:
        """From the gradient of the matrix ``A B`` and of ``c`` to that of the factors."""
        A, B, _ = self.point
        return matrix @ B.T, A.T @ matrix, column if self.chart.problem.bias else 0.0 * column

    @property
    def gap(self) -> float:
        """The loss here, nats per token."""
        return self._first[0]

    @property
    def gradient(self) -> Triple:
        """Its gradient."""
        return self._first[1]

    def signed_gradient(self, signs: Array) -> Triple:
        """``sum_n signs_n grad_n``, the gradients of the rows with random signs (N,)."""
        xp, at = namespace(self.point[0]), 0
        matrix, column = xp.zeros_like(self.point[0] @ self.point[1]), xp.zeros_like(self.point[2])
        for Z, pi, log_p, log_q in self._rows():
            R = (signs[at : at + pi.shape[0]] * pi)[:, None] * (xp.exp(log_q) - xp.exp(log_p))
            matrix, column, at = matrix + R.T @ Z, column + xp.sum(R, axis=0), at + int(pi.shape[0])
        return self._pull(matrix, column)

    def product(self, direction: Triple, damping: float = 0.0) -> Triple:
        """Gauss-Newton curvature times a direction, plus ``damping`` times the averaged one.  One pass."""
        A, B, _ = self.point
        dA, dB, dc = direction
        xp = namespace(A)
        matrix, column = xp.zeros_like(A @ B), xp.zeros_like(dc)
        for Z, pi, _, log_q in self._rows():
            q = xp.exp(log_q)
            delta = (Z @ B.T) @ dA.T + (Z @ dB.T) @ A.T + dc[None, :]
            R = q * (delta - xp.sum(q * delta, axis=1)[:, None]) * pi[:, None]
            matrix, column = matrix + R.T @ Z, column + xp.sum(R, axis=0)
        result = self._pull(matrix, column)
        return combine(result, damping, self.averaged(direction)) if damping else result

    @cached_property
    def _average(self) -> tuple[Array, Array, Array, Array]:
        """``s`` (V,), ``HH`` (r + 1, r + 1), ``M`` (r, r), ``ZZ`` (k, k), each made invertible."""
        A, B, _ = self.point
        xp, (s, ZZ, edge) = namespace(A), self._first[2]
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
