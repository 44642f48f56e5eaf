"""One Newton step from a closed form: a better witness, and what is left to gain after it.

The step solves the Gauss-Newton system by preconditioned conjugate gradients, damped as far as the loss asks for
(Levenberg 1944): the first damping is taken at which a step wins at least ``SHARE`` of what the model promises.  Half
the Newton decrement, ``1/2 g'(H + damping D)^{-1} g``, is the promise; the loss at the start less the promise predicts
the minimum.  One step removes what the closed form has misjudged; the promise of the next is a good prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

from theory.frozen.curvature import Chart, Curvature, Triple, combine, inner
from theory.frozen.heads import FrozenHead
from theory.frozen.metrics import Metric
from theory.frozen.problem import FrozenProblem

DAMPINGS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
LENGTHS = (1.0, 0.5)
SHARE = 0.5
"""Least share of the promise ``(2t - t^2) * decrement`` that a step of length t must win."""

ROUNDING = {"float64": 0.0, "float32": 1e-6}
"""Promises, nats, that are not worth a trial in this precision of the tables."""


@dataclass(frozen=True, eq=False)
class Step:
    """The head after a step (the one before where nothing helped), its loss and that before, nats per token.

    ``decrement`` is what the damped model promises, so ``before - decrement`` predicts the minimum.
    ``passes`` counts passes over the rows.
    """

    head: FrozenHead
    before: float
    gap: float
    decrement: float
    damping: float
    passes: int

    @property
    def predicted(self) -> float:
        """Loss of the minimum nearby as the model sees it, not below 0.

        Where the step had to be damped the model reaches no further than the step, and promises more than is there: no
        more is credited to the steps to come than this one has won.
        """
        won = self.before - self.gap
        ahead = self.decrement - won
        return max(0.0, self.gap - (ahead if self.damping == 0 else min(ahead, won)))


def newton_step(
    problem: FrozenProblem, head: FrozenHead, metric: Metric, iterations: int = 8, last: float = 0.0
) -> Step:
    """One damped Gauss-Newton step from ``head``; the metric gives the coordinates.

    ``last`` is the damping of the step before, if there was one: the search begins one below it.
    Cost: ``iterations`` passes of O(N V (k + r)) for each damping tried (one, where the loss is near its quadratic),
    and up to three for the length of the step.
    """
    chart = Chart(problem, metric)
    point = chart.enter(head)
    curvature = Curvature(chart, point)
    before, passes = curvature.gap, 1
    best, lowest, promise, used = point, before, 0.0, DAMPINGS[-1]
    for damping in DAMPINGS[max(0, DAMPINGS.index(last) - 1) :]:
        direction, decrement = solve(curvature, curvature.gradient, damping, iterations)
        passes += iterations
        if decrement <= ROUNDING[problem.passes.precision]:
            used = damping if best is point else used  # nothing is promised: undamped, the minimum is here
            break
        for length in LENGTHS:
            trial = combine(point, length, direction)
            value = Curvature(chart, trial).gap
            passes += 1
            if value < lowest:
                best, lowest, promise, used = trial, value, decrement, damping
            if value <= before - SHARE * (2 * length - length**2) * decrement:
                break
        else:
            continue
        best, lowest, promise, used = trial, value, decrement, damping
        break
    return Step(head if best is point else chart.leave(best), before, lowest, promise, used, passes)


def solve(curvature: Curvature, gradient: Triple, damping: float, iterations: int) -> tuple[Triple, float]:
    """``-(H + damping D)^{-1} gradient`` by conjugate gradients, and half the decrement ``g'(H + damping D)^{-1} g``.

    Stops early when the residual is 1e-5 of what it was, in the preconditioner's norm.  A truncated iteration
    understates the decrement, by less and less.
    """
    zero = 0.0 * gradient[0], 0.0 * gradient[1], 0.0 * gradient[2]
    x, residual = zero, combine(zero, -1.0, gradient)
    direction = z = curvature.precondition(residual)
    size = first = inner(residual, z)
    for _ in range(iterations):
        if not size > 1e-10 * first:
            break
        product = curvature.product(direction, damping)
        bend = inner(direction, product)
        if not bend > 0:
            break
        x, residual = combine(x, size / bend, direction), combine(residual, -size / bend, product)
        z = curvature.precondition(residual)
        previous, size = size, inner(residual, z)
        direction = combine(z, size / previous, direction)
    return x, max(0.0, -inner(gradient, x) / 2)
