"""L-BFGS whose initial inverse Hessian is a metric of the problem (``experiments.heads.metric``).

Two-loop recursion (Nocedal & Wright, Algorithm 7.4) with ``H_0 = gamma B^-1``, gamma the usual scaling measured in
that metric and kept within the range it names, and a weak Wolfe line search by bracketing.  The metric is the cheap one
for the first iterations, then the exact blocks, rebuilt every ``refresh`` iterations.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from experiments.heads.metric import Metric, Problem, Refined, metrics_of
from experiments.heads.objective import Evaluation, Objective
from synth._array import Array

ARMIJO, WOLFE, TRIALS = 1e-4, 0.9, 30


@dataclass(frozen=True)
class Plan:
    """How one minimisation runs: when it stops, and which metric it uses when.

    It stops once the decrement ``1/2 g' H g`` (the fall that the quadratic model still promises) is below
    ``decrement``, the gap is at most ``enough``, or the objective has spent ``evaluations`` in all.
    """

    decrement: float
    evaluations: float
    enough: float = -math.inf
    first: str = "averaged"
    refined: Refined | None = None
    warm_up: int = 20
    refresh: int = 30
    history: int = 10

    @property
    def metric(self) -> str:
        """Name of the metric that serves after the warm-up."""
        return self.first if self.refined is None else self.refined.name


@dataclass
class Trace:
    """Where a minimisation stands: the best point, its evaluation, the decrement and the course of the gap."""

    x: Array
    at: Evaluation
    decrement: float = math.inf
    iterations: int = 0
    course: list[tuple[float, float]] = field(default_factory=list)  # (evaluations, gap)
    stalled: bool = False


@dataclass(frozen=True, eq=False)
class _Pair:
    """A step s, the change y of the gradient along it, and 1 / (s . y)."""

    s: Array
    y: Array
    inverse: float


def minimise(
    objective: Objective | Problem, x: Array, plan: Plan, watch: Callable[[Trace], None] | None = None
) -> Trace:
    """Descend from x until the plan is fulfilled; ``watch`` sees the trace after every iteration.

    Never raises for a failure of the method: a line search that finds no decrease even from a fresh start sets
    ``stalled``.  An exception from ``watch`` (a keyboard interrupt, say) passes through.
    """
    trace = Trace(x, objective.evaluate(x))
    trace.course.append((objective.evaluations, trace.at.gap))
    pairs: deque[_Pair] = deque(maxlen=plan.history)
    schedule = _Schedule(objective, plan)
    while objective.evaluations < plan.evaluations and trace.at.gap > plan.enough:
        metric = schedule.metric(trace)
        direction = -_two_loop(objective, trace.at.gradient, pairs, metric)
        slope = objective.dot(trace.at.gradient, direction)
        trace.decrement = -0.5 * slope
        if not slope < 0 and pairs:
            pairs.clear()
            continue
        if not slope < 0 or trace.decrement <= plan.decrement:
            break
        found = _search(objective, trace, direction, slope)
        if found is None:
            if not pairs:
                trace.stalled = True
                break
            pairs.clear()
            continue
        step, at = found
        _remember(objective, pairs, step * direction, at.gradient - trace.at.gradient)
        trace.x, trace.at = trace.x + step * direction, at
        trace.iterations += 1
        trace.course.append((objective.evaluations, at.gap))
        if watch is not None:
            watch(trace)
    return trace


class _Schedule:
    """Which metric to use now: the first and fresh while warming up, then blocks, rebuilt now and then."""

    def __init__(self, objective: Objective | Problem, plan: Plan) -> None:
        self.objective, self.plan, self.metrics = objective, plan, metrics_of(objective)
        self.blocks: Metric | None = None
        self.built = 0

    def metric(self, trace: Trace) -> Metric:
        """The metric for the next step."""
        refined = self.plan.refined
        if refined is None or trace.iterations < self.plan.warm_up:
            return self.metrics.first(self.objective, trace.x, trace.at)
        if self.blocks is None or trace.iterations >= self.built + self.plan.refresh:
            self.blocks, self.built = refined(self.objective, trace.x, trace.at), trace.iterations
        return self.blocks


def _two_loop(objective: Objective | Problem, gradient: Array, pairs: deque[_Pair], metric: Metric) -> Array:
    """``H gradient`` for the quasi-Newton inverse Hessian H."""
    q, alphas = objective.xp.asarray(gradient, copy=True), []
    for pair in reversed(pairs):
        alpha = pair.inverse * objective.dot(pair.s, q)
        alphas.append(alpha)
        q -= alpha * pair.y
    z = metric.solve(q)
    if pairs:
        last = pairs[-1]
        gamma = 1.0 / (last.inverse * objective.dot(last.y, metric.solve(last.y)))
        least, most = metric.scaling
        z *= min(max(gamma, least), most)
    for pair, alpha in zip(pairs, reversed(alphas), strict=True):
        z += (alpha - pair.inverse * objective.dot(pair.y, z)) * pair.s
    return z


def _remember(objective: Objective | Problem, pairs: deque[_Pair], s: Array, y: Array) -> None:
    """Keep the pair when its curvature is safely positive."""
    curvature = objective.dot(s, y)
    if curvature > 1e-14 * math.sqrt(objective.dot(s, s) * objective.dot(y, y)):
        pairs.append(_Pair(s, y, 1.0 / curvature))


def _search(
    objective: Objective | Problem, trace: Trace, direction: Array, slope: float
) -> tuple[float, Evaluation] | None:
    """A step length satisfying the weak Wolfe conditions and its evaluation, or ``None``.

    Bracketing: too long a step (no sufficient decrease) moves the upper end, too short a one (slope still steep) the
    lower; backtracking uses the minimum of the interpolating parabola.  Rounding of the gap is allowed for.
    """
    low, high, step = 0.0, math.inf, 1.0
    rounding = objective.rounding(trace.at.gap)
    for _ in range(TRIALS):
        at = objective.evaluate(trace.x + step * direction)
        rise = at.gap - trace.at.gap
        if not math.isfinite(at.gap) or rise > ARMIJO * step * slope + rounding:
            high = step
            if math.isfinite(at.gap) and low == 0.0:
                parabola = -slope * step * step / (2 * (rise - slope * step))
                step = min(max(parabola, 0.1 * step), 0.5 * step)
            else:
                step = 0.5 * (low + high)
        elif objective.dot(at.gradient, direction) < WOLFE * slope:
            low = step
            step = 2 * step if high == math.inf else 0.5 * (low + high)
        else:
            return step, at
    return None
