"""Heads of growing rank on a model's frozen features: predicted without training, trained, and truncated.

For each rank, on a sample of N contexts, the target being the model's own laws ("soft") or the next tokens ("hard"):

- ``raw``, ``whitened``, ``unigram``, ``information``: the head truncated in these metrics (``theory.frozen.metrics``);
- ``predicted``: the witness of the prediction, a truncation and a few secant steps;
- ``trained``: ``experiments.heads.frozen`` from the lowest of the truncation, the fit of the rank below, ``predicted``;
- ``literal``: the recipe of the paper on a small budget.

All are scored on the sample and on contexts held out.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.heads import FitStatus, Options
from experiments.heads.frozen import FrozenFit, Labels, fit_frozen
from experiments.lm.ranks.contexts import Contexts, Material
from experiments.lm.ranks.literal import train_literally
from experiments.lm.ranks.score import scores
from experiments.lm.ranks.store import SweepFolder
from synth import ContextualDistribution
from synth.table import DenseTable
from theory.frozen import (
    METRICS,
    Effort,
    FrozenHead,
    FrozenPoint,
    FrozenProblem,
    HeldOut,
    Passes,
    predict_points,
)  # fmt: skip
from theory.spectrum import w_error

SHARE = 5
"""One part in so many of this machine's memory, for a table between passes and for the solver's own workspace.

