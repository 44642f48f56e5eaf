"""The trial "scaling": a scaling law through the losses of a paper's models, and how far each lies from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.trials.registry import trial


@dataclass(frozen=True)
class Scaling:
    """Which points, and from which size on the law is fitted."""

    points: str | None = None
    """A CSV file of models; by default those read off Figure 1b of Godey, de la Clergerie and Sagot (2024)."""
    smallest: float = 4e8
    """Models of at least this many parameters, all of them counted, are fitted; the law is extrapolated to the rest."""


@trial("scaling")
def scaling(parameters: Scaling, seed: int) -> Iterator[dict[str, Any]]:
    """Gaps of every model to the law under both ways to count parameters; one record per model and way.

    ``gap`` and ``best_gap`` are relative, of the last and the best checkpoint; ``gap_low`` and ``gap_high`` span the
    refits with one fitted model left out.  Nothing is drawn from the seed.
    """
    from experiments.lm.scaling import DIGITISED, compare, read_points
    from theory.scaling import HOFFMANN

    points = read_points(DIGITISED if parameters.points is None else Path(parameters.points))
    models, laws = compare(points, parameters.smallest, HOFFMANN)
    full = laws[laws["left_out"] == ""].set_index("convention")
    for row in models.to_dict("records"):
        law = full.loc[row["convention"]]
        kept = ("convention", "model", "N", "loss", "fitted", "predicted", "gap", "gap_low", "gap_high")
        best = float(row["best_gap"])
        yield {name: row[name] for name in kept} | {
            "best_gap": None if math.isnan(best) else best,
            "A": float(law["A"]),
            "alpha": float(law["alpha"]),
        }
