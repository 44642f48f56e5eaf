"""What the benchmark leaves: a page with the tables, a CSV of every cell, and a figure."""

from __future__ import annotations

import csv
import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.figures.style import COLOURS, COLUMN, house_style
from experiments.provenance import provenance
from tests.bench.outcome import CERTIFIED, DEAR, REPETITIONS, Cell, Outcome, Row
from tests.bench.peers import adam, ours
from tests.bench.problems import BUDGETS, THRESHOLDS

PACKAGES = ("rankfloor", "numpy", "scipy", "torch", "pymanopt")

LINES = {
    ours.NAME: (COLOURS["fit"], "-"),
    "SciPy L-BFGS-B, whitened": ("#E69F00", "-"),
    "SciPy L-BFGS-B, raw": ("#E69F00", ":"),
    "torch L-BFGS, whitened": ("#009E73", "--"),
    "torch L-BFGS, raw": ("#009E73", ":"),
    "torch Adam, tuned": (COLOURS["exact"], "-"),
    "pymanopt fixed-rank CG": ("#CC79A7", "-"),
}
"""Colour and dash of each method; Okabe and Ito's palette."""

PAGE = """# Solver benchmark

Made by `make bench`: {sentence}

Every method starts from the same closed form and uses the same closed-form value and gradient, in NumPy float64.
Evaluations are matrix products / 3, so a value and its gradient count one; seconds are processor time, the starting
point included, medians of {repetitions} runs. The excess is over the lowest gap that any method found.

A cell is *evaluations / seconds* until the excess is below the heading, `-` where the caps came first. Adam is the best
of rates {rates} with a cosine schedule over each of the horizons listed: at each heading the variant that
needs the fewest evaluations. The others run with a history of 20 or their defaults. *Certified* means that `fit`
stopped by itself with tolerance {certified:g}, the certificate included (cap 2000 evaluations; run once if it takes
{dear:g} s or more). The last column is how far above the best a method ended.

![Excess against evaluations](solver.png)

"""


def write(outcomes: Sequence[Outcome], folder: Path, elapsed: float) -> str:
    """Write ``solver.md``, ``solver.csv`` and ``solver.png``; returns the tables as text."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = "\n".join(table(outcome) for outcome in outcomes)
    page = PAGE.format(
        sentence=setting(elapsed),
        rates=", ".join(map(str, adam.RATES)),
        repetitions=REPETITIONS,
        certified=CERTIFIED,
        dear=DEAR,
    )
    (folder / "solver.md").write_text(page + tables)
    with (folder / "solver.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *(line for outcome in outcomes for line in lines(outcome))])
    draw(outcomes, folder / "solver.png")
    return tables


def setting(elapsed: float) -> str:
    """Machine class, threads, versions, date."""
    from threadpoolctl import threadpool_info

    facts = provenance()
    threads = max((pool["num_threads"] for pool in threadpool_info()), default=1)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    date = facts["time"].split("T")[0]
    return (
        f"{facts['platform']}, {threads} thread{'s' if threads > 1 else ''}; Python {facts['python']}, {versions}; "
        f"{date}; {elapsed / 60:.0f} minutes."
    )


def table(outcome: Outcome) -> str:
    """One problem in Markdown."""
    problem = outcome.problem
    if problem.attained:
        heads = [f"{threshold:.0e}".replace("e-0", "e-") for threshold in THRESHOLDS]
        caps = f"Caps: {problem.evaluations} evaluations, {problem.seconds:.0f} s."
    else:
        heads = [f"{budget} evaluations" for budget in BUDGETS]
        caps = "The infimum is not attained: the lowest gap within each number of evaluations, nats."
    doubt = "" if outcome.certified.number or not problem.attained else " (not certified: a lower one may exist)"
    horizons = ", ".join(map(str, problem.horizons))
    text = [
        f"## {problem.sentence}",
        "",
        f"{caps} Best gap {outcome.best:.8f}{doubt}. Adam's horizons: {horizons}.",
        "",
    ]
    text += [f"| method | {' | '.join(heads)} | excess |", "|---|" + "---|" * (len(heads) + 1)]
    for row in outcome.rows:
        cells = [written(cell, problem.attained) for cell in row.cells]
        text.append(f"| {row.method} | {' | '.join(cells)} | {max(0.0, row.lowest - outcome.best):.1e} |")
        if row.method == ours.NAME and problem.attained:
            blank = " | ".join([""] * (len(heads) - 1))
            text.append(f"| {row.method}, certified | {blank} | {written(outcome.certified, True)} | |")
    return "\n".join(text) + "\n"


def written(cell: Cell, attained: bool) -> str:
    """A cell of the table."""
    if cell.number is None:
        return "-"
    return f"{cell.number:.0f} / {cell.seconds:.1f} s" if attained else f"{cell.number:.5f}"


HEADER = ["problem", "method", "variant", "excess", "budget", "certified", "evaluations", "seconds", "gap", "best"]


def lines(outcome: Outcome) -> Iterator[list[Any]]:
    """Every cell of a problem, as rows of the CSV; ``gap`` is the lowest reached, at the budget where there is one."""
    name, best, attained = outcome.problem.name, f"{outcome.best:.12f}", outcome.problem.attained
    for row in outcome.rows:
        for heading, cell in zip(THRESHOLDS if attained else BUDGETS, row.cells, strict=True):
            if attained:
                spent = [_rounded(cell.number, 1), _rounded(cell.seconds, 3), f"{row.lowest:.12f}"]
                yield [name, row.method, cell.variant, heading, "", False, *spent, best]
            else:
                spent = ["", _rounded(cell.seconds, 3), f"{cell.number:.12f}"]
                yield [name, row.method, cell.variant, "", heading, False, *spent, best]
    if attained:
        cell = outcome.certified
        yield [name, ours.NAME, cell.variant, CERTIFIED, "", True, _rounded(cell.number, 1), _rounded(cell.seconds, 3),
               "", best]  # fmt: skip


def _rounded(value: float | None, digits: int) -> float | str:
    return "" if value is None else round(value, digits)


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """One panel per problem: excess over the best value found against evaluations."""
    import matplotlib.pyplot as plt

    columns = min(3, len(outcomes))
    shape = -(-len(outcomes) // columns), columns
    with house_style():
        size = (2 * COLUMN * columns / 3, 2.1 * shape[0] + 0.5)
        figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
        for axis, outcome in zip(axes.flat, outcomes, strict=False):
            for row in outcome.rows:
                curve(axis, row, outcome)
            axis.set_yscale("log")
            axis.set_title(outcome.problem.sentence, fontsize=6.5)
            axis.spines[["top", "right"]].set_visible(False)
        for axis in axes[-1]:
            axis.set_xlabel("evaluations")
        for axis in axes[:, 0]:
            axis.set_ylabel("excess (nats)")
        for axis in axes.flat[len(outcomes) :]:
            axis.set_visible(False)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, dpi=180, bbox_inches="tight")
        plt.close(figure)


def curve(axis: Any, row: Row, outcome: Outcome) -> None:
    """The variant that went lowest; budgets of their own are single points."""
    colour, dash = LINES[row.method]
    attained = outcome.problem.attained
    floor = 1e-9 if attained else 1e-3
    evaluations = [spent for spent, _ in row.curve]
    excess = [max(gap - outcome.best, floor) for _, gap in row.curve]
    points = not attained and row.method == ours.NAME
    front = 3 if row.method == ours.NAME else 2
    axis.plot(
        evaluations, excess, "o" if points else dash, color=colour, lw=1.1, ms=3.5, label=row.method, zorder=front
    )
    if attained:
        axis.set_ylim(floor / 2, None)
