"""``fit``: a softmax head of given class, driven to its loss floor, with an honest account of how close it came.

One descent is a preconditioned L-BFGS followed by the Newton certificate; negative curvature is followed downhill and
the descent resumed.  Where some probabilities are zero the infimum may lie at infinite logits: a ridge is then
lowered step by step before the last, unpenalised descent, and the status says so if the logits still grow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from experiments.heads import starts
from experiments.heads.fit import Fit, FitStatus
from experiments.heads.lbfgs import Plan, Trace, minimise
from experiments.heads.metric import AveragedMetric, BlockMetric, Metric
from experiments.heads.newton import newton_decrement
from experiments.heads.objective import CHUNK_ENTRIES, Objective
from synth import ContextualDistribution
from synth._array import Array, epsilon
from theory import Head, HeadSpec

RIDGES = tuple(10 ** (-1 - 0.5 * leg) for leg in range(11))
"""The penalties of the homotopy for tables with zeros, in order."""


@dataclass(frozen=True)
class Options:
    """How hard a fit works.

    ``tolerance``: certified local excess aimed at, nats.  ``max_evaluations``: gradient evaluations per start.
    ``random_starts``: further starts, drawn from ``seed``.  ``memory``: bytes the solver's own workspace may take; it
    decides between exact blocks and the averaged metric, and the length of the L-BFGS history.  ``chunk_entries``:
    logits formed at once.
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


def fit(
    distribution: ContextualDistribution,
    spec: HeadSpec,
    options: Options | None = None,
    start: Head | Sequence[Head] = (),
    watch: Watch | None = None,
) -> Fit:
    """Fit a head of class ``spec`` to its floor on ``distribution``.

    ``start`` adds heads of dimension at most ``spec.dim`` to the starting points; the lowest of them and of the
    closed forms (``experiments.heads.starts``) is descended from, then ``options.random_starts`` random ones, and the
    best result is kept.  Limits of ``spec`` are not imposed: ask ``fit.head.belongs_to(spec, distribution)``.
    Arrays keep library, device and dtype; ``gap`` is evaluated in float64.  Raises ``ValueError`` for bad input.
    """
    options = options or Options()
    spec.check_against(distribution)
    began = time.perf_counter()
    if spec.dim == 0:
        return _closed_form(distribution, spec, began)
    heads = [start] if isinstance(start, Head) else list(start)
    results = [
        _run(distribution, spec, options, candidate, watch)
        for candidate in _candidates(distribution, spec, options, heads)
    ]
    best = min(results, key=lambda result: result.gap)
    return replace(
        best,
        evaluations=sum(result.evaluations for result in results),
        seconds=time.perf_counter() - began,
        starts=len(results),
        spread=max(result.gap for result in results) - best.gap,
    )


Start = tuple[str, Array, bool]
"""Name of a starting point, the packed factors, and whether a ridge homotopy leads on from them."""


def _candidates(
    distribution: ContextualDistribution, spec: HeadSpec, options: Options, heads: Sequence[Head]
) -> Iterator[Start]:
    """The starting points to descend from.

    Without zeros in P, the lowest of all.  With zeros a head whose logits have diverged is a poor place to leave from,
    so the lowest closed form leads a homotopy, and the lowest appended head is descended from besides.
    """
    objective = _objective(distribution, spec, options)
    appended = [("appended", starts.appended(objective, head)) for head in heads]
    closed = list(starts.closed_forms(objective))
    groups = [appended + closed] if distribution.is_positive else [closed, appended]
    for number, group in enumerate(groups):
        if group:
            name, x = min(group, key=lambda candidate: objective.value(candidate[1]))
            yield name, x, not distribution.is_positive and number == 0
    for number in range(options.random_starts):
        yield f"random {number}", starts.random_start(objective, options.seed + number), not distribution.is_positive


def _objective(distribution: ContextualDistribution, spec: HeadSpec, options: Options, ridge: float = 0.0) -> Objective:
    return Objective(distribution, spec, ridge, options.chunk_entries)


def _closed_form(distribution: ContextualDistribution, spec: HeadSpec, began: float) -> Fit:
    """Dimension 0: the uniform law, or the unigram law as the bias."""
    pi = distribution.weights
    H, W = pi[:, None][:, :0], distribution.marginal[:, None][:, :0]
    head = Head(H, W, distribution.log_marginal if spec.bias else None)
    gap = head.gap(distribution)
    return Fit(
        spec, head, gap, distribution.entropy + gap, FitStatus.CONVERGED, 0.0, 0.0, 0.0, time.perf_counter() - began,
        trend=0.0, start="closed form", metric="none",
    )  # fmt: skip


