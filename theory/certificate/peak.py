"""The entrywise maximum that a certificate pays, and the law of its maximisers.

For one entry, with ``q(E) = sum_k omega_k (E - z_k)^2`` and ``rho(E) = e^E - 1 - E``, the price is

    T = max over lo <= E <= hi of   min(q(E), cap) - w rho(E).

Write ``q(E) = Omega (E - zbar)^2 + q0``.  The derivative of ``q - w rho`` is ``2 Omega (E - zbar) - w (e^E - 1)``, a
concave function of E: the maximum lies at ``lo`` or at the larger root.  With ``a = w / (2 Omega)`` and
``y = E - zbar + a`` the root solves ``y = e^{y - 1 - u}``, ``u = a - 1 - zbar - log a``, so it exists for ``u >= 0``
and is the larger solution of ``y = 1 + u + log y`` (the branch W_{-1} of Lambert's function).

With a finite cap the same holds on the interval where ``q <= cap``; beyond it the best is ``cap - w rho`` at the point
of the box nearest to 0, if that lies beyond.  At a corner ``q = cap`` the maximum has the derivative of
``lambda q + (1 - lambda) cap``, with ``lambda`` such that ``lambda q' = w rho'`` there.

A temperature replaces the maximum over these two or three candidates by ``tau log sum_i e^{value_i / tau}``, which is
never smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synth._array import Array, namespace

NEWTON = 6
"""Newton steps on ``y = 1 + u + log y`` from a start from above, where it falls to the root."""


@dataclass(frozen=True)
class Quadratic:
    """``Omega (E - centre)^2 + offset`` for every entry, arrays (C, V)."""

    omega: Array
    centre: Array
    offset: Array


@dataclass(frozen=True)
class Box:
    """What is known of the log error ``E`` and its weight ``w``: ``low <= E <= high``, arrays (C, V)."""

    w: Array
    low: Array
    high: Array

    def shifted(self, shift: Array) -> Box:
        """The box of ``E + t_c``, for ``t`` (C,)."""
        return Box(self.w, self.low + shift[:, None], self.high + shift[:, None])


@dataclass(frozen=True)
class Peak:
    """The maximum, smoothed and not, and the moments of its maximiser where the quadratic is not capped.

    ``mass``, ``first`` and ``second`` are ``sum_i P_i lambda_i E_i^n`` for n = 0, 1, 2: the derivatives are
    ``dT/d omega_k = second - 2 z_k first + z_k^2 mass`` and ``dT/d z_k = -2 omega_k (first - z_k mass)``.
    ``push`` is the derivative with respect to a shift of the box, the slope at the maximisers that lie at its ends.
    ``root`` is the inner maximiser, ``share`` the probability that the smoothing gives it, ``end`` the left end.
    """

    smooth: Array
    value: Array
    mass: Array
    first: Array
    second: Array
    push: Array
    root: Array
    share: Array
    end: Array


def peak(quadratic: Quadratic, box: Box, cap: float, temperature: Array | None) -> Peak:
    """The maximum over the box; ``temperature`` (C, V) smooths it, ``None`` does not."""
    xp = namespace(box.w)
    infinite = cap == float("inf")
    low, high, inside = (box.low, box.high, None) if infinite else _where_uncapped(quadratic, box, cap)
    root = _root(quadratic, box.w, low, high)
    lowest = _value(quadratic, box.w, low)
    inner = _value(quadratic, box.w, root)
    values, points = [lowest, inner], [low, root]
    if inside is not None:
        values = [xp.where(inside, value, -xp.ones_like(value) * xp.inf) for value in values]
        nearest = xp.maximum(xp.minimum(xp.zeros_like(low), box.high), box.low)
        covered = inside & _covers(quadratic, nearest, cap)
        values.append(xp.where(covered, -xp.inf, cap - box.w * (xp.expm1(nearest) - nearest)))
        points.append(nearest)
    top = values[0]
    for value in values[1:]:
        top = xp.maximum(top, value)
    smooth, shares = _law(xp, values, top, temperature)
    pull = [xp.ones_like(low)] * 2 if infinite else [_pull(quadratic, box, end, cap) for end in (low, root)]
    parts = [share * weight for share, weight in zip(shares, pull, strict=False)]
    mass = parts[0] + parts[1]
    first = parts[0] * points[0] + parts[1] * points[1]
    second = parts[0] * points[0] ** 2 + parts[1] * points[1] ** 2
    push = 2 * quadratic.omega * (first - quadratic.centre * mass)
    for share, point in zip(shares, points, strict=True):
        push = push - share * box.w * xp.expm1(point)
    return Peak(smooth, top, mass, first, second, push, root, shares[1], low)


def _value(quadratic: Quadratic, w: Array, E: Array) -> Array:
    """``q(E) - w rho(E)``."""
    return quadratic.omega * (E - quadratic.centre) ** 2 + quadratic.offset - w * (namespace(E).expm1(E) - E)


def _root(quadratic: Quadratic, w: Array, low: Array, high: Array) -> Array:
    """The larger root of the derivative, within ``low .. high``; ``low`` where there is none."""
    xp = namespace(w)
    a = w / (2 * quadratic.omega)
    u = a - 1 - quadratic.centre - xp.log(a)
    exists = u >= 0
    u = xp.where(exists, u, xp.zeros_like(u))
    y = 1 + xp.sqrt(2 * u) + u
    for _ in range(NEWTON):
        y = y - (y - 1 - u - xp.log(y)) * y / xp.where(y > 1, y - 1, xp.ones_like(y))
        y = xp.where(y > 1, y, xp.ones_like(y))
    E = xp.where(exists, xp.log(y / a), low)  # y + centre - a would cancel for large a
    return xp.maximum(xp.minimum(E, high), low)


def _where_uncapped(quadratic: Quadratic, box: Box, cap: float) -> tuple[Array, Array, Array]:
    """The part of the box where ``q <= cap``, and whether there is any."""
    xp = namespace(box.w)
    room = (cap - quadratic.offset) / quadratic.omega
    reach = xp.sqrt(xp.where(room > 0, room, xp.zeros_like(room)))
    low = xp.maximum(box.low, quadratic.centre - reach)
    high = xp.minimum(box.high, quadratic.centre + reach)
    inside = (room > 0) & (low <= high)
    return xp.where(inside, low, xp.zeros_like(low)), xp.where(inside, high, xp.zeros_like(high)), inside


def _covers(quadratic: Quadratic, E: Array, cap: float) -> Array:
    """Whether the quadratic is not capped at E."""
    return quadratic.omega * (E - quadratic.centre) ** 2 + quadratic.offset <= cap


def _pull(quadratic: Quadratic, box: Box, E: Array, cap: float) -> Array:
    """``lambda``: 1 inside and at the ends of the box, the ratio of the slopes at a corner."""
    xp = namespace(E)
    slope = 2 * quadratic.omega * (E - quadratic.centre)
    excess = quadratic.omega * (E - quadratic.centre) ** 2 + quadratic.offset
    corner = excess >= cap * (1 - 1e-12)
    ratio = box.w * xp.expm1(E) / xp.where(slope == 0, xp.ones_like(slope), slope)
    return xp.where(corner, ratio, xp.ones_like(ratio))


def _law(xp: Any, values: list[Array], top: Array, temperature: Array | None) -> tuple[Array, list[Array]]:
    """The smoothed maximum and the probabilities of the candidates; without temperature the first best takes all."""
    if temperature is None:
        taken, shares = xp.zeros_like(top), []
        for value in values:
            share = xp.where((value >= top) & (taken == 0), xp.ones_like(top), xp.zeros_like(top))
            taken = taken + share
            shares.append(share)
        return top, shares
    powers = [xp.exp((value - top) / temperature) for value in values]
    total = powers[0]
    for power in powers[1:]:
        total = total + power
    return top + temperature * xp.log(total), [power / total for power in powers]
