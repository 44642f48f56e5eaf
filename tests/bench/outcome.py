"""What the benchmark finds on one problem, and its file: written at once, whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

REPETITIONS = 3
"""Runs behind each median of seconds."""

DEAR = 20.0
"""Seconds from which a certified fit is not repeated."""

CERTIFIED = 1e-6
"""Tolerance of our certified fits, nats."""

CLOSED, RANDOM = "closed form", "random factors"
"""Where a method starts."""

POINTS = 80
"""Points that are kept of a curve."""


@dataclass(frozen=True)
class Cell:
    """Evaluations (at a budget: the gap) and median seconds of the best variant; ``None`` if the caps came first."""

    number: float | None = None
    seconds: float | None = None
    variant: str = ""


@dataclass(frozen=True)
class Row:
    """One method from one kind of start.  ``curve``: (evaluations, lowest gap so far) of the variant that went lowest.

    ``lowest``: where that one ended; of random factors, the median over the seeds.
    """

    method: str
    start: str
    lowest: float
    cells: list[Cell]
    curve: list[tuple[float, float]]


@dataclass(frozen=True)
class Extra:
    """A fit of ours that is compared by its gap alone."""

    label: str
    gap: float
    evaluations: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """One problem: its rows, the lowest gap of any method from the closed form, and our certified fits.

    ``begin``: evaluations and seconds of the closed form; ``setting``: machine class and versions; ``minutes`` of work.
    """

    problem: str
    best: float
    rows: list[Row]
    certified: Cell = field(default_factory=Cell)
    extras: list[Extra] = field(default_factory=list)
    begin: tuple[float, float] = (0.0, 0.0)
    setting: str = ""
    time: float = 0.0
    minutes: float = 0.0

    def row(self, method: str, start: str = CLOSED) -> Row | None:
        """The row of a method, if it was run."""
        return next((row for row in self.rows if (row.method, row.start) == (method, start)), None)


def thinned(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most ``POINTS`` of a curve and its end, evaluations to a tenth, gaps to 1e-10 nats."""
    step = max(1, -(-len(curve) // POINTS))
    return [(round(spent, 1), round(gap, 10)) for spent, gap in [*curve[:-1:step], curve[-1]]]


def save(outcome: Outcome, folder: Path) -> Path:
    """Write ``NAME.json``, replacing an older one in a single step."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{outcome.problem}.json"
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(asdict(outcome), allow_nan=False) + "\n")
    os.replace(draft, path)
    return path


def load(path: Path) -> Outcome:
    """Read what ``save`` wrote."""
    data: dict[str, Any] = json.loads(path.read_text())
    rows = [
        Row(**{**row, "cells": [Cell(**cell) for cell in row["cells"]], "curve": [tuple(p) for p in row["curve"]]})
        for row in data["rows"]
    ]
    extras = [Extra(**extra) for extra in data["extras"]]
    certified = Cell(**data["certified"])
    return Outcome(**{**data, "rows": rows, "extras": extras, "certified": certified, "begin": tuple(data["begin"])})
