"""Adam (Kingma & Ba 2015) of torch on the raw factors, cosine schedule to zero: rates by horizons."""

from __future__ import annotations

from functools import partial

from tests.bench.peers.method import Method, Run
from tests.bench.problems import Problem
from tests.bench.recorder import Recorder

RATES = (0.03, 0.1, 0.3)


def descend(recorder: Recorder, rate: float, horizon: int) -> None:
    """``horizon`` steps from the rate down to zero."""
    import torch

    x = torch.from_numpy(recorder.begin())
    optimiser = torch.optim.Adam([x], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, horizon)
    for _ in range(horizon):
        x.grad = torch.from_numpy(recorder.evaluate(x.numpy()).gradient)
        optimiser.step()
        schedule.step()


def variants(problem: Problem) -> dict[str, Run]:
    """Every rate with every horizon."""
    return {
        f"rate {rate}, {horizon} steps": partial(descend, rate=rate, horizon=horizon)
        for rate in RATES
        for horizon in problem.horizons
    }


METHODS = (Method("torch Adam, tuned", "torch", variants, patience=400.0),)
