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

DEAR_START = 1.0
"""Seconds from which a starting point is not made again for its median."""


class Stop(Exception):
    """Raised out of an evaluation when the run is over."""


@cache
def beginning(problem: Problem, whitened: bool, seed: int | None) -> tuple[Array, float, float]:
    """The starting point of the peers, its evaluations, and its seconds on data freshly made (median of three)."""
    seconds: list[float] = []
    while len(seconds) < 3 and max(seconds, default=0.0) < DEAR_START:
        objective = problem.objective(whitened)
        began = time.process_time()
        x, evaluations = problem.start(objective, whitened, seed)
        seconds.append(time.process_time() - began)
    return x, evaluations, median(seconds)


@dataclass(frozen=True)
class Limits:
    """When a run ends: a cap is reached, the gap is ``enough``, or it fell by less than 1e-10 in ``patience``.

    The caps leave out the starting point.
    """

    evaluations: float
    seconds: float = math.inf
    enough: float = -math.inf
    patience: float = math.inf


class Recorder:
    """A problem's objective with a clock; ``points`` holds (evaluations, seconds, gap) of every evaluation.

    ``seed``: of random factors to start from, ``None`` for the closed form.  Seconds are the processor's, steadier than
    the clock's on a shared machine; they include the starting point and leave out making the data.  Evaluations are
    counted by their matrix products, as the objective counts them.
    """

    def __init__(self, problem: Problem, limits: Limits, seed: int | None = None) -> None:
        self.problem, self.limits, self.seed = problem, limits, seed
        self.objective = problem.objective()
        self.points: list[tuple[float, float, float]] = []
        self._lowest, self._mark = math.inf, (0.0, math.inf)
        self._start = 0.0, 0.0  # evaluations and seconds of the starting point
        self._began = time.process_time()

    def begin(self, whitened: bool = False) -> Array:
        """A copy of the starting point, in these coordinates; what it cost is added to the account."""
        x, *self._start = beginning(self.problem, whitened, self.seed)
        if whitened:
            self.objective = self.problem.objective(whitened)
        self.restart()
        return self.objective.xp.asarray(x, copy=True)

    def restart(self) -> None:
        """The clock from zero, the starting point's seconds left in the account."""
        self._began = time.process_time()

    def evaluate(self, x: Array) -> Evaluation:
        """Gap and gradient, recorded."""
        at = self.objective.evaluate(x)
        self.record(self.objective.evaluations, at.gap)
        return at

    def value(self, x: Array) -> float:
        """The gap alone, recorded; less than an evaluation."""
        gap = self.objective.value(x)
        self.record(self.objective.evaluations, gap)
        return gap

    def record(self, evaluations: float, gap: float) -> None:
        """Note where the run stands, the starting point left out; raises ``Stop`` when it is over."""
        seconds, limits = time.process_time() - self._began, self.limits
        self.points.append((evaluations + self._start[0], seconds + self._start[1], gap))
        self._lowest = min(self._lowest, gap)
        since, then = self._mark
        if self._lowest < then - 1e-10:
            self._mark = since, then = evaluations, self._lowest
        over = evaluations >= limits.evaluations or seconds >= limits.seconds
        if over or gap <= limits.enough or evaluations - since >= limits.patience:
            raise Stop
