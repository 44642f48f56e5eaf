"""``fit``: a softmax head of given class, driven to its loss floor, with an honest account of how close it came."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from experiments.heads import starts
from experiments.heads.descent import Options, Watch, certified_descent, diverges, homotopy, plan_within
from experiments.heads.fitted import Fit, FitStatus
from experiments.heads.lbfgs import Trace
from experiments.heads.metric import AveragedMetric, BlockMetric
from experiments.heads.objective import Objective
from synth import ContextualDistribution
from synth._array import Array
from theory import Head, HeadSpec

PROBE, SHORTEST_PROBE = 0.08, 5
"""Share of an incumbent's evaluations that a challenger gets before it must be ahead, and the least of them."""


def fit(
    distribution: ContextualDistribution,
    spec: HeadSpec,
    options: Options | None = None,
    start: Head | Sequence[Head] = (),
    watch: Watch | None = None,
) -> Fit:
    """Fit a head of class ``spec`` to its floor on ``distribution``.

    The lowest of the closed forms (``experiments.heads.starts``) is descended from first.  ``start`` gives heads of
    dimension at most ``spec.dim``, grown to it: the lowest is descended from too where it starts below the outcome, or
    where P has zeros.  ``options.random_starts`` random ones follow, and the best result is kept.
    Limits of ``spec`` are not imposed: ask ``fit.head.belongs_to(spec, distribution)``.
    Arrays keep library, device and dtype; ``gap`` is evaluated in float64.  Raises ``ValueError`` for bad input.
    """
    spec.check_against(distribution)
    began = time.perf_counter()
    if spec.dim == 0:
        return _closed_form(distribution, spec, began)
    heads = [start] if isinstance(start, Head) else list(start)
    results = list(Search(distribution, spec, options or Options(), watch).runs(heads))
    best = min(results, key=lambda result: result.gap)
    return replace(
        best,
        evaluations=sum(result.evaluations for result in results),
        seconds=time.perf_counter() - began,
        starts=len(results),
        spread=max(result.gap for result in results) - best.gap,
    )


def refit(
    distribution: ContextualDistribution,
    incumbent: Fit,
    larger: Head,
    options: Options | None = None,
    watch: Watch | None = None,
) -> Fit:
    """Try to lower a fit from a larger head cut to its dimension; the lower of the two is returned.

    The cut head is given ``PROBE`` of the evaluations the incumbent took, and goes on only if it is lower by then: on
    benign laws both end in the same minimum, and a probe is all that this costs.
    """
    options = options or Options()
    began = time.perf_counter()
    probe = int(max(SHORTEST_PROBE, PROBE * incumbent.evaluations))
    search = Search(distribution, incumbent.spec, replace(options, max_evaluations=probe), watch)
    x = starts.truncated(search.objective(), larger)
    name = f"cut from d = {larger.dim}"
    tried = search.run(name, x, False)
    spent = tried.evaluations
    if tried.gap < incumbent.gap and tried.status is FitStatus.LIMIT:
        whole = replace(search, options=options)
        tried = whole.run(name, whole.objective().pack(tried.head), False)
        spent += tried.evaluations
    best = min(incumbent, tried, key=lambda fitted: fitted.gap)
    return replace(
        best,
        evaluations=incumbent.evaluations + spent,
        seconds=incumbent.seconds + time.perf_counter() - began,
        starts=incumbent.starts + 1,
        spread=max(incumbent.gap + incumbent.spread, tried.gap) - best.gap,
    )


@dataclass(frozen=True)
class Search:
    """The descents that make up one fit."""

    distribution: ContextualDistribution
    spec: HeadSpec
    options: Options
    watch: Watch | None

    def objective(self) -> Objective:
        """A fresh objective, its evaluations counted from zero."""
        return Objective(self.distribution, self.spec, 0.0, self.options.chunk_entries)

    def runs(self, heads: Sequence[Head]) -> Iterator[Fit]:
        """One result per starting point, the closed forms' first."""
        zeros, objective = not self.distribution.is_positive, self.objective()
        grown = [("appended", starts.appended(objective, head)) for head in heads]
        name, x = min(starts.closed_forms(objective), key=lambda candidate: objective.value(candidate[1]))
        first = self.run(name, x, zeros)
        yield first
        if first.gap <= self.options.tolerance:  # no floor is below zero: nothing is left to find
            return
        if grown:
            name, x = min(grown, key=lambda candidate: objective.value(candidate[1]))
            if zeros or objective.value(x) < first.gap:
                yield self.run(name, x, False)  # logits that have diverged are no place to lead a homotopy from
        for number in range(self.options.random_starts):
            yield self.random_run(number, self.options.max_evaluations)
        if zeros:
            yield from self.restarts(first)

    def restarts(self, first: Fit) -> Iterator[Fit]:
        """Random starts on the evaluations the first run left over: with zeros in P there are many local infima."""
        left, number = self.options.max_evaluations - first.evaluations, self.options.random_starts
        while left >= self.options.max_evaluations / 4:
            again = self.random_run(number, int(left))
            yield again
            left, number = left - again.evaluations, number + 1

    def random_run(self, number: int, evaluations: int) -> Fit:
        """From random factors, with a budget of its own."""
        x = starts.random_start(self.objective(), self.options.seed + number)
        budget = replace(self, options=replace(self.options, max_evaluations=evaluations))
        return budget.run(f"random {number}", x, not self.distribution.is_positive)

    def run(self, name: str, x: Array, led: bool) -> Fit:
        """From one starting point, led by a ridge homotopy or not, to a certified minimum or as far as it goes."""
        objective, options = self.objective(), self.options
        if led and objective.value(x) > options.tolerance:
            x = homotopy(objective, x, options, self.watch)
        trace, excess, course = certified_descent(objective, x, options, self.watch)
        head = objective.head(trace.x)
        gap = head.gap(self.distribution)
        status, excess = _verdict(objective, trace, gap, excess, options)
        return Fit(
            spec=self.spec,
            head=head,
            gap=gap,
            loss=self.distribution.entropy + gap,
            status=status,
            certified_excess=excess,
            decrement=trace.decrement,
            evaluations=objective.evaluations,
            seconds=0.0,
            trend=_trend(course),
            start=name,
            metric=BlockMetric.name if plan_within(objective, options, 0, 0, 0).blocks else AveragedMetric.name,
        )


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
