"""The whole curve of loss against rank, predicted without training a head, between bounds.

For each rank: two closed forms from moments (half the tail; clustered Fisher weights); a point prediction, between
the loss after a few secant steps from the best truncation and what their model leaves of it; a proved interval for
heads of a stated curvature; a predicted one; and the loss to expect on contexts not seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from theory.frozen.catalogue import FrozenSpec, frozen_catalogue
from theory.frozen.chart import Chart
from theory.frozen.clustered import clustered_tails, clusters
from theory.frozen.curvature import Curvature
from theory.frozen.heads import Excess, FrozenHead, excess
from theory.frozen.metrics import information
from theory.frozen.newton import left_over, newton_step
from theory.frozen.problem import FrozenProblem
from theory.frozen.sample import Estimate, cross_validated, extrapolated, optimism
from theory.frozen.uppers import best_truncation

ALLOWANCE = 0.2
"""Share of what the model leaves by which the interval goes further down."""

ERRORS = 3.0
"""Standard errors by which the held-out interval is widened."""


@dataclass(frozen=True)
class Effort:
    """How hard to work.

    ``steps`` secant steps of ``iterations`` passes, and ``last`` passes for what is left after them; ``clusters`` of
    contexts for the closed form; ``curvature`` of the class the lower bound speaks of (default: ``margin`` times that
    of the witness); ``folds`` of the splits (0: no held-out prediction) and ``draws`` of random signs; ``run``: rows
    after one another that belong together, as in a window of text, for splits and signs; ``floor``: whether to compute
    the lower bound at all.
    """

    steps: int = 2
    iterations: int = 8
    last: int = 12
    clusters: int = 8
    curvature: float | None = None
    margin: float = 0.75
    folds: int = 5
    draws: int = 4
    run: int = 1
    seed: int = 0
    floor: bool = True

    def __post_init__(self) -> None:
        least = min(self.steps, self.iterations, self.last, self.clusters, self.run)
        if least < 1 or self.folds < 0 or not 0 < self.margin <= 1:
            raise ValueError("steps, iterations, last, clusters and run must be >= 1, folds >= 0 and margin in (0, 1]")


@dataclass(frozen=True)
class HeldOut:
    """Loss on contexts not seen, nats per token: ``predicted`` between ``low`` and ``high``.

    ``split``: what the K heads of the splits lost, with its standard error.  ``optimism``: the first-order correction.
    ``predicted`` extrapolates the split from N (1 - 1/K) rows to N.
    """

    predicted: float
    low: float
    high: float
    split: Estimate
    optimism: Estimate


@dataclass(frozen=True, eq=False)
class FrozenPoint:
    """The prediction at one rank, nats per token, in sample unless said otherwise.

    ``predicted``: the point prediction.  ``half_tail``: half the tail in the information metric, and ``clustered``:
    the same, relaxed over clusters of contexts; both from moments alone.  ``lower``: proved for heads of curvature at
    least ``curvature``.  ``upper``: proved, the gap of ``witness``.  ``low``: lower end of the predicted interval, a
    rule and not a theorem; its upper end is ``upper``.  ``excess`` describes the witness, ``passes`` the work it took.
    """

    rank: int
    predicted: float
    half_tail: float
    clustered: float
    lower: float
    upper: float
    low: float
    curvature: float
    witness: FrozenHead
    excess: Excess
    held_out: HeldOut | None
    passes: int


@dataclass(frozen=True, eq=False)
class FrozenCurve:
    """Predictions by increasing rank."""

    points: tuple[FrozenPoint, ...]

    def __iter__(self) -> Iterator[FrozenPoint]:
        return iter(self.points)

    def __getitem__(self, index: int) -> FrozenPoint:
        return self.points[index]

    def __len__(self) -> int:
        return len(self.points)


def predict_curve(problem: FrozenProblem, ranks: Sequence[int], effort: Effort | None = None) -> FrozenCurve:
    """Predict ``g_X(r)`` at increasing ``ranks``, with bounds, intervals and held-out losses.

    ``predict_points`` gives the same points one at a time.  Upper bounds and predictions never rise with the rank.
    Cost for each rank: ``Step.passes`` passes of O(N V (D + r)) over the rows, K times that for the splits; the lower
    bound once for all ranks.  Raises ``ValueError`` for ranks that are not increasing or out of range.
    """
    return FrozenCurve(tuple(predict_points(problem, ranks, effort)))


def predict_points(problem: FrozenProblem, ranks: Sequence[int], effort: Effort | None = None) -> Iterator[FrozenPoint]:
    """The points of ``predict_curve``, each worked out when it is asked for."""
    effort = effort or Effort()
    if not ranks or list(ranks) != sorted(set(ranks)):
        raise ValueError(f"ranks must be distinct and increasing, found {list(ranks)}; sort them and drop repeats")
    for rank in ranks:
        problem.check_rank(rank)
    count = min(effort.clusters, problem.rows)
    relaxed, metric = clustered_tails(problem, clusters(problem, count, effort.seed)), information(problem)
    point: FrozenPoint | None = None
    for rank in ranks:
        point = _point(problem, rank, (metric.tail(rank) / 2, float(relaxed[rank])), effort, point)
        yield point


def _point(
    problem: FrozenProblem, rank: int, closed: tuple[float, float], effort: Effort, below: FrozenPoint | None
) -> FrozenPoint:
    """One rank, given the point below it."""
    path = _descended(problem, rank, effort)
    found = excess(problem.in_float64, path.head)
    head, upper = path.head, found.gap
    if below is not None and below.upper < upper:  # a head of smaller rank is one of this rank
        head, found, upper = below.witness, below.excess, below.upper
    left = max(0.0, min(path.left, upper))
    predicted = math.sqrt(left * max(0.0, upper))
    predicted = predicted if below is None else min(predicted, below.predicted)
    curvature = effort.curvature or effort.margin * found.curvature
    lower = frozen_catalogue["frozen-lower"](problem, FrozenSpec(rank, curvature)).value if effort.floor else 0.0
    predicted = max(predicted, min(lower, upper))
    low = max(0.0, lower, (1 - ALLOWANCE) * left - (upper - left) / 2)
    held_out = _held_out(problem, head, rank, (left, predicted, upper), effort) if effort.folds else None
    return FrozenPoint(
        rank, predicted, *closed, lower, upper, min(low, predicted), curvature, head, found, held_out, path.passes
    )


# The secant model is quadratic in the errors of logits.  The loss is that where they are small, and linear where a
# token is far too improbable: of an error halved it keeps a half, where the model keeps a quarter: the square root of
# the share that the model leaves.  That square root of the loss at the witness, the geometric mean of the two, is the
# prediction.  A rule, not a bound: trained heads have ended on either side; where the two are close it hardly matters.


@dataclass(frozen=True, eq=False)
class Path:
    """Truncation and secant steps: the last head, what the model says is left there, the work."""

    head: FrozenHead
    left: float
    passes: int


def descended(problem: FrozenProblem, rank: int, effort: Effort) -> FrozenHead:
    """The best truncation and ``effort.steps`` secant steps from it."""
    return _descended(problem, rank, effort).head


def _descended(problem: FrozenProblem, rank: int, effort: Effort) -> Path:
    metric = information(problem)
    head, start = best_truncation(problem, rank)
    if rank >= metric.rank:  # nothing is cut off
        return Path(head, start, 4)
    damping, passes = 0.0, 4 + effort.last
    for _ in range(effort.steps):
        step = newton_step(problem, head, metric, effort.iterations, damping)
        head, damping, passes = step.head, step.damping, passes + step.passes
    return Path(head, left_over(problem, head, metric, effort.last), passes)


# The splits lie above what is sought (fewer rows, heads not trained to the end), the first-order correction below, and
# below it what the prediction inside the sample may be off, about its distance to the witness.  The interval runs from
# the one to the other, half as far again above, and three standard errors beyond: rows with heavy tails make the error
# of a mean uncertain itself.


def _held_out(
    problem: FrozenProblem, head: FrozenHead, rank: int, inside: tuple[float, float, float], effort: Effort
) -> HeldOut:
    """Both corrections of ``theory.frozen.sample``; runs are cut shorter where they would be fewer than folds."""
    folds = min(effort.folds, problem.rows)
    run = min(effort.run, problem.rows // folds)
    split = cross_validated(problem, lambda part: descended(part, rank, effort), folds, effort.seed, run)
    chart = Chart(problem, information(problem))
    first = optimism(Curvature(chart, chart.enter(head)), effort.draws, effort.seed, effort.iterations, run)
    left, predicted, upper = inside
    point = extrapolated(predicted, split, folds)
    bottom = min(left - (upper - left) + first.value, point.value)
    top = max(split.value, point.value)
    low = max(0.0, bottom - ERRORS * float(np.hypot(split.error, first.error)))
    return HeldOut(point.value, low, top + (top - bottom) / 2 + ERRORS * split.error, split, first)
