"""The protocol: every method on every problem, the best value found by any of them, medians over repetitions.

    python -m tests.bench.run [--only PROBLEM ...] [--out FOLDER]

Each variant runs once to its caps.  The best value of a problem is the lowest gap of any run.  For each threshold the
variant that needs the fewest evaluations is reported, and repeated for its seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench import report
from tests.bench.outcome import CERTIFIED, DEAR, REPETITIONS, Cell, Outcome, Row
from tests.bench.peers import METHODS, ours
from tests.bench.peers.method import Method, Run
from tests.bench.problems import BUDGETS, PROBLEMS, THRESHOLDS, Problem
from tests.bench.recorder import Limits, Recorder, Stop

Points = list[tuple[float, float, float]]


def trial(problem: Problem, run: Run, limits: Limits) -> Points:
    """The record of one run."""
    recorder = Recorder(problem, limits)
    with contextlib.suppress(Stop):
        run(recorder)
    return recorder.points


def crossing(points: Points, gap: float) -> tuple[float, float] | None:
    """Evaluations and seconds at the first point at or below ``gap``."""
    return next(((evaluations, seconds) for evaluations, seconds, found in points if found <= gap), None)


def envelope(points: Points) -> list[tuple[float, float]]:
    """(evaluations, lowest gap so far) at every improvement."""
    lowest, curve = math.inf, []
    for evaluations, _, gap in points:
        if gap < lowest:
            lowest = gap
            curve.append((evaluations, gap))
    return curve


def race(problem: Problem) -> Outcome:
    """Thresholds of every method on a problem whose minimum is attained, and our certified fits."""
    records: dict[str, dict[str, Points]] = {}
    for method in METHODS:
        limits = Limits(problem.evaluations, problem.seconds, patience=method.patience)
        tell(f"{problem.name}: {method.name}")
        records[method.name] = {name: trial(problem, run, limits) for name, run in method.variants(problem).items()}
    tell(f"{problem.name}: certified fits")
    fits = [ours.certified(problem, CERTIFIED)]
    while fits[0].seconds < DEAR and len(fits) < REPETITIONS:
        fits.append(ours.certified(problem, CERTIFIED))
    found = [gap for record in records.values() for points in record.values() for _, _, gap in points]
    best = min(*found, *(fit.gap for fit in fits))
    certified = Cell()
    if all(fit.certified_excess <= CERTIFIED for fit in fits):
        certified = Cell(fits[0].evaluations, median(fit.seconds for fit in fits), "defaults")
    winners = {method.name: winning(records[method.name], best) for method in METHODS}
    runs = repeated(problem, records, winners, best)
    rows = [row(method, records[method.name], runs, winners[method.name], best) for method in METHODS]
    return Outcome(problem, best, rows, certified)


def winning(record: dict[str, Points], best: float) -> list[str]:
    """The variant that needs the fewest evaluations at each threshold, "" where none arrives."""
    winners = []
    for threshold in THRESHOLDS:
        reached = {name: crossing(points, best + threshold) for name, points in record.items()}
        counts = {name: place[0] for name, place in reached.items() if place is not None}
        winners.append(min(counts, key=counts.__getitem__) if counts else "")
    return winners


def repeated(
    problem: Problem, records: dict[str, dict[str, Points]], winners: dict[str, list[str]], best: float
) -> dict[tuple[str, str], list[Points]]:
    """All runs of each winner, by method and variant: the methods take turns, each as far as its last threshold."""
    runs = {(method, name): [records[method][name]] for method, names in winners.items() for name in names if name}
    for repetition in range(1, REPETITIONS):
        for method in METHODS:
            tell(f"{problem.name}: {method.name}, repetition {repetition + 1}")
            for name in sorted(set(winners[method.name]) - {""}):
                pairs = zip(THRESHOLDS, winners[method.name], strict=True)
                limits = Limits(problem.evaluations, enough=best + min(t for t, winner in pairs if winner == name))
                runs[method.name, name].append(trial(problem, method.variants(problem)[name], limits))
    return runs


def row(
    method: Method,
    record: dict[str, Points],
    runs: dict[tuple[str, str], list[Points]],
    winners: list[str],
    best: float,
) -> Row:
    """Medians over the runs of the winner at each threshold."""
    cells = []
    for threshold, winner in zip(THRESHOLDS, winners, strict=True):
        places = [crossing(points, best + threshold) for points in runs.get((method.name, winner), [])]
        found = [place for place in places if place is not None]
        cells.append(Cell(median(e for e, _ in found), median(s for _, s in found), winner) if found else Cell())
    lowest = min((envelope(points) for points in record.values()), key=lambda curve: curve[-1][1])
    return Row(method.name, lowest[-1][1], cells, lowest)


def budgets(problem: Problem) -> Outcome:
    """The lowest gap within each of ``BUDGETS``, where the infimum is not attained; ``lowest`` is that of the last.

    ``fit`` plans its ridge homotopy by its budget, and Adam its schedule: each budget is a run of its own for them.
    """
    rows = []
    for method in METHODS:
        tell(f"{problem.name}: {method.name}")
        if method.name == ours.NAME:
            fits = [ours.certified(problem, CERTIFIED, budget) for budget in BUDGETS]
            curve = [(fit.evaluations, fit.gap) for fit in fits]
            cells = [Cell(fit.gap, fit.seconds, "defaults") for fit in fits]
        else:
            limits = Limits(problem.evaluations)
            record = {name: envelope(trial(problem, run, limits)) for name, run in method.variants(problem).items()}
            cells = [within(record, budget) for budget in BUDGETS]
            curve = min(record.values(), key=lambda curve: curve[-1][1])
        rows.append(Row(method.name, min(gap for _, gap in curve), cells, curve))
    return Outcome(problem, min(row.lowest for row in rows), rows)


def within(record: dict[str, list[tuple[float, float]]], budget: float) -> Cell:
    """The lowest gap of any variant within a budget."""
    found = {
        name: min(gap for spent, gap in curve if spent <= budget or (spent, gap) == curve[0])
        for name, curve in record.items()
    }
    winner = min(found, key=found.__getitem__)
    return Cell(found[winner], None, winner)


def tell(line: str) -> None:
    """One line of progress, overwritten by the next on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, print the table and write the files."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    names = [problem.name for problem in PROBLEMS]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    chosen = parser.parse_args(arguments)
    missing = sorted({method.package for method in METHODS if not importlib.util.find_spec(method.package)})
    if missing:
        parser.error(f"the peers {', '.join(missing)} are not installed; run pip install -e .[peers]")
    began, outcomes = time.perf_counter(), []
    for problem in PROBLEMS:
        if problem.name in chosen.only:
            outcomes.append(race(problem) if problem.attained else budgets(problem))
    tell("")
    print(report.write(outcomes, chosen.out, time.perf_counter() - began))


if __name__ == "__main__":
    main()
