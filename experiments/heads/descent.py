"""One descent: from a starting point to a certified minimum, or as far as it goes.

Preconditioned L-BFGS alternates with the Newton certificate; negative curvature is followed downhill and the descent
resumed.  Where some probabilities are zero the infimum may lie at infinite logits: a ridge is then lowered step by
step before the last, unpenalised descent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from experiments.heads.cross_entropy import CHUNK_ENTRIES
from experiments.heads.lbfgs import Plan, Trace, minimise
from experiments.heads.metric import Problem, metrics_of
from experiments.heads.newton import newton_decrement
from experiments.heads.objective import Objective
from synth._array import Array, epsilon

RIDGES = tuple(10 ** (-1 - 0.5 * leg) for leg in range(11))
"""The penalties of the homotopy for tables with zeros, in order."""


SHORTEST_LEG = 8
"""Evaluations below which a leg of the homotopy is not worth its start."""

SMALLEST_DECREMENT = 1e-16
"""Below this no descent is asked for."""


@dataclass(frozen=True)
class Options:
    """How hard a fit works.

    ``tolerance``: certified local excess aimed at, nats.  ``max_evaluations``: gradient evaluations per start.
    ``random_starts``: further starts, drawn from ``seed``.  ``memory``: bytes the solver's own workspace may take; it
    decides between exact blocks of both factors, exact blocks of the contexts and the averaged metric, and the length
    of the L-BFGS history.  ``chunk_entries``: logits formed at once, at most.
    """

    tolerance: float = 1e-7
    max_evaluations: int = 2000
    random_starts: int = 0
    seed: int = 0
    memory: int = 2**29
    chunk_entries: int = CHUNK_ENTRIES

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be > 0, found {self.tolerance}")
        if self.max_evaluations < 1 or self.random_starts < 0 or self.memory < 1:
            raise ValueError("max_evaluations and memory must be >= 1, and random_starts >= 0")


Watch = Callable[[Trace], None]


def plan_within(
    objective: Objective | Problem, options: Options, decrement: float, evaluations: float, enough: float
) -> Plan:
    """The plan of one minimisation within the memory budget."""
    pair = 2 * 8 * objective.size
    room = options.memory - 6 * pair
    metrics = metrics_of(objective)
    refined = next((kind for kind in metrics.refined if kind.bytes_needed(objective) <= max(room, 0)), None)
    left = options.memory - (0 if refined is None else refined.bytes_needed(objective))
    return Plan(
        decrement,
        evaluations,
        enough,
        first=metrics.first.name,
        refined=refined,
        warm_up=0 if refined is not None and refined.refresh else metrics.warm_up,
        refresh=(refined and refined.refresh) or (30 if objective.dim < 64 else 60),
        history=int(min(metrics.history, max(5, left // pair))),
    )


def diverges(objective: Objective | Problem, x: Array) -> bool:
    """Whether P has zeros, no ridge holds the logits, and some lie too far apart for this precision to tell."""
    distribution = objective.distribution
    return (
        objective.ridge == 0
        and not distribution.is_positive
        and objective.head(x).logit_range > -math.log(epsilon(distribution.weights))
    )


def homotopy(objective: Objective, x: Array, options: Options, watch: Watch | None) -> Array:
    """Half of the evaluations spent under a ridge lowered along ``RIDGES``; returns the point of lowest raw gap.

    Ridges are left out evenly where there would be fewer than ``SHORTEST_LEG`` evaluations for each.
    """
    best, lowest = x, objective.value(x)
    allowance = options.max_evaluations / 2
    legs = min(len(RIDGES), int(allowance / SHORTEST_LEG))
    for leg in range(legs):
        ridge = RIDGES[(leg + 1) * len(RIDGES) // legs - 1]
        penalised = type(objective)(objective.distribution, objective.spec, ridge, options.chunk_entries)
        plan = plan_within(penalised, options, max(1e-4 * ridge, options.tolerance / 10), allowance / legs, -math.inf)
        x = minimise(penalised, x, plan, watch).x
        objective.work += penalised.work
        raw = objective.value(x)
        if raw < lowest:
            best, lowest = x, raw
    return best


def certified_descent(
    objective: Objective | Problem, x: Array, options: Options, watch: Watch | None, spent: float = 0.0
) -> tuple[Trace, float, list[tuple[float, float]]]:
    """Alternate minimisation and certificate; returns the last trace, the certified excess (nan: none), the course.

    Only the first minimisation warms up on the cheap metric, and for so much less as ``spent``, the evaluations that
    led to x; the later ones start near a minimum.
    """
    target = options.tolerance / 10
    course: list[tuple[float, float]] = []
    while True:
        plan = plan_within(objective, options, target, options.max_evaluations, options.tolerance / 10)
        warm_up = 0 if course else max(0, int(plan.warm_up - spent))
        trace = minimise(objective, x, replace(plan, warm_up=warm_up), watch)
        course += trace.course
        spent = objective.evaluations >= options.max_evaluations or target < SMALLEST_DECREMENT
        if trace.stalled or spent or trace.at.gap <= options.tolerance / 10:
            return trace, math.nan, course
        target /= 10
        x = trace.x
        if diverges(objective, x):
            continue
        build = plan.refined or metrics_of(objective).first
        metric = build(objective, trace.x, trace.at)
        certificate = newton_decrement(objective, trace.x, trace.at, metric)
        if certificate.excess <= options.tolerance:
            return trace, certificate.excess, course
        x = (_slide if certificate.negative_curvature else _newton_step)(objective, trace, certificate.direction)


def _slide(objective: Objective | Problem, trace: Trace, direction: Array) -> Array:
    """Downhill along a direction of negative curvature: the step doubles while the gap falls."""
    if objective.dot(trace.at.gradient, direction) > 0:
        direction = -direction
    length = math.sqrt(objective.dot(direction, direction))
    step = 1e-3 * max(1.0, math.sqrt(objective.dot(trace.x, trace.x))) / length
    best, lowest = trace.x, trace.at.gap
    for _ in range(60):
        x = trace.x + step * direction
        gap = objective.value(x)
        if gap < lowest:
            best, lowest, step = x, gap, 2 * step
        elif best is trace.x and step * length > 1e-12:
            step /= 4
        else:
            break
    return best


def _newton_step(objective: Objective | Problem, trace: Trace, direction: Array) -> Array:
    """The Newton step that the certificate has paid for, halved until it lowers the gap."""
    for halvings in range(10):
        x = trace.x + 0.5**halvings * direction
        if objective.value(x) < trace.at.gap:
            return x
    return trace.x


def trend(course: list[tuple[float, float]]) -> float:
    """Fall of the gap over the last tenth of the evaluations, nats."""
    if len(course) < 2:
        return 0.0
    end, gap = course[-1]
    since = end - 0.1 * (end - course[0][0])
    earlier = [value for spent, value in course if spent <= since]
    return max(0.0, (earlier[-1] if earlier else course[0][1]) - gap)
