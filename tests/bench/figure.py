"""The figure of the benchmark: one panel per problem, excess over the best value found against evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.figures.style import COLOURS, COLUMN, house_style
from tests.bench.outcome import CLOSED, Outcome, Row
from tests.bench.peers import adam, ours
from tests.bench.problems import Problem

LINES = {
    ours.NAME: (COLOURS["fit"], "-"),
    "SciPy L-BFGS-B, whitened": ("#E69F00", "-"),
    "SciPy L-BFGS-B, raw": ("#E69F00", ":"),
    "torch L-BFGS, whitened": ("#009E73", "--"),
    "torch L-BFGS, raw": ("#009E73", ":"),
    adam.NAME: (COLOURS["exact"], "-"),
    "pymanopt fixed-rank CG": ("#CC79A7", "-"),
    "scikit-learn, lbfgs": ("#6b6b6b", "-"),
    "scikit-learn, newton-cg": ("#6b6b6b", ":"),
}
"""Colour and dash of each method; Okabe and Ito's palette."""

FAINT = 0.4
"""Opacity of courses from random factors."""

IN_RANDOM = (ours.NAME, adam.NAME, "SciPy L-BFGS-B, whitened")
"""Methods whose courses from random factors are drawn: more would hide one another."""

FLOOR, BUDGET_FLOOR = 1e-8, 1e-4
"""Excess at which courses are cut off, and the same where the infimum is not attained."""


def draw(pairs: Sequence[tuple[Problem, Outcome]], path: Path) -> None:
    """One panel per problem."""
    import matplotlib.pyplot as plt

    columns = min(3, len(pairs))
    shape = -(-len(pairs) // columns), columns
    with house_style():
        size = (max(2 * COLUMN * columns / 3, COLUMN), 2.1 * shape[0] + 0.6)
        figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
        handles: dict[str, Any] = {}
        for axis, (problem, outcome) in zip(axes.flat, pairs, strict=False):
            for row in outcome.rows:
                curve(axis, row, problem, outcome.best)
            axis.set_yscale("log")
            axis.set_ylim(floor_of(problem) / 2, None)
            axis.set_title(titled(problem.sentence), fontsize=6.5)
            axis.spines[["top", "right"]].set_visible(False)
            handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)) | handles
            axis.set_xlabel("evaluations")
        for axis in axes[:, 0]:
            axis.set_ylabel("excess (nats)")
        for axis in axes.flat[len(pairs) :]:
            axis.set_visible(False)
        labels = [name for name in LINES if name in handles]
        figure.legend(
            [handles[name] for name in labels], labels, loc="outside lower center", ncols=min(3, 1 + columns),
            frameon=False, title="faint: from random factors", title_fontsize=6.5,
        )  # fmt: skip
        figure.savefig(path, dpi=180, bbox_inches="tight")
        plt.close(figure)


def floor_of(problem: Problem) -> float:
    """Where courses are cut off."""
    return BUDGET_FLOOR if problem.budgets else FLOOR


def titled(sentence: str, width: int = 46) -> str:
    """A sentence in lines short enough for a panel."""
    lines = [""]
    for word in sentence.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{word}"
    return "\n".join(lines)


def curve(axis: Any, row: Row, problem: Problem, best: float) -> None:
    """The variant that went lowest; budgets of their own are single points."""
    closed = row.start == CLOSED
    if not closed and row.method not in IN_RANDOM:
        return
    colour, dash = LINES[row.method]
    floor = floor_of(problem)
    evaluations = [spent for spent, _ in row.curve]
    excess = [max(gap - best, floor) for _, gap in row.curve]
    points = bool(problem.budgets) and row.method == ours.NAME
    axis.plot(
        evaluations, excess, "o" if points else dash, color=colour, lw=1.1, ms=3.5, alpha=1.0 if closed else FAINT,
        label=row.method if closed else None, zorder=3 if row.method == ours.NAME else 2,
    )  # fmt: skip
