"""The curve of a limited class: in each dimension a fit inside it, and a certificate that none is far below."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from experiments.config import Solver
from experiments.heads import Fit, Options, fit_limited
from experiments.heads.lbfgs import Trace
from experiments.heads.solver import refit
from experiments.store import RunFolder
from synth import ContextualDistribution
from theory import Bound, HeadSpec, Sandwich, Side
from theory.bound import Status
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


@dataclass(frozen=True)
class LimitedFit:
    """A fit without limits, one inside the class (``None`` where no head of it was found), and a bound on the class.

    ``seconds``: what the certificate took now.
    """

    fitted: Fit
    inside: Fit | None
    certificate: Bound
    seconds: float
    limit: float


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
) -> Iterator[LimitedFit]:
    """One ``LimitedFit`` for each of the fits of increasing dimension, as it is done.

    Fits and certificates that ``folder`` holds are taken from there, others are kept in it.  Where a head of the class
    is lower than the fit without limits, that goes on from it.
    """
    below: Fit | None = None
    for fitted in fits:
        spec, better = limits.of(fitted.spec), fitted
        follow = None if watch is None else partial(watch, spec.dim)
        inside = folder.load(spec)
        if inside is None:
            inside = fit_limited(distribution, spec, fitted, below, limits.options, follow)
            if inside is not None:
                folder.save(inside)
        if inside is not None and inside.gap < fitted.gap:
            better = refit(distribution, fitted, inside.head, limits.options, follow)
            folder.save(better)
        began = time.perf_counter()
        bound = folder.load_certificate(spec, limits.effort)
        if bound is None:
            bound = certify(distribution, spec, (inside or fitted).head, limits.effort)
            folder.save_certificate(spec, limits.effort, bound)
        yield LimitedFit(better, inside, bound, time.perf_counter() - began, limits.max_underestimate)
        below = inside or below


def carried(found: Sequence[LimitedFit]) -> list[LimitedFit]:
    """The same with the largest certificate of this or any larger dimension: more dimensions reach no less low."""
    best, kept = None, []
    for fit in reversed(found):
        if best is None or fit.certificate.value >= best.certificate.value:
            best = fit
        bound = best.certificate
        named = bound if best is fit else replace(bound, name=f"{bound.name} at d = {best.fitted.dim}")
        kept.append(replace(fit, certificate=named))
    return kept[::-1]


def class_law(law: Sandwich, found: LimitedFit) -> Sandwich:
    """What holds in the class: every lower bound for all heads, the certificate, and the fit inside.

    Upper bounds for all heads say nothing: their witnesses need not lie in the class.
    """
    below = [replace(bound, side=Side.LOWER) for bound in law.bounds if bound.applies and bound.side.is_lower]
    below.append(found.certificate)
    upper = Bound(math.inf, "none of the class", Side.UPPER, Status.VACUOUS)
    gap = None if found.inside is None else found.inside.gap
    lower = max(below, key=lambda bound: bound.value)
    return replace(law, lower=lower, upper=upper, exact=None, bounds=tuple(below), fit_gap=gap, in_class=True)


def limited_record(distribution: ContextualDistribution, law: Sandwich, found: LimitedFit) -> dict[str, Any]:
    """What the class adds to a line of the table: gaps and bounds in nats per token."""
    inside, of_class = found.inside, class_law(law, found)
    return {
        "limit": found.limit,
        "underestimate": found.fitted.head.underestimate(distribution),
        "limited_gap": None if inside is None else inside.gap,
        "limited_status": "none found" if inside is None else str(inside.status),
        "limited_start": None if inside is None else inside.start,
        "limited_evaluations": None if inside is None else inside.evaluations,
        "limited_seconds": None if inside is None else inside.seconds,
        "limited_lower": of_class.lower.value,
        "limited_lower_name": of_class.lower.name,
        "limited_ratio": None if inside is None else of_class.ratio,
        "limited_optimal": of_class.globally_optimal,
        "limited_holds": of_class.holds,
        "certificate_seconds": found.seconds,
    }
