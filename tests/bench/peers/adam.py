"""Adam (Kingma & Ba 2015) of torch, cosine schedule to zero: rates by horizons.

It works on the raw unknowns, on frozen features on the whitened ones too.
"""

from __future__ import annotations

from functools import partial

from tests.bench.peers.method import Method, Run
from tests.bench.peers.whitening import Coordinates
from tests.bench.problems import Problem
from tests.bench.recorder import Recorder

NAME = "torch Adam, tuned"

RATES = (0.03, 0.1, 0.3)


def descend(recorder: Recorder, rate: float, horizon: int, whitened: bool) -> None:
    """``horizon`` steps from the rate down to zero."""
    import torch

    coordinates = Coordinates(recorder, whitened)
    scales, begin = coordinates.begin()
    y = torch.from_numpy(begin.copy())
    optimiser = torch.optim.Adam([y], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, horizon)
    for _ in range(horizon):
        y.grad = torch.from_numpy(coordinates.evaluate(scales, y.numpy())[1])
        optimiser.step()
        schedule.step()


def variants(problem: Problem) -> dict[str, Run]:
    """Every rate with every horizon, in every chart."""
    return {
        f"rate {rate}, {horizon} steps" + (", whitened" if whitened else ""): partial(
            descend, rate=rate, horizon=horizon, whitened=whitened
        )
        for whitened in problem.charts
        for rate in RATES
        for horizon in problem.horizons
    }


METHODS = (Method(NAME, "torch", variants, patience=400.0),)
