"""The conjugate certificate in ball arithmetic.

Its value is ``sum_k sum_{j > d} min(sigma_j(X_k)^2, cap / K) - sum_cv T_cv - sum_c pi_c rho(t_c)`` with
``X_k = Pi_r D_r^{1/2} (L + z_k) D_s^{1/2} Pi_s`` (``Pi_r`` for a class with a bias only) and
``T = max over low + t <= E <= -L + t of min(q(E), cap) - w rho(E)``, ``q(E) = sum_k omega_k (E - z_k)^2``.  T is
bounded from above: for ``phi = q - w rho``,

    phi'' = 2 sum_k omega_k - w e^E changes sign once, at E_i: phi is convex to the left and concave to the right, so
    phi <= max(phi(low), max over [E_i, high] of the tangent at any E_0 >= E_i);                                (1)

E_0 is a maximum found in float64, where the tangent is flat.  With a cap, outside ``q <= cap`` the function is
``cap - w rho``, which grows towards the point of the box nearest to 0; if ``q < cap`` there, the maximum lies where
``q <= cap``, and only that interval enters (1).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from theory.balls.arithmetic import Ball, ball, balls, largest, least, lower, singular_values, total, upper
from theory.balls.floors import Certificate, Interval, weighted
from theory.balls.table import BallTable
from theory.head import HeadSpec
from theory.recheck.rounding import widest_range
from theory.recheck.table import Mismatch, index_set

BISECTIONS = 80
"""Halvings in the search for E_0."""


def conjugate(certificate: Certificate, table: BallTable, spec: HeadSpec) -> Interval:
    """The tail energies less the price; the price is bounded from above, so the interval's ends are both lower bounds.

    The upper end uses the price as bounded: it is what this re-evaluation makes of the certificate.
    """
    contexts, tokens, whole = _block(certificate, table)
    L, weights = table.positive(contexts, tokens)
    z, r, s = (np.asarray(certificate.get(name), dtype=np.float64) for name in ("z", "r", "s"))
    count, shape = (len(z) if z.ndim == 3 else 0), (len(L), len(L[0]))
    if count == 0 or z.shape[1:] != shape or r.shape != (count, shape[0]) or s.shape != (count, shape[1]):
        raise Mismatch(f"the certificate has shapes z {z.shape}, r {r.shape}, s {s.shape} on a block {shape}")
    t = np.asarray(certificate.get("t", np.zeros(shape[0])), dtype=np.float64)
    if t.shape != shape[:1]:
        raise Mismatch(f"the certificate has a shift t of shape {t.shape} on {shape[0]} contexts")
    if not all(np.all(np.isfinite(part)) for part in (z, r, s, t)) or np.any(r < 0) or np.any(s < 0):
        raise Mismatch("a certificate holds finite z and t, and finite r and s >= 0")
    cap = float(certificate.get("cap", math.inf))
    lows = _least_errors(L, spec, table.vocab, whole)
    if not cap > 0 or (cap == math.inf and lows is None):
        raise Mismatch("a certificate without a cap needs heads with a limit, and a cap is > 0")
    energy_low, energy_high = ball(0.0), ball(0.0)
    for k in range(count):
        low, high = _tail(L, (z[k], r[k], s[k]), cap / count, spec)
        energy_low, energy_high = energy_low + low, energy_high + high
    price = total(weight * (shift.expm1() - shift) for weight, shift in zip(weights, balls(t), strict=True))
    for c, row in enumerate(L):
        shift = ball(t[c])
        for v, x in enumerate(row):
            omega = [ball(r[k, c]) * ball(s[k, v]) for k in range(count)]
            entry = _Entry(omega, balls(z[:, c, v]), weights[c] * x.exp(), cap)
            price += entry.peak(None if lows is None else lows[c][v] + shift, shift - x)
    return energy_low - price, energy_high - price


def _tail(L: list[list[Ball]], metric: tuple[Any, Any, Any], cap: float, spec: HeadSpec) -> Interval:
    """``sum_{j > d} min(sigma_j^2, cap)`` in one metric, from below and above."""
    z, r, s = metric
    shifted = [
        [x + ball(shift) for x, shift in zip(row, shifts, strict=True)] for row, shifts in zip(L, z, strict=True)
    ]
    X = weighted(shifted, balls(r), balls(s))
    if spec.bias:
        X = _centred(X, balls(r))
    low, high = singular_values(X)
    ends = []
    for sigma in (low, high):
        energies = [value * value for value in sigma[spec.dim :]]
        ends.append(total(energies if cap == math.inf else [energy.min(ball(cap)) for energy in energies]))
    return ends[0], ends[1]


def _centred(X: list[list[Ball]], r: list[Ball]) -> list[list[Ball]]:
    """``Pi_r X``: every column less its projection on the roots of r."""
    roots, mass = [x.sqrt() for x in r], total(r)
    shares = [total(root * row[v] for root, row in zip(roots, X, strict=True)) / mass for v in range(len(X[0]))]
    return [
        [x - root * share for x, share in zip(row, shares, strict=True)] for root, row in zip(roots, X, strict=True)
    ]


class _Entry:
    """The quadratic and the loss of one entry of the table."""

    def __init__(self, omega: list[Ball], z: list[Ball], w: Ball, cap: float) -> None:
        self.omega, self.z, self.w, self.cap = omega, z, w, cap
        self.whole = total(omega)

    def quadratic(self, E: Ball) -> Ball:
        return total(o * (E - z) ** 2 for o, z in zip(self.omega, self.z, strict=True))

    def value(self, E: Ball) -> Ball:
        return self.quadratic(E) - self.w * (E.expm1() - E)

    def slope(self, E: Ball) -> Ball:
        return 2 * total(o * (E - z) for o, z in zip(self.omega, self.z, strict=True)) - self.w * E.expm1()

    def peak(self, low: Ball | None, high: Ball) -> Ball:
        """A ball whose upper end bounds T."""
        if not self.whole > 0:
            return ball(0.0)
        if self.cap == math.inf:
            if low is None:
                raise Mismatch("a certificate without a cap needs heads with a limit")
            return self._between(low.lower(), high.upper())
        cap, nearest = ball(self.cap), ball(0.0).min(high)
        nearest = nearest if low is None else nearest.max(low)
        if not self.quadratic(nearest) < cap:
            return cap - self.w * (nearest.expm1() - nearest)
        centre = total(o * z for o, z in zip(self.omega, self.z, strict=True)) / self.whole
        reach = ((cap - self.quadratic(centre)).max(ball(0.0)) / self.whole).sqrt()
        left, right = (centre - reach).lower(), (centre + reach).upper()
        left = left if low is None else left.max(low.lower())
        return self._between(left, right.min(high.upper())).min(cap)

    def _between(self, low: Ball, high: Ball) -> Ball:
        """The bound (1) on ``low .. high``, which may be enlarged but not shrunk."""
        turn = (2 * self.whole / self.w).log()
        start = turn.lower().max(low)
        if start > high:
            return self.value(low).max(self.value(high))
        at = ball(self._maximum(lower(start), upper(high))).max(turn.upper()).max(low).min(high)
        slope, value = self.slope(at), self.value(at)
        tangent = value + (slope * (start - at)).max(slope * (high - at))
        return self.value(low).max(tangent)

    def _maximum(self, low: float, high: float) -> float:
        """Where phi, concave on ``low .. high``, is largest, in float64 by bisection of its slope."""
        omega, z, w = [float(o) for o in self.omega], [float(x) for x in self.z], float(self.w)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            slope = 2 * sum(o * (middle - x) for o, x in zip(omega, z, strict=True)) - w * math.expm1(middle)
            low, high = (middle, high) if slope > 0 else (low, middle)
        return low


def _block(certificate: Certificate, table: BallTable) -> tuple[list[int] | None, list[int] | None, bool]:
    """Contexts and tokens of the certificate, ``None`` for all, and whether these are all the tokens."""
    if certificate.get("contexts") is None and certificate.get("tokens") is None:
        return None, None, True
    contexts = index_set(certificate.get("contexts"), len(table.log_p), "contexts").tolist()
    tokens = index_set(certificate.get("tokens"), table.vocab, "tokens").tolist()
    return contexts, tokens, len(tokens) == table.vocab


def _least_errors(L: list[list[Ball]], spec: HeadSpec, vocab: int, whole: bool) -> list[list[Ball]] | None:
    """The least log error of each entry that the class allows, at most 0; ``None`` without a limit."""
    widest = widest_range(spec)
    if widest == math.inf and spec.max_underestimate is None:
        return None
    rows = []
    for row in L:
        spread = largest(row) - least(row)
        here = []
        for x in row:
            bounds = [] if spec.max_underestimate is None else [-ball(spec.max_underestimate)]
            if widest < math.inf:
                bounds.append(-(1 + (vocab - 1) * ball(widest).exp()).log() - x)
                bounds += [-ball(widest) - spread] if whole else []
            here.append(largest(bounds).min(ball(0.0)))
        rows.append(here)
    return rows
