"""``fit``: a softmax head of given class, driven to its loss floor, with an honest account of how close it came."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from experiments.heads import starts
from experiments.heads.descent import Options, Watch, certified_descent, diverges, homotopy, plan_within
from experiments.heads.fitted import Fit, FitStatus
from experiments.heads.lbfgs import Trace
from experiments.heads.metric import AveragedMetric, BlockMetric
from experiments.heads.objective import Objective
from synth import ContextualDistribution
from synth._array import Array
from theory import Head, HeadSpec


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
    if not distribution.is_positive:
        results += _restarts(distribution, spec, options, results[0], watch)
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


def _restarts(
    distribution: ContextualDistribution, spec: HeadSpec, options: Options, first: Fit, watch: Watch | None
) -> Iterator[Fit]:
    """Random starts on the evaluations that the first run left over, where zeros in P make for many local infima."""
    left, number = options.max_evaluations - first.evaluations, options.random_starts
    objective = _objective(distribution, spec, options)
    while left >= options.max_evaluations / 4 and first.gap > options.tolerance:
        start = f"random {number}", starts.random_start(objective, options.seed + number), True
        again = _run(distribution, spec, replace(options, max_evaluations=int(left)), start, watch)
        yield again
        left, number = left - again.evaluations, number + 1


def _objective(distribution: ContextualDistribution, spec: HeadSpec, options: Options) -> Objective:
    return Objective(distribution, spec, 0.0, options.chunk_entries)


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


def _run(
    distribution: ContextualDistribution, spec: HeadSpec, options: Options, start: Start, watch: Watch | None
) -> Fit:
    """From one starting point to a certified minimum, or as far as it goes."""
    objective = _objective(distribution, spec, options)
    name, x, led = start
    if led and objective.value(x) > options.tolerance:
        x = homotopy(objective, x, options, watch)
    trace, excess, course = certified_descent(objective, x, options, watch)
    head = objective.head(trace.x)
    gap = head.gap(distribution)
    status, excess = _verdict(objective, trace, gap, excess, options)
    return Fit(
        spec=spec,
        head=head,
        gap=gap,
        loss=distribution.entropy + gap,
        status=status,
        certified_excess=excess,
        decrement=trace.decrement,
        evaluations=objective.evaluations,
        seconds=0.0,
        trend=_trend(course),
        start=name,
        metric=BlockMetric.name if plan_within(objective, options, 0, 0, 0).blocks else AveragedMetric.name,
    )


def _verdict(
    objective: Objective, trace: Trace, gap: float, excess: float, options: Options
) -> tuple[FitStatus, float]:
    """The status, and the excess that may be certified: no floor is below zero, so a gap certifies itself."""
    certified = gap if gap <= options.tolerance else excess
    if diverges(objective, trace.x):  # a certificate for finite minima says nothing here
        return FitStatus.UNATTAINED, certified if gap <= options.tolerance else math.nan
    if certified <= options.tolerance:
        return FitStatus.CONVERGED, certified
    return FitStatus.STALLED if trace.stalled else FitStatus.LIMIT, math.nan


def _trend(course: list[tuple[float, float]]) -> float:
    """Fall of the gap over the last tenth of the evaluations, nats."""
    if len(course) < 2:
        return 0.0
    end, gap = course[-1]
    since = end - 0.1 * (end - course[0][0])
    earlier = [value for spent, value in course if spent <= since]
    return max(0.0, (earlier[-1] if earlier else course[0][1]) - gap)
