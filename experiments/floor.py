"""The main job: a floor curve.  Fit each dimension, bound it from both sides, write every line as it is done."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import FloorConfig
from experiments.heads import Fit, Options
from experiments.heads.curve import climb, come_down, rungs
from experiments.limited import LimitedFit, Limits, carried, effort_of, limited_curve, limited_record
from experiments.progress import LadderProgress
from experiments.provenance import provenance
from experiments.source import Described, build
from experiments.store import RunFolder
from synth import ContextualDistribution
from synth._array import Array
from theory import HeadSpec, Sandwich, Side, sandwich


@dataclass(frozen=True)
class FloorCurve:
    """A finished run: its folder, the sentence that describes the distribution, and one record per dimension."""

    folder: Path
    sentence: str
    records: list[dict[str, Any]]


def run(config: FloorConfig) -> FloorCurve:
    """Fit and bound every dimension of ``config``; finished dimensions of an earlier, interrupted run are kept.

    Raises ``ValueError`` for bad input before anything is written.  A ``KeyboardInterrupt`` passes through with the
    finished dimensions on disk.
    """
    return curve_of(build(config.source), config, config.folder)


def curve_of(described: Described, config: FloorConfig, place: Path) -> FloorCurve:
    """``run`` for a distribution of your own, written to ``place``; ``config.source`` is not read."""
    distribution = described.distribution.on(_reference(config.solver.array))
    dims = config.heads.dims
    specs = rungs(distribution, dims, config.heads.bias)
    folder = RunFolder(place, distribution.weights)
    options, limits = _options(config), _limits(config, specs)
    folder.describe(_facts(config, described))
    with LadderProgress(config.title, dims if limits is None else [*dims, *dims]) as progress:
        fits: dict[int, Fit] = {}
        laws: dict[int, Sandwich] = {}

        def keep(fit: Fit) -> None:
            fits[fit.dim], laws[fit.dim] = fit, sandwich(distribution, fit.spec, fit=fit)
            folder.record(record(distribution, fit, laws[fit.dim]))

        for fit in climb(distribution, dims, config.heads.bias, options, folder, progress.watch):
            keep(fit)
            progress.done(fit.dim)
        for fit in come_down(distribution, list(fits.values()), options, folder, progress.watch):
            keep(fit)

        def keep_limited(found: LimitedFit) -> None:
            fit, law = found.fitted, laws[found.fitted.dim]
            folder.record(record(distribution, fit, law) | limited_record(distribution, law, found))

        if limits is not None:
            of_class = []
            for found in limited_curve(distribution, list(fits.values()), limits, folder, progress.watch):
                if found.fitted is not fits[found.fitted.dim]:
                    keep(found.fitted)
                keep_limited(found)
                of_class.append(found)
                progress.done(found.fitted.dim)
            for found in carried(of_class):
                keep_limited(found)
    return FloorCurve(place, described.sentence, folder.records())


def record(distribution: ContextualDistribution, fit: Fit, law: Sandwich | None = None) -> dict[str, Any]:
    """One line of the table: the fit, the best bounds on either side, the exact value, all in nats per token.

    ``law`` is the sandwich of the fit, where it is at hand.
    """
    spec = fit.spec
    s = law or sandwich(distribution, spec, fit=fit)
    known = distribution.known_floor(spec)
    exact = known if known is not None else s.exact.value if s.exact is not None else None
    predicted = [bound.value for bound in s.bounds if bound.side is Side.ASYMPTOTIC and math.isfinite(bound.value)]
    return {
        "dim": spec.dim,
        "bias": spec.bias,
        "gap": fit.gap,
        "loss": fit.loss,
        "entropy": distribution.entropy,
        "lower": s.lower.value,
        "lower_name": s.lower.name,
        "upper": s.upper.value,
        "upper_name": s.upper.name,
        "exact": exact,
        "predicted": predicted[0] if predicted else None,
        "holds": s.holds,
        "status": str(fit.status),
        "certified_excess": None if math.isnan(fit.certified_excess) else fit.certified_excess,
        "trend": fit.trend,
        "spread": fit.spread,
        "starts": fit.starts,
        "start": fit.start,
        "metric": fit.metric,
        "evaluations": fit.evaluations,
        "seconds": fit.seconds,
        "contexts": distribution.contexts,
        "vocab": distribution.vocab,
    }


def _options(config: FloorConfig) -> Options:
    solver = config.solver
    return Options(
        tolerance=solver.tolerance,
        max_evaluations=solver.max_evaluations,
        random_starts=solver.random_starts,
        seed=solver.start_seed,
        memory=solver.memory_mb * 2**20,
        chunk_entries=solver.chunk_entries,
    )


def _limits(config: FloorConfig, specs: list[HeadSpec]) -> Limits | None:
    """The limits of the class asked for, checked before anything is written; ``None`` without one."""
    if config.heads.max_underestimate is None:
        return None
    limits = Limits(config.heads.max_underestimate, _options(config), effort_of(config.solver))
    for spec in specs:
        limits.of(spec)
    return limits


def _reference(library: str) -> Array:
    """An array that stands for the chosen library, float64 on the CPU."""
    if library == "torch":
        import torch

        return torch.zeros(1, dtype=torch.float64)
    return np.zeros(1)


def _facts(config: FloorConfig, described: Described) -> dict[str, Any]:
    distribution = described.distribution
    return {
        "sentence": described.sentence,
        "config": dataclasses.asdict(config),
        "contexts": distribution.contexts,
        "vocab": distribution.vocab,
        "entropy": distribution.entropy,
        "known": dict(distribution.known.parameters),
        "provenance": provenance(),
    }
