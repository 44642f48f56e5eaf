"""The objective as a peer sees it: every evaluation leaves a record, and the caps end the run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache
from statistics import median

from experiments.heads.objective import Evaluation
from synth._array import Array
from tests.bench.problems import Problem


class Stop(Exception):
    """Raised out of an evaluation when the run is over."""


@cache
def beginning(problem: Problem) -> tuple[Array, float]:
    """The starting point of the peers, and the seconds it takes on a freshly made distribution (median of three)."""
    seconds = []
    for _ in range(3):
        objective = problem.objective()
        began = time.process_time()
        x = problem.start(objective)
        seconds.append(time.process_time() - began)
    return x, median(seconds)


@dataclass(frozen=True)
class Limits:
    """When a run ends: a cap is reached, the gap is ``enough``, or it fell by less than 1e-10 in ``patience``."""

    evaluations: float
    seconds: float = math.inf
    enough: float = -math.inf
    patience: float = math.inf


class Recorder:
    """A problem's objective with a clock; ``points`` holds (evaluations, seconds, gap) of every evaluation.

    Seconds are the processor's, steadier than the clock's on a shared machine; they include the starting point and
    leave out making the distribution.  Evaluations are counted as ``Objective`` counts them, three products of size
    C x V x d each.
    """

    def __init__(self, problem: Problem, limits: Limits) -> None:
        self.problem, self.limits = problem, limits
        self.objective = problem.objective()
        self.points: list[tuple[float, float, float]] = []
        self._lowest, self._mark = math.inf, (0.0, math.inf)
        self._began = time.process_time()

    def begin(self) -> Array:
        """A copy of the starting point; what it cost is added to the clock."""
        x, seconds = beginning(self.problem)
        self._began -= seconds
        return self.objective.xp.asarray(x, copy=True)

    def evaluate(self, x: Array) -> Evaluation:
        """Gap and gradient, recorded."""
        at = self.objective.evaluate(x)
        self.record(self.objective.evaluations, at.gap)
        return at

    def value(self, x: Array) -> float:
        """The gap alone, recorded; a third of an evaluation."""
        gap = self.objective.value(x)
        self.record(self.objective.evaluations, gap)
        return gap

    def record(self, evaluations: float, gap: float) -> None:
        """Note where the run stands; raises ``Stop`` when it is over."""
        seconds, limits = time.process_time() - self._began, self.limits
        self.points.append((evaluations, seconds, gap))
        self._lowest = min(self._lowest, gap)
        since, then = self._mark
        if self._lowest < then - 1e-10:
            self._mark = since, then = evaluations, self._lowest
        over = evaluations >= limits.evaluations or seconds >= limits.seconds
        if over or gap <= limits.enough or evaluations - since >= limits.patience:
            raise Stop
