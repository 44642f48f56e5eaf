"""The search for a certificate: starts, ascent with one metric, then with several, and for unlimited heads the cap.

Two metrics that start equal stay equal, so the split into several starts from a non-negative factorisation; the ascent
then goes back to a warmer stage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synth._array import Array, namespace, to_numpy
from theory.certificate.ascent import Climb, Watch
from theory.certificate.dual import Dual, Metric, Point
from theory.certificate.factors import nonnegative_factors
from theory.certificate.sound import sound_value
from theory.certificate.starts import anchored, reached

LEAST_SHARE = 1e-3
"""No factor starts below this share of its mean."""

REACH = 3.0
"""How far above its start the certificate of an unlimited class is expected to come, as a factor."""

LEAST_REACH = 1e-3
"""Least scale of the temperatures, as a share of the floor expected."""

CAPS = 5
"""Caps tried for an unlimited class, from half the least weight to four times the mean tail of the floor expected."""

LIMITED_CAP = 6.0
"""The cap tried for a limited class, in units of that mean."""

LEAD = 0.01
"""A start with a cap is split instead of the one without when its value is larger by this share."""

ENOUGH = 0.5
"""Share of the evaluations for several metrics that has to be left for another start to be split too."""

RESCALED = (0.6, 0.8, 1.0, 1.25, 1.5)
"""Factors tried on the cap after an ascent at a fixed one."""

COOL = 0.1
"""Temperature from which on the cap of a limited class is adjusted: above it, the value says little about the cap."""


@dataclass(frozen=True)
class Effort:
    """How long to search: evaluations with one metric, how many metrics, evaluations with them, and the temperatures.

    Temperatures are relative to the floor expected; ``split`` are those of the ascent with several metrics, where a
    hot beginning pays.  ``finalists = 2`` takes the start with a cap and the one without that far, at twice the cost.
    """

    single: int = 800
    metrics: int = 4
    several: int = 1000
    stages: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01)
    split: tuple[float, ...] = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
    finalists: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.single, self.metrics, self.finalists)
        if min(counts) < 1 or self.several < 0 or not self.stages or not self.split:
            raise ValueError(
                "an effort needs single, metrics and finalists >= 1, several >= 0 and some stages, found "
                f"{counts}, {self.several}, {self.stages}, {self.split}"
            )
        if not all(0 < temperature < math.inf for temperature in (*self.stages, *self.split)):
            raise ValueError(f"temperatures must be positive numbers, found {self.stages} and {self.split}")


@dataclass(frozen=True)
class Found:
    """A certificate: its sound value, metrics with shift, and cap, and the evaluations spent."""

    value: float
    point: Point
    cap: float
    evaluations: int


def search(dual: Dual, guesses: list[Array], gap: float, effort: Effort, watch: Watch | None = None) -> Found:
    """The best certificate found within ``effort``; ``gap`` (nats) sets the units of the temperatures.

    The best start without a cap and the best with one are both taken through the stages, with half of the evaluations
    each; the better is split, or both.  A cap that only draws level with none is not worth its split: it leaves the
    ascent with several metrics less to gain, and often stops it early.  Then the other start is split with what is
    left of the evaluations.
    """
    trials = [_attempt(start, gap, watch) for start in _starts(dual, guesses, gap)]
    for trial in trials:
        trial.run(effort.stages, effort.single // len(trials))
    ranked = sorted(trials, key=_promise, reverse=True)
    if effort.metrics > 1 and effort.several > 0:
        left = effort.finalists * effort.several
        for trial in ranked:
            if left < ENOUGH * effort.several:
                break
            before = trial.climb.evaluations
            trial.point = Point(_split(dual, trial.point.metrics[0], effort), trial.point.shift)
            trial.run(effort.split, min(left, effort.several))
            left -= trial.climb.evaluations - before
    spent = sum(trial.climb.evaluations for trial in trials)
    found = max(trials, key=lambda trial: trial.climb.value).climb
    return Found(sound_value(found.dual, found.best), found.best, found.dual.cap, spent)


def _promise(trial: Attempt) -> float:
    """The value, with an advantage where there is no cap."""
    value = trial.climb.value
    return value + (LEAD * abs(value) if trial.climb.dual.cap == math.inf else 0.0)


@dataclass
class Attempt:
    """An ascent with its current point; the cap is chosen anew after a stage."""

    climb: Climb
    point: Point
    limited: bool

    def run(self, temperatures: Sequence[float], evaluations: int) -> None:
        """Go through the stages; what one leaves of its equal share of the evaluations, those after it share."""
        stop = self.climb.evaluations + evaluations
        for number, temperature in enumerate(temperatures):
            share = (stop - self.climb.evaluations) // (len(temperatures) - number)
            self.point = self.climb.run(self.point, [temperature], max(1, share))
            if self.climb.dual.cap < math.inf and (temperature <= COOL or not self.limited):
                self._rescale()

    def _rescale(self) -> None:
        """The best of a few multiples of the cap in force."""
        duals = [replace(self.climb.dual, cap=self.climb.dual.cap * factor) for factor in RESCALED]
        values = [_finite(dual(self.climb.best).value) for dual in duals]
        best = int(np.argmax(values))
        self.climb.dual, self.climb.value = duals[best], values[best]


def _attempt(start: tuple[float, Dual, Metric], gap: float, watch: Watch | None) -> Attempt:
    """An ascent from a start; without limits the floor within reach is the start's, not the one expected."""
    value, dual, metric = start
    limited, point = _limited(dual), dual.start(metric)
    scale = gap if limited else min(gap, max(REACH * value, LEAST_REACH * gap))
    return Attempt(Climb(dual, scale, point, value, watch), point, limited)


