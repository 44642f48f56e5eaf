"""The hunt: draw, climb, draw again, until a counterexample is found or the budget is spent; then make it small."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from theory.bound import Side
from theory.falsify import draw
from theory.falsify.adversarial import ascend
from theory.falsify.claim import Conjecture, Function, conjecture
from theory.falsify.interrupt import Interrupts
from theory.falsify.oracle import Judgement, judge
from theory.falsify.problem import Problem
from theory.falsify.report import Counterexample, counterexample
from theory.falsify.shrink import shrink

BATCH = 150
"""Problems drawn between two rounds of ascents."""

CLIMBS = 4
"""Ascents after each batch, from the problems of the highest score."""

SHRINK_SECONDS = 10.0
"""Most time spent on making a counterexample small."""

Watch = Callable[[int, float, float], None]
"""Called with problems tried, the ratio claim / truth nearest to breaking, and seconds so far."""


class Enough(BaseException):
    """Ends a search from inside: broken, or out of budget."""


@dataclass(frozen=True)
class Options:
    """Beyond the budget.

    ``name`` is used in reports.  ``limits`` tries limited classes of heads too (underestimate, range, norm),
    ``formats`` classes whose logits are rounded.  ``problems``, a Hypothesis strategy of (distribution, spec) pairs, is
    drawn from instead of all that and the classics, for a claim that speaks of few tables.  ``watch`` is told of the
    progress.
    """

    name: str | None = None
    limits: bool = False
    formats: bool = False
    watch: Watch | None = None
    problems: Any = None

    @property
    def strategy(self) -> Any:
        """The Hypothesis strategy of problems to draw from."""
        if self.problems is not None:
            return draw.given(self.problems)
        return draw.everywhere(draw.LIMITS * self.limits + draw.FORMATS * self.formats)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a hunt found: a counterexample or none, after ``examples`` problems and ``seconds``.

    ``nearest`` is the ratio claim / truth closest to breaking (a lower claim breaks above 1, an upper one below), NaN
    when nothing was ever claimed.  ``interrupted`` says that the hunt was stopped by hand.
    """

    name: str
    side: Side
    counterexample: Counterexample | None
    examples: int
    seconds: float
    nearest: float
    interrupted: bool = False

    @property
    def broken(self) -> bool:
        """Whether a counterexample was found."""
        return self.counterexample is not None

    @property
    def sentence(self) -> str:
        """The counterexample in words, or what was tried in vain."""
        if self.counterexample is not None:
            return self.counterexample.sentence
        tried = f"{self.examples} problems in {self.seconds:.0f} s"
        if np.isnan(self.nearest):
            return f"{self.name} claimed nothing on {tried}; nothing was tested."
        nearest = f"the nearest had claim / truth = {self.nearest:.4g}"
        return f"No counterexample to {self.name} ({self.side.value}) among {tried}; {nearest}."


