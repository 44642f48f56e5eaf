"""What the benchmark leaves: a page with the tables, and a CSV of every cell."""

from __future__ import annotations

import csv
import importlib.metadata
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments.provenance import provenance
from tests.bench.catalogue import PROBLEMS
from tests.bench.figure import draw
from tests.bench.outcome import CERTIFIED, CLOSED, DEAR, REPETITIONS, Cell, Outcome, Row
from tests.bench.peers import adam, ours
from tests.bench.problems import SEEDS, THRESHOLDS, Problem
from tests.bench.ratios import heading, sentence

PACKAGES = {
    "rankfloor": "experiments", "numpy": "numpy", "scipy": "scipy", "torch": "torch", "pymanopt": "pymanopt",
    "scikit-learn": "sklearn",
}  # fmt: skip
"""Distributions whose versions are told, with the modules they install."""

PAGE = """# Solver benchmark

Made by `make bench`: {setting} {minutes:.0f} minutes of processor time.

Every method uses the same closed-form value and gradient, in NumPy float64; scikit-learn has its own. *From our closed
form* a method starts where `fit` does, a gift to the peers. *From random factors* it starts as is usual: Gaussian
hidden states (or matrix B), small Gaussian token factors, the unigram law as bias; the setting is the best one for the
first seed, cells are medians over {seeds} seeds, one that does not arrive counting as infinitely slow. Ours, there, is
the descent of `fit` alone. The convex problem has one start for all: no matrix and the unigram law as bias, zeros for
scikit-learn.

An evaluation is a value with its gradient, counted by matrix products: three for factors, two for the convex problem,
where a value takes one and a Hessian product two. Seconds are processor time, the starting point included, making the
data left out, medians of {repetitions} runs. A problem is measured in one go, each perhaps at another time and beside
other work: compare seconds within a table only. The excess is over the lowest gap that any method found from the closed
form, so that it may be negative from elsewhere.{missing}

A cell is *evaluations / seconds* until the excess is below the heading, `-` where the caps came first. Adam is the best
of rates {rates} with a cosine schedule over each of the horizons listed, on frozen features in raw and in
whitened coordinates: at each heading the variant that needs the fewest evaluations. The others run with a history of 20
or their defaults. *Whitened* means unknowns in units of the square roots of context and token weights, and
whitened features. *Certified* means that `fit` stopped by itself with tolerance {certified:g}, the certificate included
(cap 2000 evaluations; run once if it takes {dear:g} s or more). The last column is how far above the best a method
ended.

![Excess against evaluations](solver.png)

"""


