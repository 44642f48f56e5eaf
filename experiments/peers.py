"""Optimisers of other packages on the objective of ``fit``: from the same point, with the same value and gradient.

Each is a function ``(course, x)`` that descends from the packed point x (n,) until the course is full or it ends.
*Whitened* coordinates are ``x = scales * y``, in which contexts and tokens weigh the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from experiments.heads.objective import Objective
from synth._array import Array

Peer = Callable[["Course", Array], None]


class Full(Exception):
    """The evaluations that a course may take are spent."""


class Course:
    """An objective that notes (evaluations, gap) at every evaluation and raises ``Full`` after ``most`` of them."""

    def __init__(self, objective: Objective, most: int) -> None:
        self.objective, self.most = objective, most
        self.points: list[tuple[float, float]] = []

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Gap in nats and gradient (n,)."""
        if self.objective.evaluations >= self.most:
            raise Full
        at = self.objective.evaluate(x)
        self.points.append((self.objective.evaluations, at.gap))
        return at.gap, at.gradient

    def scales(self, whitened: bool) -> Array:
        """Units of the coordinates (n,): one over the roots of the weights of contexts and tokens, or ones."""
        objective = self.objective
        H, W = np.ones((objective.contexts, objective.dim)), np.ones((objective.vocab, objective.columns))
        if not whitened:
            return objective.join(H, W)
        return objective.join(H / np.sqrt(objective.pi)[:, None], W / np.sqrt(objective.base)[:, None])


def scipy_lbfgsb(course: Course, x: Array, whitened: bool) -> None:
    """L-BFGS-B of SciPy with 20 corrections and every tolerance at zero."""
    from scipy.optimize import minimize

    scales = course.scales(whitened)

    def scaled(y: Array) -> tuple[float, Array]:
        gap, gradient = course(scales * y)
        return gap, scales * gradient

    options = {"maxcor": 20, "maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0}
    minimize(scaled, x / scales, jac=True, method="L-BFGS-B", options=options)


def torch_adam(course: Course, x: Array, rate: float, horizon: int) -> None:
    """Adam of torch, its rate falling to zero along a cosine over ``horizon`` steps."""
    import torch

    y = torch.from_numpy(x.copy())
    optimiser = torch.optim.Adam([y], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, horizon)
    for _ in range(horizon):
        y.grad = torch.from_numpy(course(y.numpy())[1])
        optimiser.step()
        schedule.step()
    course(y.numpy())


def variants(rates: Sequence[float], horizons: Sequence[int]) -> dict[str, dict[str, Peer]]:
    """By method, the settings among which the best counts."""
    return {
        "SciPy L-BFGS-B, whitened": {"20 corrections": partial(scipy_lbfgsb, whitened=True)},
        "SciPy L-BFGS-B, raw": {"20 corrections": partial(scipy_lbfgsb, whitened=False)},
        "torch Adam, tuned": {
            f"rate {rate:g}, {horizon} steps": partial(torch_adam, rate=rate, horizon=horizon)
            for rate in rates
            for horizon in horizons
        },
    }


def followed(peer: Peer, objective: Objective, x: Array, most: int) -> list[tuple[float, float]]:
    """(evaluations, gap) along one run of at most ``most`` evaluations."""
    course = Course(objective, most)
    with contextlib.suppress(Full):
        peer(course, x)
    return course.points
