"""The curve of a limited class: in each dimension a fit inside it, and a certificate that none is far below."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from experiments.config import Solver
from experiments.heads import Fit, Options, fit_limited
from experiments.heads.lbfgs import Trace
from experiments.store import RunFolder
from synth import ContextualDistribution
from theory import HeadSpec, sandwich
from theory.certificate import Effort, certify


@dataclass(frozen=True)
class Limits:
    """The class ``q >= e^-M p``, and how hard its fits and certificates are sought."""

    max_underestimate: float
    options: Options
    effort: Effort

    def of(self, spec: HeadSpec) -> HeadSpec:
        """The class of this dimension.  ``ValueError`` where M is not a positive number."""
        return replace(spec, max_underestimate=self.max_underestimate)


def effort_of(solver: Solver) -> Effort:
    """The effort for certificates that a config names.  ``ValueError`` for counts below 1."""
    evaluations, metrics = solver.certificate_evaluations, solver.certificate_metrics
    if min(evaluations, metrics) < 1:
        raise ValueError(
            f"certificate_evaluations and certificate_metrics must be >= 1, found {evaluations} and {metrics}"
        )
    return Effort(single=evaluations, metrics=metrics, several=evaluations if metrics > 1 else 0)


def limited_curve(
    distribution: ContextualDistribution,
    fits: Sequence[Fit],
    limits: Limits,
    folder: RunFolder,
    watch: Callable[[int, Trace], None] | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """For fits of increasing dimension: the dimension, and what ``floor.record`` has no columns for, as it is done.

    Fits and certificates that ``folder`` holds are taken from there, others are kept in it.
    """
    below: Fit | None = None
    for fitted in fits:
        spec = limits.of(fitted.spec)
        inside = folder.load(spec)
        if inside is None:
            follow = None if watch is None else partial(watch, spec.dim)
            inside = fit_limited(distribution, spec, fitted, below, limits.options, follow)
            if inside is not None:
                folder.save(inside)
        yield spec.dim, _line(distribution, fitted, inside, spec, limits.effort, folder)
        below = inside or below


def _line(
    distribution: ContextualDistribution,
    fitted: Fit,
    inside: Fit | None,
    spec: HeadSpec,
    effort: Effort,
    folder: RunFolder,
) -> dict[str, Any]:
    """The columns of the class: gaps and bounds in nats per token."""
    began = time.perf_counter()
    bound = folder.load_certificate(spec, effort)
    if bound is None:
        bound = certify(distribution, spec, (inside or fitted).head, effort)
        folder.save_certificate(spec, effort, bound)
    seconds = time.perf_counter() - began
    law = sandwich(distribution, spec, inside, also=[bound])
    return {
        "limit": spec.max_underestimate,
        "underestimate": fitted.head.underestimate(distribution),
        "limited_gap": None if inside is None else inside.gap,
        "limited_status": "none found" if inside is None else str(inside.status),
        "limited_start": None if inside is None else inside.start,
        "limited_evaluations": None if inside is None else inside.evaluations,
        "limited_seconds": None if inside is None else inside.seconds,
        "limited_lower": law.lower.value,
        "limited_lower_name": law.lower.name,
        "limited_ratio": None if inside is None else law.ratio,
        "limited_optimal": law.globally_optimal,
        "limited_holds": law.holds,
        "certificate_seconds": seconds,
    }
