"""Does a training curve rise again?  Trend tests whose answer is not an artefact of having picked the best checkpoint.

Setting: losses ``x_1 ... x_n`` (nats per token, or any measure for which less is better) at checkpoints in the order of
training, ``x_k = f_k + e_k`` with noise e that is exchangeable.  The null says that f never rises.

**Winner's curse.**  The best of n noisy values lies below its own expectation, so "final minus best" is positive even
for a flat curve.  Three controls, from the mildest to the strictest:

* *windows*: best and final are means of ``width`` neighbouring checkpoints, ``T = m_last - min_k m_k``;
* *held out*: every other checkpoint chooses the place of the best, its two neighbours, which had no say, tell the loss
  there.  The estimate is unbiased for ``f_n - (f_{k-1} + f_{k+1})/2`` when noise is independent;
* *null law of T*: simulated for the flat curve, which is least favourable.  For if f never rises, the window means
  ``F_k`` of f satisfy ``F_k >= F_last``, and so ``T = m_last - min_k m_k <= E_last - min_k E_k`` with E the window
  means of the noise alone: the flat curve's T.  Hence a p-value for the flat curve holds for every falling curve.

The size of the noise enters in two ways.  *Item noise* is the standard error a test set of finite size leaves; it is
given, and overstated here, since all checkpoints answer the same items.  *Scatter* is what successive checkpoints of
one run do to the loss, estimated by second differences, ``scatter^2 = mean (x_{k-1} - 2 x_k + x_{k+1})^2 / 6``, in
which any locally linear course cancels.  ``T / scatter`` is pivotal for Gaussian noise: neither location nor size of
the noise is left in its null law.  (Curvature of f adds ``mean (second difference of f)^2 / 6`` to the expected
``scatter^2``, so falling curves stay below the flat one on average; this part is no theorem, the tests measure it.)

**Mann-Kendall** (Mann 1945, Kendall's tau against time) is the other test: exact for any exchangeable noise, blind to
sizes, unchanged by increasing transforms of the loss.  It holds for falling f too: each pair only loses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

import numpy as np

from synth._check import integer

Numbers = Sequence[float] | np.ndarray

DRAWS = 20_000
"""Simulated flat curves behind a p-value: its standard error is below 0.0036 everywhere, 0.0015 at 0.05."""


class Finding(Enum):
    """What a training curve did in the end; ``explanation`` says it in words."""

    RISES = "late rise"
    SCATTER = "within scatter"
    NO_RISE = "no late rise"
    TOO_SHORT = "too short"

    @property
    def explanation(self) -> str:
        """One sentence."""
        return {
            Finding.RISES: "the final window is worse than the best by more than picking the best explains, "
            "whether noise is that of the test set or the scatter of checkpoints",
            Finding.SCATTER: "the final window is worse than the best by more than the test set's noise explains, "
            "but not by more than checkpoints of this run scatter",
            Finding.NO_RISE: "the final window is not worse than the best by more than picking the best explains",
            Finding.TOO_SHORT: "too few checkpoints in the tested part to tell",
        }[self]


@dataclass(frozen=True)
class Rule:
    """How curves are judged: window ``width``, tested part, and level.

    The tested part begins at the fraction ``start`` of training (the steep descent before says nothing), the trend
    test's at ``late``.  ``alpha`` is the level of each test of one curve.
    """

    width: int = 3
    start: float = 0.25
    late: float = 0.5
    alpha: float = 0.05

    def __post_init__(self) -> None:
        integer("width", self.width, 1)
        for name in ("start", "late", "alpha"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), found {getattr(self, name)!r}; choose a fraction")


@dataclass(frozen=True)
class Trend:
    """Mann-Kendall: ``tau`` in [-1, 1], one-sided ``p_value`` for a rise, number of ``checkpoints``."""

    tau: float
    p_value: float
    checkpoints: int


@dataclass(frozen=True)
class Saturation:
    """The judgement of one curve; losses in the units given.

    ``best`` and ``final`` are window means, ``best_time`` the time of the best window's middle; ``rise`` is their
    difference T, ``held_out`` the rise estimated without selection, ``detectable`` the smallest rise that would
    have been found.  ``p_items`` and ``p_scatter`` are p-values of T under either noise, ``p_error`` the larger of
    their Monte-Carlo standard errors.  All are nan for curves that are too short.
    """

    finding: Finding
    best: float
    best_time: float
    final: float
    rise: float
    detectable: float
    held_out: float
    item_noise: float
    scatter: float
    p_items: float
    p_scatter: float
    p_error: float
    trend: Trend


def mann_kendall(losses: Numbers) -> Trend:
    """Mann-Kendall test of a rise over losses (n,) in the order of training.

    One-sided p-value of Kendall's tau against time: exact without ties up to 33 checkpoints, otherwise the normal
    approximation with the variance corrected for ties.  O(n^2).  A constant curve has tau 0 and p-value 1.
    """
    from scipy.stats import kendalltau

    x = _losses(losses, 2)
    if np.all(x == x[0]):
        return Trend(0.0, 1.0, len(x))
    exact = len(set(x.tolist())) == len(x) <= 33
    found = kendalltau(np.arange(len(x)), x, method="exact" if exact else "asymptotic", alternative="greater")
    return Trend(float(found.statistic), float(found.pvalue), len(x))


def window_means(losses: Numbers, width: int) -> np.ndarray:
    """Means of ``width`` neighbouring losses along the last axis, shape (..., n - width + 1)."""
    x = np.asarray(losses, dtype=np.float64)
    return np.lib.stride_tricks.sliding_window_view(x, width, axis=-1).mean(axis=-1)


def window_rise(losses: Numbers, width: int = 3) -> np.ndarray:
    """``T = m_last - min_k m_k`` along the last axis: at least 0, and positive for flat curves too."""
    means = window_means(losses, width)
    return means[..., -1] - means.min(axis=-1)


def held_out_rise(losses: Numbers) -> float:
    """Rise of the last loss above the best place, which is chosen by checkpoints other than those that are read.

    Checkpoints n-1, n-3, ... choose; the two neighbours of the lowest of them are read.  Unbiased for independent
    noise.  Raises ``ValueError`` for fewer than four checkpoints.
    """
    x = _losses(losses, 4)
    choosing = np.arange(len(x) - 2, 0, -2)
    best = choosing[np.argmin(x[choosing])]
    return float(x[-1] - (x[best - 1] + x[best + 1]) / 2)


def checkpoint_scatter(losses: Numbers) -> np.ndarray:
    """Standard deviation of the noise from second differences along the last axis; needs three checkpoints.

    ``Var(e_{k-1} - 2 e_k + e_{k+1}) = 6 sigma^2`` for independent noise; curvature of f and jumps add to it.
    """
    x = np.asarray(losses, dtype=np.float64)
    return np.sqrt(np.mean(np.diff(x, 2, axis=-1) ** 2, axis=-1) / 6)


def saturation(
    times: Numbers,
    losses: Numbers,
    errors: Numbers | None = None,
    rule: Rule | None = None,
) -> Saturation:
    """Judge one training curve: losses (n,) at increasing times (n,), with standard errors (n,) or none.

    ``RISES`` needs the rise T to exceed what the flat curve gives at level ``alpha`` with the larger of both noises, in
    its studentised law; ``SCATTER`` only with the item noise.  Without ``errors`` the item noise is 0 and never
    decides.  The trend test is reported beside and does not enter the finding.

    Raises ``ValueError`` for unequal lengths, times that do not increase, losses or errors that are not finite.
    """
    rule = rule or Rule()
    x, t = _losses(losses, 1), np.asarray(times, dtype=np.float64)
    e = np.zeros(len(x)) if errors is None else _losses(errors, 1)
    if not len(t) == len(x) == len(e):
        raise ValueError(f"{len(t)} times, {len(x)} losses, {len(e)} errors; one of each per checkpoint is needed")
    if np.any(np.diff(t) <= 0) or not np.all(np.isfinite(t)):
        raise ValueError("times must be finite and increase; sort the checkpoints and drop duplicates")
    tested, late = t >= rule.start * t[-1], t >= rule.late * t[-1]
    trend = mann_kendall(x[late]) if late.sum() >= 2 else Trend(math.nan, math.nan, int(late.sum()))
    t, x, e = t[tested], x[tested], e[tested]
    if len(x) < max(rule.width + 2, 4):
        return _too_short(trend)
    means, rise = window_means(x, rule.width), float(window_rise(x, rule.width))
    items, scatter = float(np.sqrt(np.mean(e * e))), float(checkpoint_scatter(x))
    p_items = rise_p_value(rise, items, len(x), rule.width, studentised=False) if items > 0 else math.nan
    noise = max(items, scatter)
    p_scatter = rise_p_value(rise, noise, len(x), rule.width, studentised=True)
    detectable = noise * float(np.quantile(_flat_curves(len(x), rule.width, True), 1 - rule.alpha))
    finding = Finding.RISES if p_scatter <= rule.alpha else Finding.NO_RISE
    if finding is Finding.NO_RISE and p_items <= rule.alpha:
        finding = Finding.SCATTER
    best = int(np.argmin(means))
    error = max(math.sqrt(p * (1 - p) / DRAWS) for p in (p_scatter, 0.0 if math.isnan(p_items) else p_items))
    middle = float(window_means(t, rule.width)[best])
    return Saturation(
        finding, float(means[best]), middle, float(means[-1]), rise, detectable, held_out_rise(x), items, scatter,
        p_items, p_scatter, error, trend,
    )  # fmt: skip


def rise_p_value(rise: float, noise: float, checkpoints: int, width: int = 3, *, studentised: bool) -> float:
    """Probability that a flat curve with Gaussian noise shows a rise T of at least ``rise``.

    ``noise`` is the known standard deviation, or (``studentised``) its estimate by :func:`checkpoint_scatter`, whose
    own error then widens the null law.  Simulated with a fixed seed; (1 + hits) / (1 + draws), never 0.  Without noise
    any rise is certain (smallest p-value) and no rise has p-value 1.
    """
    if noise == 0:
        return 1.0 if rise <= 0 else 1 / (1 + DRAWS)
    null = _flat_curves(checkpoints, width, studentised)
    hits = len(null) - int(np.searchsorted(null, rise / noise, side="left"))
    return (1 + hits) / (1 + DRAWS)


@cache
def _flat_curves(checkpoints: int, width: int, studentised: bool) -> np.ndarray:
    """Increasing values of T, or T / scatter, for ``DRAWS`` flat curves with unit noise."""
    noise = np.random.default_rng(0).standard_normal((DRAWS, checkpoints))
    rises = window_rise(noise, width)
    return np.sort(rises / checkpoint_scatter(noise) if studentised else rises)


def _too_short(trend: Trend) -> Saturation:
    nan = math.nan
    return Saturation(Finding.TOO_SHORT, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, trend)


def _losses(values: Numbers, least: int) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < least:
        raise ValueError(f"found shape {x.shape}; a one-dimensional run of at least {least} checkpoints is needed")
    if not np.all(np.isfinite(x)):
        raise ValueError(
            f"checkpoint {int(np.argmin(np.isfinite(x)))} is {x[~np.isfinite(x)][0]}; drop it or repair it"
        )
    return x