def expected_gap(dual: Dual, weights: Array) -> float:
    """Half the tail energy in the unigram metric, the second-order prediction of the floor, nats; never quite 0."""
    xp = namespace(weights)
    unigram = Metric(0 * dual.log_p, xp.log(weights), xp.log(xp.sum(dual.box.w, axis=0)))
    sigma = np.linalg.svd(to_numpy(dual.scaled(unigram)), compute_uv=False)
    return max(float(np.sum(sigma[dual.dim :] ** 2)) / 2, 1e-12)


def _limited(dual: Dual) -> bool:
    """Whether the log errors of the class are bounded below."""
    xp = namespace(dual.box.low)
    return bool(xp.all(xp.isfinite(dual.box.low)))


def _starts(dual: Dual, guesses: list[Array], gap: float) -> list[tuple[float, Dual, Metric]]:
    """The start of the largest value without a cap, where the class is limited, and the one with a cap.

    With a cap the quadratics are valid until an entry costs as much as the cap.
    """
    mean = gap / dual.width
    groups = [[(dual, anchored(guess, dual.box)) for guess in guesses]] if _limited(dual) else []
    groups.append([])
    least = min(float(namespace(dual.box.w).min(dual.box.w)) / 2, 4 * mean)
    for cap in [LIMITED_CAP * mean] if _limited(dual) else np.geomspace(least, 4 * mean, CAPS).tolist():
        box = reached(dual.box, cap)
        groups[-1] += [(replace(dual, cap=cap), anchored(guess, box)) for guess in guesses]
    valued = [[(_finite(d(d.start(metric)).value), d, metric) for d, metric in group] for group in groups]
    return [max(group, key=lambda entry: entry[0]) for group in valued]


def _finite(value: float) -> float:
    """The value, not-a-number last."""
    return value if math.isfinite(value) else -math.inf


def _split(dual: Dual, metric: Metric, effort: Effort) -> tuple[Metric, ...]:
    """Metrics whose weights add up to about a mean of the weights of the table and of the one metric given.

    Rank-one weights cannot follow ``w``; K of them can come closer.  ``sqrt(w omega)`` is factorised into K
    non-negative terms (``nonnegative_factors``), each with the target of the metric given.
    """
    xp = namespace(metric.z)
    logs = (xp.log(dual.box.w) + metric.log_r[:, None] + metric.log_s[None, :]) / 2
    top = float(xp.max(logs))
    R, S = nonnegative_factors(xp.exp(logs - top), effort.metrics, effort.seed)
    level = float(xp.mean(metric.log_r[:, None] + metric.log_s[None, :] - xp.log(R @ S)))
    R, S = R + LEAST_SHARE * xp.mean(R, axis=0), S + LEAST_SHARE * xp.mean(S, axis=1, keepdims=True)
    return tuple(Metric(metric.z, xp.log(R[:, k]) + level, xp.log(S[k, :])) for k in range(effort.metrics))