@dataclass
class Hunt:
    """State of one hunt: the budget, the best judgements so far, and how many problems were tried."""

    conjecture: Conjecture
    deadline: float
    examples: int | None
    options: Options
    began: float = field(default_factory=time.monotonic)
    tried: int = 0
    pool: list[Judgement] = field(default_factory=list)
    climbed: set[Judgement] = field(default_factory=set)
    broken: Judgement | None = None
    failure: ValueError | None = None
    interrupts: Interrupts = field(default_factory=Interrupts)

    def score(self, problem: Problem) -> float | None:
        """Judge a drawn problem; raises ``Enough`` when it breaks or the budget is spent."""
        self.spend()
        try:
            found = judge(self.conjecture, problem)
        except ValueError as why:  # said once, here, and not replayed
            self.failure = why
            raise Enough from why
        if found is None:
            return None
        self.keep(found)
        return found.score

    def spend(self) -> None:
        """Count one problem; raises ``Enough`` when the budget is spent, and an interrupt that waits."""
        self.interrupts.check()
        if time.monotonic() > self.deadline or (self.examples is not None and self.tried >= self.examples):
            raise Enough
        self.tried += 1
        if self.options.watch is not None:
            self.options.watch(self.tried, self.nearest, time.monotonic() - self.began)

    def keep(self, found: Judgement) -> None:
        """Put a judgement in its place; raises ``Enough`` when it is broken."""
        alike = next((i for i, kept in enumerate(self.pool) if _alike(kept, found)), None)
        if alike is not None and self.pool[alike].score >= found.score and not found.broken:
            return
        if alike is not None:
            self.pool.pop(alike)
        self.pool.append(found)
        self.pool.sort(key=lambda kept: (kept.broken, kept.score), reverse=True)
        del self.pool[4 * CLIMBS :]
        if found.broken:
            self.broken = found
            raise Enough

    @property
    def nearest(self) -> float:
        """Ratio claim / truth of the best judgement."""
        return self.pool[0].ratio if self.pool else np.nan

    def run(self, seed: int) -> None:
        """Classics unless problems are given; then draw and climb in turns until a claim breaks or time is up."""
        rng, strategy = np.random.default_rng(seed), self.options.strategy
        try:
            for problem in draw.classics() if self.options.problems is None else ():
                self.score(problem)
            while True:
                draw.search(self.score, BATCH, int(rng.integers(2**32)), strategy)
                for start in [kept for kept in self.pool if kept not in self.climbed][:CLIMBS]:
                    self.climb(start, rng)
        except Enough:
            if self.failure is not None:
                raise self.failure from None

    def climb(self, start: Judgement, rng: np.random.Generator) -> None:
        """One ascent; its end takes the place of its start."""
        end = ascend(self.conjecture, start, self.spend, rng)
        self.climbed.add(end)
        self.pool = [kept for kept in self.pool if kept is not start]
        self.keep(end)


def falsify(
    function: Function,
    side: str | Side = "lower",
    seconds: float = 60.0,
    seed: int = 0,
    examples: int | None = None,
    options: Options | None = None,
) -> Outcome:
    """Hunt for a distribution and a class of heads on which a claimed bound on the loss floor is false.

    ``function(distribution, spec)`` returns nats per token above the entropy (a number, ``Bound`` or ``Claim``);
    ``None``, ``NotApplicable``, 0 (lower) and +inf (upper) claim nothing.  ``side`` is "lower" (the floor is at least
    the value) or "upper".  The hunt stops after ``seconds``, or after ``examples`` problems, which makes it
    reproducible; up to 10 more seconds are spent on making a counterexample small.  An interrupt ends it with what was
    found so far.

    Raises ``ValueError`` when the function raises anything else or returns what is not a number, and when
    ``options.problems`` is not a strategy of pairs.  A claimed upper bound can only be refuted where the catalogue
    proves a lower bound above it.

    >>> outcome = falsify(lambda distribution, spec: distribution.mutual_information, "lower", examples=200)
    >>> outcome.broken
    True
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be > 0, found {seconds!r}")
    if examples is not None and examples < 1:
        raise ValueError(f"examples must be >= 1 or None, found {examples!r}")
    options = options or Options()
    claim = conjecture(function, side, options.name)
    began = time.monotonic()
    hunt = Hunt(claim, began + seconds, examples, options)
    interrupted = False
    try:
        with hunt.interrupts:
            hunt.run(seed)
            if hunt.broken is not None:
                hunt.broken = shrink(claim, hunt.broken, SHRINK_SECONDS)
    except KeyboardInterrupt:
        interrupted = True
    kept = None if hunt.broken is None else counterexample(claim.name, claim.side, hunt.broken)
    return Outcome(claim.name, claim.side, kept, hunt.tried, time.monotonic() - began, hunt.nearest, interrupted)


def _alike(one: Judgement, other: Judgement) -> bool:
    """Same shape and class: only the better of the two is kept."""
    return one.problem.shape == other.problem.shape and one.problem.spec == other.problem.spec