def write(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Write ``solver.md``, ``solver.csv`` and ``solver.png``; returns the tables as text."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {problem.name: problem for problem in PROBLEMS}
    pairs = sorted(((known[outcome.problem], outcome) for outcome in outcomes), key=lambda p: PROBLEMS.index(p[0]))
    tables = "\n".join(table(problem, outcome) for problem, outcome in pairs)
    settings = list(dict.fromkeys(outcome.setting for outcome in outcomes))
    page = PAGE.format(
        setting=" and ".join(settings),
        minutes=sum(outcome.minutes for outcome in outcomes),
        seeds=len(SEEDS),
        missing=left_out({outcome.problem for outcome in outcomes}),
        rates=", ".join(map(str, adam.RATES)),
        repetitions=REPETITIONS,
        certified=CERTIFIED,
        dear=DEAR,
    )
    (folder / "solver.md").write_text(page + tables)
    with (folder / "solver.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *(line for pair in pairs for line in lines(*pair))])
    draw(pairs, folder / "solver.png")
    return tables


def left_out(measured: set[str]) -> str:
    """Names the problems that are not among those measured."""
    absent = [problem.sentence for problem in PROBLEMS if problem.name not in measured]
    return f" Not measured for this page: {'; '.join(absent)}." if absent else ""


def setting(elapsed: float | None = None) -> str:
    """Machine class, threads, versions, date, and how long something took (seconds)."""
    from threadpoolctl import threadpool_info

    facts = provenance()
    threads = max((pool["num_threads"] for pool in threadpool_info()), default=1)
    present = [name for name, module in PACKAGES.items() if find_spec(module)]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in present)
    date = facts["time"].split("T")[0]
    took = "" if elapsed is None else f"; {elapsed / 60:.0f} minutes"
    return (
        f"{facts['platform']}, {threads} thread{'s' if threads > 1 else ''}; Python {facts['python']}, {versions}; "
        f"{date}{took}."
    )


# ---------------------------------------------------------------------- the page


def table(problem: Problem, outcome: Outcome) -> str:
    """One problem in Markdown."""
    if problem.budgets:
        heads = [f"{budget} evaluations" for budget in problem.budgets]
        caps = "The infimum is not attained: the lowest gap within each number of evaluations, nats."
    else:
        heads = [heading(threshold) for threshold in THRESHOLDS]
        caps = f"Caps: {problem.evaluations} evaluations, {problem.seconds:.0f} s."
    doubt = "" if outcome.certified.number or problem.budgets else " (not certified: a lower one may exist)"
    horizons = ", ".join(map(str, problem.horizons))
    text = [
        f"## {problem.sentence}",
        "",
        f"{caps} Best gap {outcome.best:.8f}{doubt}. Adam's horizons: {horizons}.{beginning(outcome)}",
        "",
        f"| method | {' | '.join(heads)} | excess |",
        "|---|" + "---|" * (len(heads) + 1),
    ]
    for row in outcome.rows:
        cells = [written(cell, problem) for cell in row.cells]
        text.append(f"| {label(problem, row)} | {' | '.join(cells)} | {row.lowest - outcome.best:.1e} |")
        if (row.method, row.start) == (ours.NAME, CLOSED) and not problem.budgets:
            blank = " | ".join([""] * (len(heads) - 1))
            text.append(f"| {row.method}, certified | {blank} | {written(outcome.certified, problem)} | |")
    text += ["", sentence(problem, outcome)]
    if outcome.extras:
        text += ["", "| many starts | gap | below the best above | evaluations | seconds |", "|---|---|---|---|---|"]
    for extra in outcome.extras:
        below = f"{outcome.best - extra.gap:.1e}"
        text.append(f"| {extra.label} | {extra.gap:.6f} | {below} | {extra.evaluations:.0f} | {extra.seconds:.1f} |")
    return "\n".join(text) + "\n"


def label(problem: Problem, row: Row) -> str:
    """A method and, where it is not the closed form, its start."""
    return row.method if row.start == CLOSED else f"{row.method}, from {row.start}"


def beginning(outcome: Outcome) -> str:
    """What the closed form costs, where it is not a matter of a few values."""
    evaluations, seconds = outcome.begin
    if not evaluations:
        return ""
    return (
        f" The closed form is the truncation of an unrestricted fit, which costs as much as {evaluations:.0f} "
        f"evaluations ({seconds:.1f} s): they are included in every row that starts there."
    )


def written(cell: Cell, problem: Problem) -> str:
    """A cell of the table."""
    if cell.number is None:
        return "-"
    return f"{cell.number:.5f}" if problem.budgets else f"{cell.number:.0f} / {cell.seconds:.1f} s"


# ---------------------------------------------------------------------- the CSV

HEADER = [
    "problem", "method", "start", "variant", "excess", "budget", "certified", "evaluations", "seconds", "gap", "best",
]  # fmt: skip


def lines(problem: Problem, outcome: Outcome) -> Iterator[list[Any]]:
    """Every cell of a problem, as rows of the CSV; ``gap`` is the lowest reached, at the budget where there is one."""
    name, best = problem.name, f"{outcome.best:.12f}"
    for row in outcome.rows:
        for head, cell in zip(problem.headings, row.cells, strict=True):
            first = [name, row.method, row.start, cell.variant]
            if problem.budgets:
                spent = ["", _rounded(cell.seconds, 3), f"{cell.number:.12f}"]
                yield [*first, "", head, False, *spent, best]
            else:
                spent = [_rounded(cell.number, 1), _rounded(cell.seconds, 3), f"{row.lowest:.12f}"]
                yield [*first, head, "", False, *spent, best]
    if not problem.budgets:
        cell = outcome.certified
        spent = [_rounded(cell.number, 1), _rounded(cell.seconds, 3), ""]
        yield [name, ours.NAME, CLOSED, cell.variant, CERTIFIED, "", True, *spent, best]
    for extra in outcome.extras:
        spent = [_rounded(extra.evaluations, 1), _rounded(extra.seconds, 3), f"{extra.gap:.12f}"]
        yield [name, extra.label, "many", "", "", "", False, *spent, best]


def _rounded(value: float | None, digits: int) -> float | str:
    return "" if value is None else round(value, digits)
