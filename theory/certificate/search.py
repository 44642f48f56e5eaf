"""The search for a certificate: starts, ascent with one metric, then with several, and for unlimited heads the cap.

Two metrics that start equal stay equal, so the split into several starts from a non-negative factorisation; the ascent
then goes back to a warmer stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from synth._array import Array, namespace, to_numpy
from theory.certificate.ascent import Climb, Watch
from theory.certificate.dual import Dual, Metric
from theory.certificate.factors import nonnegative_factors
from theory.certificate.sound import sound_value
from theory.certificate.starts import anchored, reached

LEAST_SHARE = 1e-3
"""No factor starts below this share of its mean."""

REACH = 3.0
"""How far above its start the certificate of an unlimited class is expected to come, as a factor."""

CAPS = 5
"""Caps tried for an unlimited class, from half the least weight to four times the mean tail of the floor expected."""

RESCALED = (0.6, 1.0, 1.5)
"""Factors tried on the cap after an ascent at a fixed one."""


@dataclass(frozen=True)
class Effort:
    """How long to search: evaluations with one metric, how many metrics, evaluations with them, and the temperatures.

    Temperatures are relative to the floor expected; ``split`` are those of the ascent with several metrics.
    """

    single: int = 400
    metrics: int = 4
    several: int = 600
    stages: tuple[float, ...] = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
    split: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.single < 1 or self.metrics < 1 or self.several < 0 or not self.stages or not self.split:
            raise ValueError(
                "an effort needs single >= 1, metrics >= 1, several >= 0 and some stages, found "
                f"{self.single}, {self.metrics}, {self.several}, {self.stages}, {self.split}"
            )
        if not all(0 < temperature < math.inf for temperature in (*self.stages, *self.split)):
            raise ValueError(f"temperatures must be positive numbers, found {self.stages} and {self.split}")


@dataclass(frozen=True)
class Found:
    """A certificate: its sound value, metrics and cap, and the evaluations spent."""

    value: float
    metrics: list[Metric]
    cap: float
    evaluations: int


def search(dual: Dual, guesses: list[Array], gap: float, effort: Effort, watch: Watch | None = None) -> Found:
    """The best certificate found within ``effort``; ``gap`` (nats) sets the units of the temperatures."""
    limited = bool(namespace(dual.box.low).all(namespace(dual.box.low).isfinite(dual.box.low)))
    dual, metric = _best_limited(dual, guesses) if limited else _best_capped(dual, guesses, gap)
    if not limited:  # the floor within reach is the start's, not the one expected
        gap = min(gap, max(REACH * dual([metric]).value, 1e-3 * gap))
    climb = Climb(dual, gap, watch)
    last = climb.run([metric], effort.stages, effort.single)
    if effort.metrics > 1 and effort.several > 0:
        if not limited:
            dual = replace(dual, cap=_rescaled(dual, climb.best))
            climb = replace(climb, dual=dual)
        climb.run(_split(dual, last[0], effort), effort.split, effort.several)
    if not limited:
        dual = replace(dual, cap=_rescaled(dual, climb.best))
    return Found(sound_value(dual, climb.best), climb.best, dual.cap, climb.evaluations)


def expected_gap(dual: Dual, weights: Array) -> float:
    """Half the tail energy in the unigram metric, the second-order prediction of the floor, nats; never quite 0."""
    xp = namespace(weights)
    unigram = Metric(0 * dual.log_p, xp.log(weights), xp.log(xp.sum(dual.box.w, axis=0)))
    sigma = np.linalg.svd(to_numpy(dual.scaled(unigram)), compute_uv=False)
    return max(float(np.sum(sigma[dual.dim :] ** 2)) / 2, 1e-12)


def _best_limited(dual: Dual, guesses: list[Array]) -> tuple[Dual, Metric]:
    """The start of the largest value."""
    starts = [anchored(guess, dual.box) for guess in guesses]
    return dual, max(starts, key=lambda metric: _rank_of(dual([metric]).value))


def _best_capped(dual: Dual, guesses: list[Array], gap: float) -> tuple[Dual, Metric]:
    """The start and the cap of the largest value, the quadratics valid until an entry costs as much as the cap."""
    low, high = float(namespace(dual.box.w).min(dual.box.w)) / 2, 4 * gap / dual.width
    best = (-math.inf, dual, anchored(guesses[0], reached(dual.box, high)))
    for cap in np.geomspace(min(low, high), high, CAPS):
        for guess in guesses:
            trial, metric = replace(dual, cap=float(cap)), anchored(guess, reached(dual.box, float(cap)))
            value = _rank_of(trial([metric]).value)
            best = max(best, (value, trial, metric), key=lambda entry: entry[0])
    return best[1], best[2]


def _rescaled(dual: Dual, metrics: list[Metric]) -> float:
    """The best of a few multiples of the cap in force."""
    caps = [dual.cap * factor for factor in RESCALED]
    return max(caps, key=lambda cap: _rank_of(replace(dual, cap=cap)(metrics).value))


def _rank_of(value: float) -> float:
    """The value, not-a-number last."""
    return value if math.isfinite(value) else -math.inf


def _split(dual: Dual, metric: Metric, effort: Effort) -> list[Metric]:
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
    return [Metric(metric.z, xp.log(R[:, k]) + level, xp.log(S[k, :])) for k in range(effort.metrics)]
