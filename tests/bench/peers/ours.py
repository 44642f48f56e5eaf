"""``fit``, ``fit_frozen`` or ``fit_full``, followed through a watcher; no certificate is asked for at these excesses.

From random factors: the descent of the same fits.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from experiments.heads import Options
from experiments.heads.descent import certified_descent
from experiments.heads.lbfgs import Trace
from tests.bench.peers.method import Method, Run
from tests.bench.problems import Ended, HeadProblem, Problem
from tests.bench.recorder import Recorder
from theory import HeadSpec

NAME = "rankfloor fit"

TOURNAMENT = Options(random_starts=40, max_evaluations=500, tolerance=1e-5)
"""Of fits where local minima are many."""


def descend(recorder: Recorder) -> None:
    """A fit of which the course is recorded."""
    problem = recorder.problem
    options = Options(tolerance=problem.tolerance, max_evaluations=problem.evaluations)
    if recorder.seed is None:
        task = problem.task()
        recorder.restart()
        task(options, recorder.record)
        return

    def follow(trace: Trace) -> None:
        recorder.record(trace.course[-1][0], trace.at.gap)

    x = recorder.begin(whitened=True)
    certified_descent(recorder.objective, x, options, follow)


@dataclass(frozen=True)
class Certified:
    """How a fit ended, and its (processor) seconds."""

    ended: Ended
    seconds: float


def timed(problem: Problem, options: Options) -> Certified:
    """A fit, everything but the making of the data included."""
    task = problem.task()
    began = time.process_time()
    ended = task(options)
    return Certified(ended, time.process_time() - began)


def certified(problem: Problem, tolerance: float, evaluations: int = 2000) -> Certified:
    """A fit to ``tolerance``, the certificate included in its evaluations and seconds."""
    return timed(problem, Options(tolerance=tolerance, max_evaluations=evaluations))


def tournament(problem: HeadProblem, bias: bool) -> Certified:
    """A fit of the same dimension from the closed form and from 40 random starts."""
    return timed(replace(problem, spec=HeadSpec(problem.spec.dim, bias)), TOURNAMENT)


def variants(problem: Problem) -> dict[str, Run]:
    """A single one."""
    return {"defaults": descend}


METHODS = (Method(NAME, "experiments", variants, patience=math.inf, capped=False),)