Three such parts at most are held at once: the laws, the secant weights or the workspace, and what passes through.
"""

LEAST_MEMORY = 2**31
"""Bytes of such a part at least, and where the system does not say how much memory there is."""


@dataclass(frozen=True)
class Work:
    """What to fit to and how hard: see ``RanksConfig``, whose fields these are."""

    target: str = "soft"
    ridge: float = 0.0
    bias: bool = True
    tolerance: float = 1e-4
    evaluations: int = 150
    folds: int = 5
    draws: int = 4
    floor: bool = False
    literal_steps: int = 0
    seed: int = 0

    @property
    def options(self) -> Options:
        """Of the solver."""
        return Options(tolerance=self.tolerance, max_evaluations=self.evaluations, memory=memory())

    def effort(self, window: int) -> Effort:
        """Of the prediction, from contexts in windows of this length."""
        return Effort(folds=self.folds, draws=self.draws, run=window, floor=self.floor, seed=self.seed)


def full_head(material: Material, bias: bool = True) -> FrozenHead:
    """The full head as a ``FrozenHead``; with ``bias`` it has one, zeros where the model has none."""
    W = material.W.astype(np.float64)
    b = material.b if material.b is not None else np.zeros(len(W)) if bias else None
    return FrozenHead(W, np.eye(W.shape[1]), None if b is None else b.astype(np.float64))


def problem_of(material: Material, contexts: Contexts, bias: bool = True) -> FrozenProblem:
    """The full head above these contexts; its laws are the target."""
    full = full_head(material, bias)
    return FrozenProblem.of(contexts.X.astype(np.float64), full.A, full.b, passes=Passes("float32", memory() // 4))


def memory() -> int:
    """Bytes for one large table: a fifth of what this machine has, ``LEAST_MEMORY`` at least."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        whole = 0
    return max(LEAST_MEMORY, whole // SHARE)


def sweep(material: Material, contexts: int, ranks: Sequence[int], work: Work, folder: SweepFolder) -> None:
    """Every rank not done yet on the first ``contexts`` rows, each recorded as soon as it is finished."""
    left = [rank for rank in ranks if not folder.has(contexts, rank)]
    if not left:
        return
    trial = Trial(material, material.fitted.first(contexts), work)
    for curve, heads in trial.ranks(left):
        folder.record(curve, heads)


class Trial:
    """One sample of contexts: its problem, its target, and the fit of the rank below."""

    def __init__(self, material: Material, sample: Contexts, work: Work) -> None:
        self.material, self.sample, self.work = material, sample, work
        self.problem = problem_of(material, sample, work.bias)
        self.below: FrozenFit | None = None
        self.spectra = {name: metric(self.problem) for name, metric in METRICS.items()}

    def ranks(self, ranks: Sequence[int]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """For each rank, its line of the curve and the lines of its heads."""
        began = time.perf_counter()
        for point in predict_points(self.problem, ranks, self.work.effort(self.sample.window)):
            seconds = time.perf_counter() - began
            fit = self.trained(point)
            heads = self.heads(point, fit)
            lines = self.head_lines(point.rank, heads)
            trained = next(line for line in lines if line["head"] == "trained")
            yield self.curve_line(point, fit, trained) | {"predict_seconds": seconds}, lines
            began = time.perf_counter()

    def trained(self, point: FrozenPoint) -> FrozenFit:
        """The solver's head, from the lowest start."""
        full = full_head(self.material, self.work.bias)
        starts = [_as_fit(full), _as_fit(point.witness), *([self.below] if self.below is not None else [])]
        target: Any = Labels(self.sample.y, self.problem.vocab, self.work.ridge)
        if self.work.target == "soft":
            weights = np.full(len(self.sample), 1 / len(self.sample), dtype=np.float32)
            target = ContextualDistribution(DenseTable(self.problem.table()), weights)
        self.below = fit_frozen(self.problem.X, target, point.rank, self.work.bias, self.work.options, starts)
        return self.below

    def heads(self, point: FrozenPoint, fit: FrozenFit) -> dict[str, FrozenHead]:
        """Every head of one rank by name."""
        heads = {name: metric.truncation(point.rank) for name, metric in self.spectra.items()}
        heads |= {"predicted": point.witness, "trained": FrozenHead(fit.A, fit.B, fit.b)}
        if self.work.literal_steps:
            run = train_literally(self.sample, self.problem.vocab, point.rank, self.work.literal_steps, self.work.seed)
            heads["literal"] = run.head
        return heads

    def head_lines(self, rank: int, heads: dict[str, FrozenHead]) -> list[dict[str, Any]]:
        """One line per head, scored in the sample and outside."""
        full = full_head(self.material, self.work.bias)
        inside, outside = (scores(heads, full, part) for part in (self.sample, self.material.held_out))
        lines = []
        for name in outside:
            line: dict[str, Any] = {"contexts": len(self.sample), "rank": rank, "head": name}
            line |= {f"in_{key}": value for key, value in asdict(inside[name]).items()}
            lines.append(line | {f"out_{key}": value for key, value in asdict(outside[name]).items()})
        return lines

    def curve_line(self, point: FrozenPoint, fit: FrozenFit, scored: dict[str, Any]) -> dict[str, Any]:
        """What was predicted and what was trained, in nats per token above the full head.

        ``trained`` is the divergence from the full head in the sample: for soft targets the fit's own gap, in float64.
        """
        trained = fit.gap if self.work.target == "soft" else scored["in_kl"]
        line: dict[str, Any] = {"contexts": len(self.sample), "rank": point.rank, "trained": trained}
        names = ("predicted", "low", "upper", "lower", "curvature", "half_tail", "clustered", "passes")
        line |= {name: getattr(point, name) for name in names}
        line |= {f"werror_{name}": float(w_error(metric.sigma)[point.rank]) for name, metric in self.spectra.items()}
        line |= {"half_tail_unigram": self.spectra["unigram"].tail(point.rank) / 2}
        line |= _held_out(point.held_out)
        line |= {
            "status": fit.status.name.lower(),
            "start": fit.start,
            "metric": fit.metric,
            "objective": fit.objective,
        }
        numbers = ("certified_excess", "decrement", "trend", "evaluations", "seconds")
        return line | {name: _plain(getattr(fit, name)) for name in numbers}


def _as_fit(head: FrozenHead) -> FrozenFit:
    """A known head as a start."""
    factors = head.rank, head.A, head.B, head.b
    return FrozenFit(*factors, gap=math.nan, loss=math.nan, status=FitStatus.LIMIT, start="given")


def _held_out(found: HeldOut | None) -> dict[str, float | None]:
    names = ("predicted", "low", "high")
    line: dict[str, float | None] = {f"out_{name}": None if found is None else getattr(found, name) for name in names}
    for name in ("split", "optimism"):
        estimate = None if found is None else getattr(found, name)
        line |= {f"out_{name}": None if estimate is None else estimate.value}
        line |= {f"out_{name}_stderr": None if estimate is None else estimate.error}
    return line


def _plain(value: float) -> float | None:
    """NaN as nothing."""
    return None if math.isnan(value) else float(value)
