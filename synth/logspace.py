"""Sums and entropies in log space: ``0 log 0 = 0``, and +inf is an answer.

Everything here works on the last axis, for any array library, without ever adding a small constant
inside a logarithm.
"""

from __future__ import annotations

import math

from synth._array import Array, namespace


def log(p: Array) -> Array:
    """Elementwise ``log p`` with ``log 0 = -inf`` said without a warning."""
    xp = namespace(p)
    positive = p > 0
    return xp.where(positive, xp.log(xp.where(positive, p, xp.ones_like(p))), xp.full_like(p, -math.inf))


def logsumexp(x: Array) -> Array:
    """``log sum_v exp(x_v)`` over the last axis; a row of ``-inf`` gives ``-inf``.  Shape ``(..., V) -> (...)``."""
    xp = namespace(x)
    top = xp.max(x, axis=-1, keepdims=True)
    shift = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = log(xp.sum(xp.exp(x - shift), axis=-1, keepdims=True)) + shift
    return xp.squeeze(total, axis=-1)


def log_softmax(x: Array) -> Array:
    """``x - logsumexp(x)`` over the last axis: log-probabilities of the softmax of ``x``."""
    xp = namespace(x)
    return x - xp.expand_dims(logsumexp(x), axis=-1)


def entropy(log_p: Array) -> Array:
    """Shannon entropy ``-sum_v p_v log p_v`` in nats over the last axis, with ``0 log 0 = 0``."""
    xp = namespace(log_p)
    p = xp.exp(log_p)
    return -xp.sum(p * xp.where(p > 0, log_p, xp.zeros_like(p)), axis=-1)


def rho(x: Array) -> Array:
    """``e^x - 1 - x >= 0``: the elementwise loss of the separable identity (quadratic near 0, linear below).

    Below ``|x| = 0.1`` the Taylor series replaces ``expm1(x) - x``, whose two terms cancel there; ``-inf`` gives
    ``+inf``.
    """
    xp = namespace(x)
    small = xp.abs(x) < 0.1
    t = xp.where(small, x, xp.zeros_like(x))
    series = xp.full_like(t, 1.0 / 479001600.0)  # sum_{k=2}^{12} t^k / k!, Horner form
    for factorial in (39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0):
        series = series * t + 1.0 / factorial
    return xp.where(small, series * t * t, xp.expm1(x) - x)


def divergence_terms(log_p: Array, log_q: Array) -> Array:
    """Elementwise ``p rho(E)``, ``E = log q - log p``, where p > 0, and ``q`` where p = 0: all non-negative.

    They sum to ``KL(p || q)`` because both rows sum to one, and nothing cancels when p and q are close.  Where
    ``E > 1`` the term is written ``q - p (1 + E)``, which cannot overflow.
    """
    xp = namespace(log_p, log_q)
    p, q = xp.exp(log_p), xp.exp(log_q)
    zero = xp.zeros_like(p)
    inside = p > 0
    error = xp.where(inside, log_q - xp.where(inside, log_p, zero), zero)
    above = error > 1
    term = xp.where(above, q - p * (1 + xp.where(above, error, zero)), p * rho(xp.where(above, zero, error)))
    return xp.where(inside, term, q)


def divergence(log_p: Array, log_q: Array) -> Array:
    """``KL(p || q)`` in nats over the last axis (+inf where q misses p's support): ``divergence_terms`` summed."""
    return namespace(log_p, log_q).sum(divergence_terms(log_p, log_q), axis=-1)


def row_dots(x: Array, y: Array) -> Array:
    """``sum_v x_v y_v`` over the last axis.

    For a few long rows: ``vecdot`` would call BLAS for each, and wake its threads for microseconds of work.
    """
    return namespace(x, y).sum(x * y, axis=-1)
