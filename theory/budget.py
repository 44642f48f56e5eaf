"""Floors as functions of dimension and budget: where rank binds and where range, norm or precision does.

A budget is a dictionary of limits of ``HeadSpec``: ``{"logit_range": 8.0}``, ``{"norm": 16.0, "float_format":
"bfloat16"}``, or ``{}`` for none.  Every cell of the surface is bracketed by the catalogue, which knows what each limit
costs whatever the rank ("range-floor", "precision-floor"), what rank costs whatever the budget (all bounds without
limits), what they cost together ("packing", "fisher-range-lower", "rounded-floor"), and heads that keep both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from synth import ContextualDistribution
from theory.bound import Bound, Side
from theory.head import HeadSpec
from theory.sandwich import Sandwich, sandwich

BLIND_TO_RANK = ("range-floor", "precision-floor")
"""Lower bounds that hold at every dimension."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One point of the surface: the class, its bracket, and the best lower bound of budget alone and of rank.

    ``binds`` names what the proved floor comes from: ``"rank"``, ``"budget"``, or ``"neither"`` where nothing is proved
    above 0.
    """

    spec: HeadSpec
    budget: Mapping[str, Any]
    sandwich: Sandwich
    from_budget: float
    from_rank: float

    @property
    def lower(self) -> Bound:
        """The best lower bound."""
        return self.sandwich.lower

    @property
    def upper(self) -> Bound:
        """The best upper bound."""
        return self.sandwich.upper

    @property
    def binds(self) -> str:
        """What the proved floor comes from."""
        if max(self.from_budget, self.from_rank) <= self.sandwich.slack:
            return "neither"
        return "budget" if self.from_budget >= self.from_rank else "rank"

    def row(self) -> dict[str, Any]:
        """The cell as one row of a table."""
        return {
            "dim": self.spec.dim,
            "bias": self.spec.bias,
            **{name: getattr(self.spec, name) for name in ("logit_range", "norm", "float_format", "max_underestimate")},
            "lower": self.lower.value,
            "lower_by": self.lower.name,
            "upper": self.upper.value,
            "upper_by": self.upper.name,
            "from_budget": self.from_budget,
            "from_rank": self.from_rank,
            "binds": self.binds,
        }


def budget_surface(
    distribution: ContextualDistribution,
    dims: Iterable[int],
    budgets: Iterable[Mapping[str, Any]],
    bias: bool = False,
) -> list[Cell]:
    """The bracket of the floor at every dimension under every budget, nats per token; dimensions vary fastest.

    Raises ``ValueError`` for limits that ``HeadSpec`` does not know.  Cost: the catalogue at every cell.

    >>> from synth import families
    >>> cells = budget_surface(families.one_hot(8), [1, 2, 7], [{}, {"logit_range": 2.0}])
    >>> [cell.binds for cell in cells]
    ['rank', 'neither', 'neither', 'budget', 'budget', 'budget']
    """
    ordered = sorted(set(dims))
    cells = list[Cell]()
    for budget in budgets:
        specs = [_spec(dim, bias, budget) for dim in ordered]
        cells += [_cell(distribution, spec, budget) for spec in specs]
    return cells


def _spec(dim: int, bias: bool, budget: Mapping[str, Any]) -> HeadSpec:
    try:
        return HeadSpec(dim, bias, **budget)
    except TypeError as why:
        known = "max_underestimate, logit_range, norm, float_format"
        raise ValueError(f"a budget holds limits among {known}; found {dict(budget)!r}") from why


def _cell(distribution: ContextualDistribution, spec: HeadSpec, budget: Mapping[str, Any]) -> Cell:
    found = sandwich(distribution, spec)
    below = [bound for bound in found.bounds if bound.applies and bound.side in (Side.LOWER, Side.EXACT)]
    blind = max((bound.value for bound in below if bound.name in BLIND_TO_RANK), default=0.0)
    seeing = max((bound.value for bound in below if bound.name not in BLIND_TO_RANK), default=0.0)
    return Cell(spec, dict(budget), found, blind, seeing)
