"""The trial "solver": evaluations that ours and other optimisers take on one law, from the same start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.config import World
from experiments.heads import Objective, Options, starts
from experiments.heads.descent import certified_descent
from experiments.peers import followed, variants
from experiments.source import drawn
from experiments.trials.registry import trial
from synth import ContextualDistribution
from synth._array import Array
from synth._check import member
from theory import HeadSpec

Points = list[tuple[float, float]]
"""(evaluations, gap) along a run."""

OURS = "rankfloor fit"

STARTS = ("closed form", "random")


@dataclass(frozen=True)
class Solver(World):
    """A distribution up to its seed, a head, where every method starts, and what it may spend."""

    dim: int = 8
    """Dimension of the head."""
    bias: bool = False
    """Whether the head has a bias."""
    start: str = "closed form"
    """Where all methods start: the lowest closed form, where fit starts, or random factors."""
    max_evaluations: int = 1000
    """Evaluations of the objective and its gradient allowed for one run."""
    rates: tuple[float, ...] = (0.03, 0.1, 0.3)
    """Learning rates of Adam; at each excess the best of its variants counts."""
    horizons: tuple[int, ...] = (100, 300, 1000)
    """Steps over which Adam's rate falls to zero."""
    excesses: tuple[float, ...] = (1e-3, 1e-4, 1e-6)
    """Nats above the lowest gap that any method found."""


@trial("solver")
def solver(parameters: Solver, seed: int) -> Iterator[dict[str, Any]]:
    """Evaluations until each method is within each excess of the lowest gap found; one record per method and excess.

    ``evaluations`` is ``None`` where a method does not arrive, ``final`` its lowest gap above the best, nats,
    ``variant`` the setting that counts.  An evaluation is a value with its gradient, counted by matrix products; what
    the starting point costs is the same for all and left out, and so is the search for Adam's settings.  The seed draws
    law and random factors.
    """
    member("start", parameters.start, STARTS)
    law = _law(parameters, seed)
    runs = courses(parameters, law, seed)
    best = min(gap for settings in runs.values() for points in settings.values() for _, gap in points)
    for method, settings in runs.items():
        final = min(gap for points in settings.values() for _, gap in points) - best
        for excess in parameters.excesses:
            evaluations, variant = soonest(settings, best + excess)
            yield {
                "method": method,
                "excess": excess,
                "evaluations": evaluations,
                "variant": variant,
                "final": final,
                "best": best,
            }


def courses(parameters: Solver, law: ContextualDistribution, seed: int) -> dict[str, dict[str, Points]]:
    """The runs of every method, by its settings, all from one point; points beyond the allowance are left out."""
    most, spec = parameters.max_evaluations, HeadSpec(parameters.dim, parameters.bias)
    x = _start(Objective(law, spec), parameters.start, seed)
    _, _, own = certified_descent(Objective(law, spec), x, Options(1e-9, max_evaluations=most), None)
    runs = {OURS: {"defaults": [point for point in own if point[0] <= most]}}
    for method, settings in variants(parameters.rates, parameters.horizons).items():
        runs[method] = {name: followed(peer, Objective(law, spec), x, most) for name, peer in settings.items()}
    return runs


def soonest(settings: dict[str, Points], gap: float) -> tuple[float | None, str | None]:
    """The fewest evaluations at which one of the settings is at or below ``gap``, and which it is."""
    reached = {
        name: next((evaluations for evaluations, found in points if found <= gap), None)
        for name, points in settings.items()
    }
    arrived = {name: evaluations for name, evaluations in reached.items() if evaluations is not None}
    if not arrived:
        return None, None
    name = min(arrived, key=arrived.__getitem__)
    return arrived[name], name


def _start(objective: Objective, start: str, seed: int) -> Array:
    if start == "random":
        return starts.random_start(objective, seed)
    x = min((x for _, x in starts.closed_forms(objective)), key=objective.value)
    return starts.balanced(objective, x)


def _law(parameters: Solver, seed: int) -> ContextualDistribution:
    """The distribution, drawn from ``seed`` where its family draws.  ``ValueError`` for one with zeros."""
    law = drawn(parameters, seed)
    if not law.is_positive:
        raise ValueError("the law has zeros, so that no finite head is lowest; choose one that is positive everywhere")
    return law
