"""A fit between what is proved below and what is proved above."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from synth import ContextualDistribution
from theory.bound import Bound, Side, Status, catalogue
from theory.head import Head, HeadSpec

EPS = 2.0**-52


OPTIMAL = 1e-3
"""Relative distance of a fit from the best lower bound below which it is called globally optimal."""


class FitLike(Protocol):
    """What a sandwich needs of a fit: the head, and its gap, nats per token above the entropy."""

    @property
    def gap(self) -> float:
        """Excess cross-entropy of the fitted head."""
        ...

    @property
    def head(self) -> Head:
        """The fitted head."""
        ...


@dataclass(frozen=True, eq=False)
class Sandwich:
    """The best lower and upper bound on one floor, all bounds behind them, and the gap of a fit if one was given.

    ``exact`` is set where the floor is known exactly.  ``slack`` is the rounding allowed in comparisons.  ``in_class``
    says whether the fitted head is a member of the class (a fit does not respect limits by itself).
    """

    lower: Bound
    upper: Bound
    exact: Bound | None
    bounds: tuple[Bound, ...]
    fit_gap: float | None
    slack: float
    in_class: bool = True

    @property
    def reached(self) -> float:
        """The gap that ``ratio`` judges: the fit's, or without one the upper bound."""
        return self.upper.value if self.fit_gap is None else self.fit_gap

    @property
    def ratio(self) -> float:
        """``reached / lower``: 1 proves optimality; +inf when only 0 is proved below, 1 when both are 0."""
        if self.lower.value > self.slack:
            return self.reached / self.lower.value
        return 1.0 if self.reached <= self.slack else math.inf

    @property
    def globally_optimal(self) -> bool:
        """Whether a fit of the class is proved to be within ``OPTIMAL`` of the floor, relatively (or at 0)."""
        return self.fit_gap is not None and self.in_class and self.ratio <= 1 + OPTIMAL

    @property
    def holds(self) -> bool:
        """The law: every lower bound is at most every upper bound and at most a fit of the class, up to rounding."""
        binding = _binding(self.bounds)
        below = max((bound.value for bound in binding if bound.side.is_lower), default=0.0)
        above = min((bound.value for bound in binding if bound.side.is_upper), default=math.inf)
        return below <= min(above, self.reached if self.in_class else math.inf) + self.slack

    def __str__(self) -> str:
        fit = "" if self.fit_gap is None else f" <= fit {self.fit_gap:.6g}"
        above = f"; upper {self.upper.value:.6g} ({self.upper.name})"
        verdict = "; globally optimal in its class" if self.globally_optimal else ""
        return f"lower {self.lower.value:.6g} ({self.lower.name}){fit}{above}; ratio {self.ratio:.4g}{verdict}"


def sandwich(
    distribution: ContextualDistribution, spec: HeadSpec, fit: FitLike | None = None, also: Sequence[Bound] = ()
) -> Sandwich:
    """Every bound of the catalogue on the floor of ``distribution`` for ``spec``, the best on each side, and a fit.

    ``also`` are further bounds on the same floor, such as a certificate that ``theory.certificate`` took more pains
    over.  Asymptotic predictions are listed among ``bounds`` but bind neither side.
    """
    bounds = (*(entry(distribution, spec) for entry in catalogue), *also)
    binding = _binding(bounds)
    below = [bound for bound in binding if bound.side.is_lower]
    above = [bound for bound in binding if bound.side.is_upper]
    exact = next((bound for bound in binding if bound.side is Side.EXACT), None)
    nothing = Bound(0.0, "divergence is non-negative", Side.LOWER, Status.VACUOUS)
    anything = Bound(math.inf, "no bound applies", Side.UPPER, Status.VACUOUS)
    gap = None if fit is None else float(fit.gap)
    scale = max(1.0, distribution.entropy, gap if gap is not None and math.isfinite(gap) else 0.0)
    return Sandwich(
        lower=max([nothing, *below], key=lambda bound: bound.value) if exact is None else exact,
        upper=min([*above, anything], key=lambda bound: bound.value) if exact is None else exact,
        exact=exact,
        bounds=bounds,
        fit_gap=gap,
        slack=64 * EPS * scale * math.sqrt(distribution.contexts * distribution.vocab),
        in_class=fit is None or spec.is_unbounded or fit.head.belongs_to(spec, distribution),
    )


def _binding(bounds: tuple[Bound, ...]) -> list[Bound]:
    return [bound for bound in bounds if bound.applies and bound.side is not Side.ASYMPTOTIC]
