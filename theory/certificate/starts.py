"""Where an ascent begins: quadratic minorants that touch the loss at a guess of the log error.

At a guess A the tangent quadratic ``omega (E - A)^2 + w (e^A - 1)(E - A) + w rho(A)`` stays below ``w rho(E)`` down to
``E = -M`` when ``omega <= w e^A kappa(M + A)``, ``kappa(t) = (e^{-t} - 1 + t) / t^2``; the largest rank-one omega is
found by alternating minima.  Its target is ``z = A - w (e^A - 1) / (2 omega)``.
"""

from __future__ import annotations

from collections.abc import Iterator

from synth._array import Array, namespace
from theory.certificate.dual import Dual, Metric
from theory.certificate.peak import Box

ROUNDS = 30
"""Alternations between the largest r for s and the largest s for r."""

NEWTON = 4
"""Steps towards the underestimate of a given cost."""

DEEPEST = 1e6
"""Costs of more than this times the weight are not told apart: so deep a quadratic is flat."""

MARGIN = 0.99
"""A guess is kept within this share of the box, where the tangent quadratic has some room."""


def guesses(dual: Dual, fitted: Array | None) -> Iterator[Array]:
    """Log errors (C, V) to touch at: the unigram law's, half of it, and none; with a fitted head's, that and a mean."""
    xp = namespace(dual.log_p)
    mass = xp.sum(dual.box.w, axis=0)
    unigram = xp.log(mass / xp.sum(mass))[None, :] - dual.log_p
    yield unigram
    yield 0 * unigram
    if fitted is None:
        yield unigram / 2
    else:
        yield (fitted + unigram) / 2
        yield fitted


def anchored(guess: Array, box: Box) -> Metric:
    """The metric of the tangent quadratics at ``guess`` (C, V), for a box with finite ends."""
    xp = namespace(guess)
    A = xp.maximum(xp.minimum(guess, MARGIN * box.high), MARGIN * box.low)
    log_omega = xp.log(box.w) + A + xp.log(_kappa(A - box.low))
    log_r, log_s = minorant(log_omega)
    omega = xp.exp(log_r[:, None] + log_s[None, :])
    return Metric(A - box.w * xp.expm1(A) / (2 * omega), log_r, log_s)


def reached(box: Box, cost: float) -> Box:
    """The box cut where an entry's loss ``w h(-E)`` reaches ``cost``, ``h(t) = e^{-t} - 1 + t``."""
    xp = namespace(box.w)
    x = cost / box.w
    x = xp.minimum(x, xp.full_like(x, DEEPEST))
    t = x + xp.sqrt(2 * x)  # right of the solution of h(t) = x, from where Newton's method falls to it
    for _ in range(NEWTON):
        slope = -xp.expm1(-t)
        t = t - (xp.expm1(-t) + t - x) / xp.where(slope > 0, slope, xp.ones_like(slope))
    return Box(box.w, xp.maximum(box.low, -t), box.high)


def minorant(log_omega: Array) -> tuple[Array, Array]:
    """``log r`` and ``log s`` with ``log r_c + log s_v <= log_omega_cv``, none of them can be raised alone."""
    xp = namespace(log_omega)
    log_s = xp.min(log_omega - xp.mean(log_omega, axis=1, keepdims=True), axis=0)
    for _ in range(ROUNDS):
        log_r = xp.min(log_omega - log_s[None, :], axis=1)
        log_s = xp.min(log_omega - log_r[:, None], axis=0)
    return log_r, log_s


def _kappa(t: Array) -> Array:
    """``(e^{-t} - 1 + t) / t^2``, 1/2 at t = 0."""
    xp = namespace(t)
    small = xp.abs(t) < 1e-3
    safe = xp.where(small, xp.ones_like(t), t)
    return xp.where(small, 0.5 - t / 6, (xp.expm1(-safe) + safe) / safe**2)
