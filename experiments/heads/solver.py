"""``fit``: a softmax head of given class, driven to its loss floor, with an honest account of how close it came."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from experiments.heads import starts
from experiments.heads.descent import Options, Watch, certified_descent, diverges, homotopy, plan_within, trend
from experiments.heads.fitted import Fit, FitStatus
from experiments.heads.lbfgs import Trace
from experiments.heads.objective import Objective
from synth import ContextualDistribution
from synth._array import Array
from theory import Head, HeadSpec

RACE, SHORTEST_RACE = 0.15, 1000
"""Share of the evaluations that each contender gets where P has zeros, before the leader takes the rest, and how many
evaluations there must be for a race to pay."""

HEAT, FINALISTS = 80, 0.125
"""Evaluations that each of many random starts gets where P is positive, and the share of them that goes on."""

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
    where P has zeros.  ``options.random_starts`` random ones follow (many of them in a tournament), and the best result
    is kept.
    Limits of ``spec`` are not imposed: ask ``fit.head.belongs_to(spec, distribution)``.
    Arrays keep library, device and dtype; ``gap`` is evaluated in float64.  Raises ``ValueError`` for bad input.
    """
    spec.check_against(distribution)
    heads = [start] if isinstance(start, Head) else list(start)
    return Search(distribution, spec, options or Options(), watch).best(heads)


