"""Rows of laws and heads, a strip at a time: the logarithmic mean that is the secant of the gradient, and its sums."""

from __future__ import annotations

from collections.abc import Iterator

from synth import logspace
from synth._array import Array, namespace, on_host

STRIP_ENTRIES = 2**16
"""Entries of a strip of rows on the host."""

NEAR = 1e-3
"""Difference of logarithms below which the logarithmic mean is written as a series, good to its square over six."""


def strips(table: Array) -> Iterator[slice]:
    """Runs of rows of a table (n, V): on the host few enough to stay in the cache between operations, elsewhere all."""
    rows, vocab = table.shape
    step = max(1, STRIP_ENTRIES // vocab) if on_host(table) else max(1, rows)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def divergences(log_p: Array, logits: Array) -> Array:
    """``KL(p || q)`` of rows (n, V), as ``sum (p e + q - p)``, which forgives laws that do not quite sum to one."""
    xp = namespace(logits)
    log_q, p = logspace.log_softmax(logits), xp.exp(log_p)
    return xp.sum(p * (log_p - log_q) + xp.exp(log_q) - p, axis=1)


def secants(log_p: Array, logits: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Of rows (n, V): ``q - p`` and the logarithmic mean w; sums over tokens (n,): of w, ``divergences``, Jeffreys."""
    xp = namespace(logits)
    log_q = logspace.log_softmax(logits)
    e, p, q = log_p - log_q, xp.exp(log_p), xp.exp(log_q)
    R = q - p
    near = xp.abs(e) < NEAR
    w = xp.where(near, q * (1 + e / 2), -R / xp.where(near, xp.ones_like(e), e))
    return R, w, xp.sum(w, axis=1), xp.sum(p * e + R, axis=1), -logspace.row_dots(R, e)


def information(w: Array, mass: Array, pi: Array) -> tuple[Array, Array, Array]:
    """Sums of ``f = pi w (1 - w / mass)`` by row (n,) and by token (V,), and of ``f^2`` by token (V,)."""
    xp, by_row = namespace(w), []
    sums, squares = xp.zeros_like(w[0, :]), xp.zeros_like(w[0, :])
    for here in strips(w):
        part = w[here, :]
        f = pi[here][:, None] * part * (1 - part / mass[here, :])
        by_row.append(xp.sum(f, axis=1))
        sums += xp.sum(f, axis=0)
        squares += xp.sum(f * f, axis=0)
    return xp.concat(by_row), sums, squares


def widening(sums: Array, squares: Array, directions: int) -> Array:
    """``(1 + sqrt(directions / n))^2`` for weights of these sums and sums of squares, n their effective number >= 1."""
    xp = namespace(sums)
    positive = squares > 0
    ratio = squares / xp.where(positive, xp.maximum(sums * sums, squares), xp.ones_like(squares))
    return (1 + xp.sqrt(directions * ratio)) ** 2