def _plan(objective: Objective, options: Options, decrement: float, evaluations: float, enough: float) -> Plan:
    """The plan of one minimisation within the memory budget."""
    pair = 2 * 8 * objective.size
    blocks = BlockMetric.bytes_needed(objective)
    use_blocks = blocks + 6 * pair <= options.memory
    left = options.memory - (blocks if use_blocks else 0)
    return Plan(
        decrement,
        evaluations,
        enough,
        blocks=use_blocks,
        warm_up=max(20, objective.dim // 2),
        refresh=30 if objective.dim < 64 else 60,
        history=int(min(20, max(5, left // pair))),
    )


def _run(
    distribution: ContextualDistribution, spec: HeadSpec, options: Options, start: Start, watch: Watch | None
) -> Fit:
    """From one starting point to a certified minimum, or as far as it goes."""
    objective = _objective(distribution, spec, options)
    name, x, homotopy = start
    if homotopy and objective.value(x) > options.tolerance:
        x = _homotopy(objective, x, options, watch)
    trace, excess, course = _certified_descent(objective, x, options, watch)
    head = objective.head(trace.x)
    gap = head.gap(distribution)
    converged = min(excess, gap) <= options.tolerance if not math.isnan(excess) else gap <= options.tolerance
    diverging = not distribution.is_positive and head.logit_range > -math.log(epsilon(distribution.weights))
    if diverging:
        status = FitStatus.UNATTAINED
    elif converged:
        status = FitStatus.CONVERGED
    else:
        status = FitStatus.STALLED if trace.stalled else FitStatus.LIMIT
    return Fit(
        spec=spec,
        head=head,
        gap=gap,
        loss=distribution.entropy + gap,
        status=status,
        certified_excess=gap if gap <= options.tolerance else min(excess, gap) if not math.isnan(excess) else excess,
        decrement=trace.decrement,
        evaluations=objective.evaluations,
        seconds=0.0,
        trend=_trend(course),
        start=name,
        metric=BlockMetric.name if _plan(objective, options, 0, 0, 0).blocks else AveragedMetric.name,
    )


def _homotopy(objective: Objective, x: Array, options: Options, watch: Watch | None) -> Array:
    """Half of the evaluations spent under a ridge lowered along ``RIDGES``; returns the point of lowest raw gap."""
    best, lowest = x, objective.value(x)
    share = options.max_evaluations / 2 / len(RIDGES)
    for ridge in RIDGES:
        penalised = _objective(objective.distribution, objective.spec, options, ridge)
        plan = _plan(penalised, options, max(1e-4 * ridge, options.tolerance / 10), share, -math.inf)
        x = minimise(penalised, x, plan, watch).x
        objective.work += penalised.work
        raw = objective.value(x)
        if raw < lowest:
            best, lowest = x, raw
    return best


def _certified_descent(
    objective: Objective, x: Array, options: Options, watch: Watch | None
) -> tuple[Trace, float, list[tuple[float, float]]]:
    """Alternate minimisation and certificate; returns the last trace, the certified excess (nan: none), the course."""
    target, course = options.tolerance / 10, []
    while True:
        plan = _plan(objective, options, target, options.max_evaluations, options.tolerance / 10)
        trace = minimise(objective, x, plan, watch)
        course += trace.course
        if trace.stalled or trace.at.gap <= options.tolerance / 10 or objective.evaluations >= options.max_evaluations:
            return trace, math.nan, course
        metric: Metric = (BlockMetric if plan.blocks else AveragedMetric)(objective, trace.x, trace.at)
        certificate = newton_decrement(objective, trace.x, trace.at, metric)
        if certificate.excess <= options.tolerance:
            return trace, certificate.excess, course
        target /= 10
        x = (_slide if certificate.negative_curvature else _newton_step)(objective, trace, certificate.direction)


def _slide(objective: Objective, trace: Trace, direction: Array) -> Array:
    """Downhill along a direction of negative curvature: the step doubles while the gap falls."""
    if float(trace.at.gradient @ direction) > 0:
        direction = -direction
    length = math.sqrt(float(direction @ direction))
    step = 1e-3 * max(1.0, math.sqrt(float(trace.x @ trace.x))) / length
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


def _newton_step(objective: Objective, trace: Trace, direction: Array) -> Array:
    """The Newton step that the certificate has paid for, halved until it lowers the gap."""
    for halvings in range(10):
        x = trace.x + 0.5**halvings * direction
        if objective.value(x) < trace.at.gap:
            return x
    return trace.x


def _trend(course: list[tuple[float, float]]) -> float:
    """Fall of the gap over the last tenth of the evaluations, nats."""
    if len(course) < 2:
        return 0.0
    end, gap = course[-1]
    since = end - 0.1 * (end - course[0][0])
    earlier = [value for spent, value in course if spent <= since]
    return max(0.0, (earlier[-1] if earlier else course[0][1]) - gap)