def refit(
    distribution: ContextualDistribution,
    incumbent: Fit,
    larger: Head,
    options: Options | None = None,
    watch: Watch | None = None,
) -> Fit:
    """Try to lower a fit from a larger head cut to its dimension, or one of its own; the lower of the two is returned.

    The cut head is given ``PROBE`` of the evaluations the incumbent took, and goes on only if it is lower by then: on
    benign laws both end in the same minimum, and a probe is all that this costs.
    """
    options = options or Options()
    began = time.perf_counter()
    probe = int(max(SHORTEST_PROBE, PROBE * incumbent.evaluations))
    search = Search(distribution, incumbent.spec, replace(options, max_evaluations=probe), watch)
    x = starts.truncated(search.objective(), larger)
    name = f"cut from d = {larger.dim}" if larger.dim > incumbent.dim else "given"
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

    def best(self, heads: Sequence[Head]) -> Fit:
        """The lowest of the runs, with the account of them all."""
        began = time.perf_counter()
        if self.spec.dim == 0:
            return _closed_form(self.objective(), began)
        results = list(self.runs(heads))
        best = min(results, key=lambda result: result.gap)
        return replace(
            best,
            evaluations=sum(result.evaluations for result in results),
            seconds=time.perf_counter() - began,
            starts=sum(result.starts for result in results),
            spread=max(result.gap for result in results) - best.gap,
        )

    def closed_form(self) -> tuple[str, Array]:
        """The lowest of the closed forms, with its name."""
        objective = self.objective()
        return min(starts.closed_forms(objective), key=lambda candidate: objective.value(candidate[1]))

    def runs(self, heads: Sequence[Head]) -> Iterator[Fit]:
        """One result per descent, the closed forms' first."""
        first = yield from self.descents(heads) if self.distribution.is_positive else self.race(heads)
        if first.gap <= self.options.tolerance:  # no floor is below zero: nothing is left to find
            return
        yield from self.tournament() if self.distribution.is_positive else self.further()

    def further(self) -> Iterator[Fit]:
        """Every random start to its end."""
        for number in range(self.options.random_starts):
            yield self.random_run(number, self.options.max_evaluations)

    def tournament(self) -> Iterator[Fit]:
        """Random starts: ``HEAT`` evaluations for each, and the lowest ``FINALISTS`` of them go on to the end.

        Where a descent ends up shows early, and most of a peaky law's minima are poor.  The first finalist's account
        carries what the eliminated took.
        """
        count = self.options.random_starts
        finalists = max(2, math.ceil(FINALISTS * count))
        if count <= finalists or self.options.max_evaluations <= HEAT:
            yield from self.further()
            return
        heats = sorted((self.random_run(number, HEAT) for number in range(count)), key=lambda result: result.gap)
        spent, beaten = sum(heat.evaluations for heat in heats[finalists:]), count - finalists
        for heat in heats[:finalists]:
            final = self.run(heat.start, self.objective().pack(heat.head), False, heat.evaluations)
            yield replace(final, evaluations=final.evaluations + heat.evaluations + spent, starts=1 + beaten)
            spent, beaten = 0.0, 0

    def descents(self, heads: Sequence[Head]) -> Generator[Fit, None, Fit]:
        """From the lowest closed form, and from the lowest grown head where that starts below the outcome."""
        objective = self.objective()
        grown = self.grown(heads)
        first = self.run(*self.closed_form(), False)
        yield first
        if grown is not None and first.gap > self.options.tolerance and objective.value(grown[1]) < first.gap:
            yield self.run(*grown, False)
        return first

    def race(self, heads: Sequence[Head]) -> Generator[Fit, None, Fit]:
        """With zeros in P: a share ``RACE`` of the evaluations for each contender, the rest for the leader.

        Where there are fewer than ``SHORTEST_RACE`` to spend, the lowest starting point takes them all.

        Contenders are the lowest closed form, on its own and led by a ridge homotopy (better on small tables of hard
        choices, worse on n-grams), and the lowest grown head.  What an early end leaves goes to random starts.
        """
        name, x = self.closed_form()
        contenders = [(name, x, False), *((*grown, False) for grown in [self.grown(heads)] if grown is not None)]
        if self.options.max_evaluations < SHORTEST_RACE:
            objective = self.objective()
            alone = self.run(*min(contenders, key=lambda contender: objective.value(contender[1])))
            yield alone
            return alone
        contenders.append((f"{name}, led", x, True))
        share, results = self.budget(RACE * self.options.max_evaluations), []
        for contender in contenders:
            results.append(share.run(*contender))
            yield results[-1]
            if results[-1].gap <= self.options.tolerance:
                return results[-1]
        leader = min(results, key=lambda result: result.gap)
        rest = self.budget(self.options.max_evaluations - sum(result.evaluations for result in results))
        leader = rest.run(leader.start, rest.objective().pack(leader.head), False, leader.evaluations)
        yield leader
        spent = sum(result.evaluations for result in results) + leader.evaluations
        number = self.options.random_starts
        while self.options.max_evaluations - spent >= RACE * self.options.max_evaluations:
            again = self.random_run(number, int(self.options.max_evaluations - spent))
            yield again
            spent, number = spent + again.evaluations, number + 1
        return leader

    def grown(self, heads: Sequence[Head]) -> tuple[str, Array] | None:
        """The lowest of smaller heads grown to this dimension, if any are given."""
        objective = self.objective()
        points = [("appended", starts.appended(objective, head)) for head in heads]
        return min(points, key=lambda point: objective.value(point[1])) if points else None

    def budget(self, evaluations: float) -> Search:
        """The same search with another limit on evaluations."""
        return replace(self, options=replace(self.options, max_evaluations=max(1, int(evaluations))))

    def random_run(self, number: int, evaluations: int) -> Fit:
        """From random factors, with a budget of its own."""
        x = starts.random_start(self.objective(), self.options.seed + number)
        return self.budget(evaluations).run(f"random {number}", x, not self.distribution.is_positive)

    def run(self, name: str, x: Array, led: bool, spent: float = 0.0) -> Fit:
        """From one starting point, led by a ridge homotopy or not, to a certified minimum or as far as it goes.

        ``spent``: evaluations of an earlier run that led to x.
        """
        objective, options = self.objective(), self.options
        if not self.distribution.is_positive and not spent:
            x = starts.balanced(objective, x)
        if led and objective.value(x) > options.tolerance:
            x = homotopy(objective, x, options, self.watch)
        trace, excess, course = certified_descent(objective, x, options, self.watch, spent)
        head = objective.head(trace.x)
        gap = head.gap(self.distribution)
        status, excess = _verdict(objective, trace, gap, excess, options)
        return Fit(
            self.spec,
            head,
            gap=gap,
            loss=self.distribution.entropy + gap,
            status=status,
            certified_excess=excess,
            decrement=trace.decrement,
            evaluations=objective.evaluations,
            trend=trend(course),
            start=name,
            metric=plan_within(objective, options, 0, 0, 0).metric,
        )


def _closed_form(objective: Objective, began: float) -> Fit:
    """Dimension 0: the uniform law, or the unigram law as the bias."""
    distribution, spec = objective.distribution, objective.spec
    H, W = distribution.weights[:, None][:, :0], distribution.marginal[:, None][:, :0]
    head = objective.head(objective.pack(Head(H, W, distribution.log_marginal if spec.bias else None)))
    gap = head.gap(distribution)
    return Fit(
        spec,
        head,
        gap=gap,
        loss=distribution.entropy + gap,
        status=FitStatus.CONVERGED,
        certified_excess=0.0,
        decrement=0.0,
        seconds=time.perf_counter() - began,
        start="closed form",
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
