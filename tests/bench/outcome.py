"""What the benchmark finds: cells of a table, by method and problem."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.bench.problems import Problem

REPETITIONS = 3
"""Runs behind each median of seconds."""

DEAR = 20.0
"""Seconds from which a certified fit is not repeated."""

CERTIFIED = 1e-6
"""Tolerance of our certified fits, nats."""


@dataclass(frozen=True)
class Cell:
    """Evaluations (at a budget: the gap) and median seconds of the best variant; ``None`` if the caps came first."""

    number: float | None = None
    seconds: float | None = None
    variant: str = ""


@dataclass
class Row:
    """One method on one problem.  ``curve``: (evaluations, lowest gap so far) of the variant that went lowest."""

    method: str
    lowest: float
    cells: list[Cell]
    curve: list[tuple[float, float]]


@dataclass
class Outcome:
    """One problem: its rows, the best value of any, and our certified fits."""

    problem: Problem
    best: float
    rows: list[Row]
    certified: Cell = field(default_factory=Cell)
