"""``experiments.heads.fit`` itself, followed through its watcher; no certificate is asked for at these excesses."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from experiments.heads import Fit, Options, fit
from experiments.heads.lbfgs import Trace
from tests.bench.peers.method import Method, Run
from tests.bench.problems import Problem
from tests.bench.recorder import Recorder

NAME = "rankfloor fit"


def descend(recorder: Recorder) -> None:
    """A fit to 1e-9, of which the course is recorded."""

    def watch(trace: Trace) -> None:
        recorder.record(trace.course[-1][0], trace.at.gap)

    problem = recorder.problem
    options = Options(tolerance=1e-9, max_evaluations=problem.evaluations)
    fit(recorder.objective.distribution, problem.spec, options, watch=watch)


def certified(problem: Problem, tolerance: float, evaluations: int = 2000) -> Fit:
    """A fit to ``tolerance``, the certificate included in its evaluations and (processor) seconds."""
    distribution, options = problem.make(), Options(tolerance=tolerance, max_evaluations=evaluations)
    began = time.process_time()
    found = fit(distribution, problem.spec, options)
    return replace(found, seconds=time.process_time() - began)


def variants(problem: Problem) -> dict[str, Run]:
    """A single one."""
    return {"defaults": descend}


METHODS = (Method(NAME, "experiments", variants, patience=math.inf),)
