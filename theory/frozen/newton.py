"""One secant step from a closed form: a better witness, and what a head of this rank will still lose.

The step solves the system of ``theory.frozen.curvature`` by preconditioned conjugate gradients, damped as far as the
loss asks for (Levenberg 1944): the first damping is taken at which a step wins at least ``SHARE`` of what the model
promises.  The model is a weighted distance from the target that starts at half the divergence of Jeffreys, J/2; at
``t x``, x the solution, it has lost the share

    (2 t - t^2) D / (J/2),        D = 1/2 g'(H + damping S)^{-1} g the decrement, at most J/2,

and that share of the loss is what the step promises.  The share left at t = 1, of the loss before the step, predicts
the loss of the minimum nearby: never negative, and the loss itself at a minimum.
"""

from __future__ import annotations

from dataclasses import dataclass

from theory.frozen.chart import Chart, Target, Triple, Whitening, combine, inner
from theory.frozen.curvature import Curvature, loss_at
from theory.frozen.heads import FrozenHead

DAMPINGS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
LENGTHS = (1.0, 0.5)
SHARE = 0.25
"""Least share of what the model promises that a step must win."""

ROUNDING = {"float64": 0.0, "float32": 1e-6}
"""Decrements, nats, that are not worth a trial in this precision of the tables."""


@dataclass(frozen=True, eq=False)
class Step:
    """The head after a step (the one before where nothing helped), its loss and that before, nats per token.

    ``left``: the share of the loss before that the model leaves, as a loss: what a head of this rank will lose.
    ``passes`` counts passes over the rows.
    """

    head: FrozenHead
    before: float
    gap: float
    left: float
    damping: float
    passes: int

    @property
    def predicted(self) -> float:
        """Loss of the minimum nearby as the model sees it: never above that reached, never below 0."""
        return max(0.0, min(self.left, self.gap))


def newton_step(problem: Target, head: FrozenHead, metric: Whitening, iterations: int = 8, last: float = 0.0) -> Step:
    """One damped secant step from ``head``; the metric gives the coordinates.

    ``last`` is the damping of the step before, if there was one: the search begins one below it.
    Cost: ``iterations`` passes of O(N V (k + r)) for each damping tried, one as a rule, and up to three for the length
    of the step.
    """
    chart = Chart(problem, metric)
    point = chart.enter(head)
    curvature = Curvature(chart, point)
    before, passes = curvature.gap, 1
    best, lowest, left, used = point, before, before, DAMPINGS[-1]
    for damping in DAMPINGS[max(0, DAMPINGS.index(last) - 1) :]:
        direction, decrement = solve(curvature, curvature.gradient, damping, iterations)
        passes += iterations
        share = curvature.share(decrement)
        model = before * (1 - share)
        if decrement <= ROUNDING[problem.passes.precision]:
            left, used = (model, damping) if best is point else (left, used)  # undamped, the minimum is here
            break
        for length in LENGTHS:
            trial = combine(point, length, direction)
            value = loss_at(chart, trial)
            passes += 1
            if value < lowest:
                best, lowest, left, used = trial, value, model, damping
            if value < before * (1 - SHARE * (2 * length - length**2) * share):
                break
        else:
            continue
        break
    return Step(head if best is point else chart.leave(best), before, lowest, left, used, passes)


def left_over(problem: Target, head: FrozenHead, metric: Whitening, iterations: int = 12) -> float:
    """What the undamped model at ``head`` says a head of this rank will lose, nats; ``iterations`` passes and one."""
    chart = Chart(problem, metric)
    curvature = Curvature(chart, chart.enter(head))
    return curvature.gap * (1 - curvature.share(solve(curvature, curvature.gradient, 0.0, iterations)[1]))


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
