"""Ball arithmetic: every number is an interval ``[mid +- rad]`` that encloses the real number meant (python-flint).

The only file that imports python-flint.  Floats become balls exactly; sums, products, logarithms and exponentials
enclose their results at the working precision, which is raised until the answer is sharp.  What leaves is rounded
outwards to float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Ball = Any
"""A ``flint.arb``."""

PRECISIONS = (192, 384, 768, 1536)
"""Bits tried in turn."""

SHARP = 2.0**-50
"""Relative width at which an enclosure is sharp enough."""


class TooBlurred(Exception):
    """Raised where a precision does not suffice to separate what must be separated; the next one is tried."""


def flint() -> Any:
    """The module python-flint; ``ImportError`` with the command that installs it."""
    try:
        import flint as module
    except ImportError as missing:
        raise ImportError("ball arithmetic needs python-flint: pip install rankfloor[certify]") from missing
    return module


def sharpened(compute: Callable[[], tuple[Ball, Ball]]) -> tuple[float, float]:
    """The interval that ``compute`` encloses its answer in, at the first precision where it is sharp, as floats."""
    module = flint()
    before, found = module.ctx.prec, (-math.inf, math.inf)
    try:
        for module.ctx.prec in PRECISIONS:
            try:
                low, high = compute()
            except TooBlurred:
                continue
            found = max(found[0], lower(low)), min(found[1], upper(high))
            if found[1] - found[0] <= SHARP * max(abs(found[0]), abs(found[1])) + math.ulp(0.0) * 2:
                break
    finally:
        module.ctx.prec = before
    return found


def ball(x: float) -> Ball:
    """A float as the number it is."""
    return flint().arb(float(x))


def balls(values: Iterable[float]) -> list[Ball]:
    """Floats as the numbers they are."""
    return [ball(x) for x in values]


def lower(x: Ball) -> float:
    """A float at most every number of the ball."""
    nearest = float(x.lower())
    return nearest if ball(nearest) <= x.lower() else math.nextafter(nearest, -math.inf)


def upper(x: Ball) -> float:
    """A float at least every number of the ball."""
    nearest = float(x.upper())
    return nearest if ball(nearest) >= x.upper() else math.nextafter(nearest, math.inf)


def least(values: Iterable[Ball]) -> Ball:
    """The minimum, as a ball."""
    first, *rest = values
    for value in rest:
        first = first.min(value)
    return first


def largest(values: Iterable[Ball]) -> Ball:
    """The maximum, as a ball."""
    first, *rest = values
    for value in rest:
        first = first.max(value)
    return first


def total(values: Iterable[Ball]) -> Ball:
    """The sum."""
    return sum(values, ball(0.0))


def underestimate_cost(t: Ball) -> Ball:
    """``h(t) = e^-t - 1 + t``."""
    return (-t).expm1() + t


def curvature(t: Ball) -> Ball:
    """``kappa(t) = h(t) / t^2``, from its series ``sum_k (-t)^k / (k + 2)!`` near 0."""
    if not abs(t) < 0.5:
        return underestimate_cost(t) / (t * t)
    module = flint()
    count = module.ctx.prec // 3
    value, factorial = ball(0.0), module.fmpz(1)
    for k in range(count):
        factorial *= k + 2 if k else 2
        value += (-t) ** k / module.arb(factorial)
    return value + module.arb(0, 2.0**-count)  # |t|^count / (count + 2)! and all that follows is less


def singular_values(X: Sequence[Sequence[Ball]]) -> tuple[list[Ball], list[Ball]]:
    """Lower and upper ends of the singular values of a matrix of balls, each decreasing.

    They are the roots of the eigenvalues of ``X X'`` or ``X' X``, the smaller; clusters are enclosed as such.  The j-th
    largest of the lower ends lies below the j-th largest eigenvalue, whichever belongs to which.
    """
    module = flint()
    matrix = module.arb_mat([list(row) for row in X])
    gram = matrix * matrix.transpose() if matrix.nrows() <= matrix.ncols() else matrix.transpose() * matrix
    try:
        values = [value.real for value in module.acb_mat(gram).eig(multiple=True)]
    except ValueError as failed:
        raise TooBlurred from failed
    zero = ball(0.0)
    low = sorted((value.lower().max(zero) for value in values), key=float, reverse=True)
    high = sorted((value.upper().max(zero) for value in values), key=float, reverse=True)
    return [x.sqrt() for x in low], [x.sqrt() for x in high]
