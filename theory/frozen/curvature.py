"""Gradient and secant curvature of the loss at a head of rank r, streamed over rows.

At a head ``(A, B, c)`` on whitened features ``z`` (k directions, ``h = B z``), with ``R = pi (q - p)`` (N, V):

    dA = R'H,    dB = A' R'Z,    dc = R'1,

and a direction moves the logits by ``delta = H dA' + (Z dB') A' + 1 dc'``.  The curvature of the loss along it is
``Var_q(delta)``, and that is of little use where laws are peaked: a token that a truncation has made far too improbable
has none under q, and Newton steps overshoot wildly.  With ``e = log p - log q``, the logarithmic mean

    w = (p - q) / (log p - log q),        w e = p - q,

is the secant of the gradient between q and the target, and

    1/2 sum_v w_v (delta_v - u - e_v)^2,    u the w-mean of delta - e,

is a quadratic model with the gradient of the loss at delta = 0 and its minimum, 0, at the target itself.  It begins at
``1/2 sum_v (p - q) e``, half the divergence of Jeffreys; near the target w is p, q and the curvature.  The form of
this file, ``sum_n |w_n| Var_w(delta_n)``, is Gauss-Newton with secant weights.  What its minimum over all directions
leaves is a weighted distance, never negative, that predicts what a head of this rank will still lose.

The average of the form,

    sum_v s_v [dA dc]_v HH [dA dc]_v' + tr(M dB ZZ dB'),    M = A'(D_s - s s'/|s|)A,

``r_n s_v`` the rank-one table with the sums of ``pi w (1 - w / |w|)``, is inverted at once: it preconditions and damps.
Each side is widened for the few contexts it may rest on: the form of a token whose weights f are effectively those of
``n_v = (sum_n f_nv)^2 / sum_n f_nv^2`` contexts reaches ``(1 + sqrt((r + 1) / n_v))^2`` times the average in some
directions (the edge of Marchenko & Pastur 1967), and those are the directions in which it has a gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth import logspace
from synth._array import Array, device, namespace
from theory.frozen.chart import Chart, Triple, combine
from theory.frozen.secant import divergences, information, secants, strips, widening

FLOOR = 1e-10
"""Share of the largest eigenvalue added to the averaged moments before they are inverted."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A block of rows at a point.

    Whitened features ``Z`` (n, k) and weights (n,) in float64; hidden states ``H = Z B'`` (n, r), secant weights ``w``
    (n, V) and their sums ``mass`` (n, 1) in the precision of the tables.
    """

    Z: Array
    H: Array
    weights: Array
    w: Array
    mass: Array


@dataclass(frozen=True, eq=False)
class Moments:
    """What the average is made of: ``s`` (V,), ``ZZ`` (k, k), ``r'Z`` (k,), ``sum r``; widenings of tokens and of B."""

    s: Array
    ZZ: Array
    mean: Array
    mass: Array
    of_tokens: Array
    of_B: Array


def loss_at(chart: Chart, point: Triple) -> float:
    """The loss at a point of a chart, nats per token: a pass that forms logits and keeps nothing."""
    at, total = Curvature(chart, point), 0.0
    A, _, c = at.single(point)
    xp = namespace(A)
    for block in chart.problem.blocks():
        logits = xp.astype(chart.features(block.X) @ point[1].T, A.dtype, copy=False) @ A.T
        parts = [divergences(block.log_p[here, :], logits[here, :] + c[None, :]) for here in strips(logits)]
        total += float(xp.astype(block.weights, A.dtype, copy=False) @ xp.concat(parts))
    return total


