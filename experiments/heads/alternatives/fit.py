"""``fit_alternative``: a head of any kind driven to its floor, never above the softmax head that it contains."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from experiments.heads.alternatives.catalogue import make_kind
from experiments.heads.alternatives.kind import Kind
from experiments.heads.alternatives.objective import AlternativeHead, AlternativeObjective
from experiments.heads.alternatives.parts import Parts
from experiments.heads.alternatives.softmax import Softmax, plain
from experiments.heads.descent import Options, certified_descent, diverges, homotopy, plan_within, trend
from experiments.heads.fitted import Fit, FitStatus, Outcome
from experiments.heads.solver import fit
from synth import ContextualDistribution
from theory import Head, HeadSpec

HEAT, FINALISTS = 0.15, 2
"""Share of the evaluations that each starting point gets, and how many of the lowest go on to the end."""


@dataclass(frozen=True, eq=False)
class AlternativeFit(Outcome):
    """A head of some kind fitted to its floor.

    ``softmax_gap`` is the gap of the softmax head of the same width and bias.  The kind counts the unknowns:
    ``kind.states`` for each context, ``kind.columns`` for each token, ``kind.shared`` for all.
    """

    kind: Kind
    head: AlternativeHead
    softmax_gap: float = math.nan

    @property
    def dim(self) -> int:
        """Width d of the head."""
        return self.kind.dim

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.kind.name


def fit_alternative(
    distribution: ContextualDistribution,
    name: str,
    dim: int,
    *,
    options: Options | None = None,
    start: Sequence[Fit | AlternativeHead] = (),
    **parameters: Any,
) -> AlternativeFit:
    """Fit a head of the kind ``name`` and width ``dim`` to its floor on ``distribution``.

    ``parameters``: ``bias`` (all kinds), ``components`` (mos), ``cells`` (monotonic, plif).  ``start``: finished
    work.  A softmax ``Fit`` of a width that is needed saves fitting it again; a head of the same kind and a
    smaller width is one more starting point, so that gaps never rise with the width.
    Raises ``ValueError`` for bad input.
    """
    kind = make_kind(name, dim, **parameters)
    HeadSpec(dim, kind.bias).check_against(distribution)
    return Arena(distribution.on(np.zeros(1)), kind, options or Options(), tuple(start)).best()


@dataclass(frozen=True, eq=False)
class Arena:
    """The descents that make up one fit."""

    distribution: ContextualDistribution
    kind: Kind
    options: Options
    given: tuple[Fit | AlternativeHead, ...] = ()

    def best(self) -> AlternativeFit:
        """The lowest of the descents and of the embedded softmax heads."""
        began = time.perf_counter()
        if isinstance(self.kind, Softmax):
            return self.plain_softmax()
        rng = np.random.default_rng(self.options.seed)
        softmax_gap = self.softmax_fit(self.kind.dim).gap
        share = replace(self.options, max_evaluations=max(1, int(HEAT * self.options.max_evaluations)))
        led = not self.distribution.is_positive
        heats = [self.run(name, parts, share, led) for name, parts in self.points(rng)]
        heats.sort(key=lambda result: result.gap)
        spent = sum(result.evaluations for result in heats)
        finals = [self.finish(result, share) for result in heats[:FINALISTS]]
        spent += sum(result.evaluations for result in finals)
        best = min([*finals, *self.embedded()], key=lambda result: result.gap)
        if best not in finals:
            again = self.run(best.start, best.head.parts, self.options)
            spent += again.evaluations
            best = again if again.gap <= best.gap else replace(again, head=best.head, gap=best.gap, loss=best.loss)
        return replace(
            best,
            evaluations=spent,
            seconds=time.perf_counter() - began,
            starts=len(heats),
            spread=max(result.gap for result in finals) - min(result.gap for result in finals),
            softmax_gap=softmax_gap,
        )

    # ------------------------------------------------------------------ softmax heads

    @cached_property
    def _softmax(self) -> dict[int, Fit]:
        found = [given for given in self.given if isinstance(given, Fit) and given.spec.bias == self.kind.bias]
        return {given.dim: given for given in found}

    def softmax_fit(self, dim: int) -> Fit:
        """The softmax head of this width, given or fitted once."""
        if dim not in self._softmax:
            self._softmax[dim] = fit(self.distribution, HeadSpec(dim, self.kind.bias), self.options)
        return self._softmax[dim]

    def softmax_head(self, dim: int) -> Head:
        """Its head, in NumPy."""
        return self.softmax_fit(dim).head.on(np.zeros(1))

    def plain_softmax(self) -> AlternativeFit:
        """The softmax kind itself: the fit of ``experiments.heads``, as it is."""
        done = self.softmax_fit(self.kind.dim)
        head = AlternativeHead(self.kind, plain(self.softmax_head(self.kind.dim)))
        return AlternativeFit(self.kind, head, softmax_gap=done.gap, **done.outcome)

    def embedded(self) -> Iterator[AlternativeFit]:
        """The softmax heads that the kind contains and its closed forms, as they are."""
        for name, parts in [*self.kind.embeddings(self.softmax_head), *self.kind.closed_forms(self.distribution)]:
            head = AlternativeHead(self.kind, parts)
            gap = head.gap(self.distribution)
            yield self._result(name, head, gap, FitStatus.LIMIT)

    # ------------------------------------------------------------------ descents

    def points(self, rng: np.random.Generator) -> Iterator[tuple[str, Parts]]:
        """Named starting points: departures from softmax, fits of smaller width, random ones."""
        yield from self.kind.departures(self.softmax_head, rng)
        for given in self.given:
            if isinstance(given, AlternativeHead) and replace(given.kind, dim=self.kind.dim) == self.kind:
                yield f"grown from d = {given.dim}", self.kind.grown(given.kind, given.parts, rng)
        log_unigram = np.log(AlternativeObjective(self.distribution, self.kind).base)
        for number in range(max(1, self.options.random_starts)):
            draw = np.random.default_rng([self.options.seed, number])
            yield f"random {number}", self.kind.random(self.distribution.contexts, log_unigram, draw)

    def run(self, name: str, parts: Parts, options: Options, led: bool = False) -> AlternativeFit:
        """Descend from one point; ``led`` by a ridge homotopy first, as where P has zeros."""
        objective = AlternativeObjective(self.distribution, self.kind)
        x = parts.pack()
        if led:
            x = homotopy(objective, x, options, None)  # type: ignore[arg-type]
        trace, excess, course = certified_descent(objective, x, options, None)
        head = AlternativeHead(self.kind, objective.unpack(trace.x))
        gap = head.gap(self.distribution)
        if gap <= options.tolerance:
            excess = gap
        status = FitStatus.CONVERGED if excess <= options.tolerance else FitStatus.LIMIT
        if trace.stalled and status is FitStatus.LIMIT:
            status = FitStatus.STALLED
        if diverges(objective, trace.x):
            status, excess = FitStatus.UNATTAINED, excess if gap <= options.tolerance else math.nan
        found = self._result(name, head, gap, status)
        return replace(
            found,
            certified_excess=excess if status is not FitStatus.LIMIT else math.nan,
            decrement=trace.decrement,
            evaluations=objective.evaluations,
            trend=trend(course),
            metric=plan_within(objective, options, 0, 0, 0).metric,
        )

    def finish(self, result: AlternativeFit, spent: Options) -> AlternativeFit:
        """Go on from the end of a heat, unless that is an end."""
        if result.status in (FitStatus.CONVERGED, FitStatus.STALLED):
            return replace(result, evaluations=0.0)
        left = self.options.max_evaluations - spent.max_evaluations
        going = self.run(result.start, result.head.parts, replace(self.options, max_evaluations=max(1, left)))
        return going if going.gap < result.gap else replace(result, evaluations=going.evaluations)

    def _result(self, name: str, head: AlternativeHead, gap: float, status: FitStatus) -> AlternativeFit:
        loss = self.distribution.entropy + gap
        return AlternativeFit(self.kind, head, gap=gap, loss=loss, status=status, start=name)
