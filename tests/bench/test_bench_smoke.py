"""Every peer of the benchmark works: on a small table it comes as low as the fit."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec

import pytest

from synth import families
from tests.bench.peers import METHODS, ours
from tests.bench.problems import Problem
from tests.bench.recorder import Limits, Recorder, Stop
from theory import HeadSpec


def small() -> Problem:
    def table():
        return families.zipf(contexts=20, vocab=12, rank=6, scale=1.0, seed=0)

    return Problem("small", "20 × 12", table, HeadSpec(3, bias=True), 400, horizons=(400,))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_peer_reaches_the_fit(method):
    if find_spec(method.package) is None:
        pytest.skip(f"{method.package} is not installed")
    problem = small()
    floor = ours.certified(problem, 1e-6, 400).gap
    lowest = []
    for run in method.variants(problem).values():
        recorder = Recorder(problem, Limits(400))
        with contextlib.suppress(Stop):
            run(recorder)
        lowest.append(min(gap for _, _, gap in recorder.points))
        spent = [evaluations for evaluations, _, _ in recorder.points]
        assert spent == sorted(spent)
    assert min(lowest) < floor + 1e-3
