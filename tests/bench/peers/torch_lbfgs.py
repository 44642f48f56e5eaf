"""L-BFGS of torch with its strong Wolfe line search, on raw or whitened factors."""

from __future__ import annotations

from functools import partial

from tests.bench.peers.method import Method, Run
from tests.bench.peers.whitening import Coordinates
from tests.bench.problems import Problem
from tests.bench.recorder import Recorder


def descend(recorder: Recorder, whitened: bool) -> None:
    """One call of ``step`` that never stops by itself."""
    import torch

    coordinates = Coordinates(recorder, whitened)
    scales, begin = coordinates.begin()
    y = torch.from_numpy(begin.copy())
    optimiser = torch.optim.LBFGS(
        [y], max_iter=10**6, max_eval=10**6, tolerance_grad=0, tolerance_change=0, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> torch.Tensor:
        gap, gradient = coordinates.evaluate(scales, y.numpy())
        y.grad = torch.from_numpy(gradient)
        return torch.tensor(gap, dtype=torch.float64)

    optimiser.step(closure)


def variants(problem: Problem, whitened: bool) -> dict[str, Run]:
    """A single one."""
    return {"history 20": partial(descend, whitened=whitened)}


METHODS = (
    Method("torch L-BFGS, whitened", "torch", partial(variants, whitened=True)),
    Method("torch L-BFGS, raw", "torch", partial(variants, whitened=False)),
)
