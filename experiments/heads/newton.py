"""The stopping certificate: how far below the present loss the nearest minimum lies, by the full Hessian.

Gradient-type quantities understate the excess by factors of ten to a thousand.  The Newton decrement
``1/2 g' Hess^-1 g``, solved by conjugate gradients in a metric and *with no negative curvature met*, equals the local
excess to leading order.  It says nothing of other minima.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from experiments.heads.metric import Metric, Problem
from experiments.heads.objective import Evaluation, Objective
from synth._array import Array


@dataclass(frozen=True, eq=False)
class Decrement:
    """``excess``: the estimated local excess in nats, ``nan`` when negative curvature was met or CG ran out.

    ``direction`` is then a direction of negative curvature or the best CG step: descend along it and try again.
    """

    excess: float
    direction: Array
    negative_curvature: bool


def newton_decrement(
    objective: Objective | Problem,
    x: Array,
    at: Evaluation,
    metric: Metric,
    accuracy: float = 0.1,
    iterations: int = 400,
) -> Decrement:
    """Conjugate gradients on ``Hess step = -g``, stopped at relative residual ``accuracy`` in the metric's norm.

    Cost: two evaluations per iteration.  The model's fall ``1/2 g' Hess^-1 g`` grows with each iteration towards the
    excess; the share not yet found is about ``accuracy**2``.
    """
    step, residual = objective.xp.zeros_like(x), at.gradient
    z = metric.solve(residual)
    search, size = -z, objective.dot(residual, z)
    search_norm = size  # of the search direction, squared, in the metric
    target, fall = accuracy**2 * size, 0.0
    for _ in range(iterations):
        if size <= target:
            return Decrement(fall, step, False)
        product = objective.hessian_product(x, search)
        curvature = objective.dot(search, product)
        if curvature <= 1e-14 * search_norm:
            return Decrement(math.nan, search, True)
        length = size / curvature
        step, residual = step + length * search, residual + length * product
        fall += 0.5 * length * size
        z = metric.solve(residual)
        previous, size = size, objective.dot(residual, z)
        search = (size / previous) * search - z
        search_norm = size + (size / previous) ** 2 * search_norm
    return Decrement(math.nan, step, False)
