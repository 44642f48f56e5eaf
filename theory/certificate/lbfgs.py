"""L-BFGS with a weak Wolfe search by bisection: it asks for no second derivatives and survives kinks.

Minimises a function of one flat array of any library.  The step length is bracketed between one that falls too little
and one whose slope is still steep (Lewis and Overton 2013), which also works where the function is not smooth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from synth._array import Array

Function = Callable[[Array], tuple[float, Array]]

MEMORY = 20
"""Pairs of steps and gradient changes kept."""

TRIALS = 25
"""Step lengths tried along one direction."""

DECREASE, CURVATURE = 1e-4, 0.9
"""The two constants of the Wolfe conditions."""


def descend(function: Function, x: Array) -> Iterator[tuple[Array, float]]:
    """Points and values, each lower than the last, from ``x`` on; ends where no decrease can be found."""
    value, gradient = function(x)
    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=MEMORY)
    while True:
        direction = -_inverse_hessian(pairs, gradient)
        slope = _dot(gradient, direction)
        if not slope < 0:
            direction, slope = -gradient, -_dot(gradient, gradient)
            pairs.clear()
        found = _search(function, x, (value, slope), direction)
        if found is None:
            if not pairs:
                return
            pairs.clear()
            continue
        step, new_value, new_gradient = found
        change = new_gradient - gradient
        curvature = _dot(step, change)
        if curvature > 1e-12 * _dot(change, change) ** 0.5 * _dot(step, step) ** 0.5:
            pairs.append((step, change, curvature))
        x, value, gradient = x + step, new_value, new_gradient
        yield x, value


def _dot(a: Array, b: Array) -> float:
    return float(a @ b)


def _inverse_hessian(pairs: deque[tuple[Array, Array, float]], gradient: Array) -> Array:
    """The two-loop recursion."""
    q, parts = gradient, []
    for step, change, curvature in reversed(pairs):
        share = _dot(step, q) / curvature
        parts.append(share)
        q = q - share * change
    if pairs:
        _, change, curvature = pairs[-1]
        q = q * (curvature / _dot(change, change))
    for (step, change, curvature), share in zip(pairs, reversed(parts), strict=True):
        q = q + step * (share - _dot(change, q) / curvature)
    return q


def _search(
    function: Function, x: Array, start: tuple[float, float], direction: Array
) -> tuple[Array, float, Array] | None:
    """A step along ``direction`` that meets the weak Wolfe conditions, or the best decrease met; ``None`` if none."""
    value, slope = start
    low, high, length, best = 0.0, float("inf"), 1.0, None
    for _ in range(TRIALS):
        step = length * direction
        new_value, gradient = function(x + step)
        if not new_value <= value + DECREASE * length * slope:  # too high, or not a number
            high = length
        else:
            if best is None or new_value < best[1]:
                best = (step, new_value, gradient)
            if _dot(gradient, direction) >= CURVATURE * slope:
                return best
            low = length
        if high - low <= 1e-10 * high:
            break
        length = (low + high) / 2 if high < float("inf") else 2 * low
    return best