@dataclass(frozen=True, eq=False)
class Curvature:
    """The loss around one point of a chart."""

    chart: Chart
    point: Triple

    def _formed(self) -> Iterator[tuple[Rows, Array, Array, Array]]:
        """Rows with their residuals ``q - p`` (n, V), losses ``KL(p || q)`` and Jeffreys divergences (n,)."""
        problem, xp = self.chart.problem, namespace(self.point[0])
        A, _, c = self.single(self.point)
        for block in problem.blocks():
            Z = self.chart.features(block.X)
            H = xp.astype(Z @ self.point[1].T, A.dtype, copy=False)
            R = H @ A.T
            w, parts = xp.empty_like(R), []
            for here in strips(R):
                R[here, :], w[here, :], *sums = secants(block.log_p[here, :], R[here, :] + c[None, :])
                parts.append(sums)
            mass, losses, jeffreys = (xp.concat(list(sums)) for sums in zip(*parts, strict=True))
            yield Rows(Z, H, block.weights, w, mass[:, None]), R, losses, jeffreys

    @cached_property
    def _first(self) -> tuple[tuple[float, float], Triple, Moments, list[Rows]]:
        """One pass: loss and half the Jeffreys divergence, the gradient, the moments, and the rows if they are kept."""
        A, B, c = self.point
        xp, pull, keeps = namespace(A), _Pull(self), self.chart.problem.keeps
        loss, half, kept, parts = 0.0, 0.0, [], []
        s, squares, ZZ, mean = xp.zeros_like(c), xp.zeros_like(c), 0.0 * (B.T @ B), 0.0 * self.chart.metric.K[:, 0]
        for rows, residual, losses, jeffreys in self._formed():
            pi = xp.astype(rows.weights, residual.dtype, copy=False)
            loss += float(pi @ losses)
            half += float(pi @ jeffreys) / 2
            pull.add(rows, pi[:, None] * residual)
            r, sums, of_squares = information(rows.w, rows.mass, pi)
            r = xp.astype(r, ZZ.dtype, copy=False)
            s, squares, mean = s + sums, squares + of_squares, mean + r @ rows.Z
            ZZ = ZZ + rows.Z.T @ (r[:, None] * rows.Z)
            parts.append(r)
            if keeps:
                kept.append(rows)
        r = xp.concat(parts)
        mass = xp.sum(r)
        wide = widening(s, squares, int(A.shape[1]) + 1), widening(mass, xp.sum(r * r), int(B.shape[1]))
        s = s / xp.where(mass > 0, mass, xp.ones_like(mass))
        return (loss, half), pull.triple, Moments(s, ZZ, mean, mass, *wide), kept

    def _rows(self) -> Iterator[Rows]:
        """What a product needs, block by block."""
        kept = self._first[3]
        yield from kept or (rows for rows, *_ in self._formed())

    def single(self, x: Triple) -> Triple:
        """A point or direction in the precision of the tables."""
        xp = namespace(x[0])
        dtype = getattr(xp, self.chart.problem.passes.precision)
        A, B, c = (xp.astype(part, dtype, copy=False) for part in x)
        return A, B, c

    @property
    def gap(self) -> float:
        """The loss here, nats per token."""
        return self._first[0][0]

    @property
    def jeffreys(self) -> float:
        """The model's value here: half the divergence of Jeffreys, nats per token."""
        return self._first[0][1]

    def share(self, decrement: float) -> float:
        """The share of the model that a step of this decrement removes, between 0 and 1."""
        return min(1.0, decrement / self.jeffreys) if self.jeffreys > 0 else 0.0

    @property
    def gradient(self) -> Triple:
        """Its gradient."""
        return self._first[1]

    def signed_gradient(self, signs: Array) -> Triple:
        """``sum_n signs_n grad_n``, the gradients of the rows with random signs (N,)."""
        xp, at, pull = namespace(self.point[0]), 0, _Pull(self)
        for rows, residual, *_ in self._formed():
            weights = signs[at : at + rows.weights.shape[0]] * rows.weights
            pull.add(rows, xp.astype(weights, residual.dtype, copy=False)[:, None] * residual)
            at += int(weights.shape[0])
        return pull.triple

    def product(self, direction: Triple, damping: float = 0.0) -> Triple:
        """Secant curvature times a direction, plus ``damping`` times the averaged one.  One pass."""
        xp, pull = namespace(self.point[0]), _Pull(self)
        (A, _, _), (dA, _, dc) = self.single(self.point), self.single(direction)
        right = xp.concat([dA, A], axis=1)
        for rows in self._rows():
            change = xp.astype(rows.Z @ direction[1].T, A.dtype, copy=False)
            delta = xp.concat([rows.H, change], axis=1) @ right.T
            pi = xp.astype(rows.weights, delta.dtype, copy=False)[:, None]
            for here in strips(delta):
                part, w = delta[here, :] + dc[None, :], rows.w[here, :]
                part -= logspace.row_dots(w, part)[:, None] / rows.mass[here, :]
                part *= w
                part *= pi[here, :]
                delta[here, :] = part
            pull.add(rows, delta)
        return combine(pull.triple, damping, self.averaged(direction)) if damping else pull.triple

    @cached_property
    def _average(self) -> tuple[Array, Array, Array, Array]:
        """``s`` (V,) and ``M`` (r, r), widened, ``HH`` (r + 1, r + 1), ``ZZ`` (k, k), each made invertible."""
        A, B, _ = self.point
        xp, of = namespace(A), self._first[2]
        cross = B @ of.mean
        top = xp.concat([B @ of.ZZ @ B.T, cross[:, None]], axis=1)
        HH = xp.concat([top, xp.concat([cross, of.mass[None]])[None, :]], axis=0)
        centre = (of.s @ A) / xp.sum(of.s)
        M = of.of_B * (A.T @ (of.s[:, None] * A) - xp.sum(of.s) * centre[:, None] * centre[None, :])
        s = of.of_tokens * of.s
        least = FLOOR * xp.max(s)
        return xp.where(s > least, s, least * xp.ones_like(s)), _lifted(HH), _lifted(M), _lifted(of.ZZ)

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
        self.A, self.bias = curvature.single(curvature.point)[0], curvature.chart.problem.bias
        self.triple = xp.zeros_like(A), xp.zeros_like(B), xp.zeros_like(c)

    def add(self, rows: Rows, R: Array) -> None:
        """Add a block's part."""
        xp, (dA, dB, dc) = namespace(R), self.triple
        back = xp.astype(R @ self.A, rows.Z.dtype, copy=False).T @ rows.Z
        dA += R.T @ rows.H
        self.triple = dA, dB + back, dc + xp.sum(R, axis=0) if self.bias else dc


def _lifted(matrix: Array) -> Array:
    """The matrix plus ``FLOOR`` of its largest diagonal entry, at least the smallest normal number, times I."""
    xp, size = namespace(matrix), int(matrix.shape[0])
    if size == 0:
        return matrix
    diagonal = xp.linalg.diagonal(matrix)
    lift = max(FLOOR * float(xp.max(diagonal)), float(np.finfo(np.float64).tiny))
    return matrix + lift * xp.eye(size, dtype=matrix.dtype, device=device(matrix))
