"""The solver benchmark, problem by problem: ``solver.md``, ``solver.csv``, ``solver.png`` and a file per problem.

    python -m tests.bench.run [--only PROBLEM ...] [--jobs N] [--keep HOURS] [--report] [--out FOLDER]

Each finished problem is written at once to ``FOLDER/solver/NAME.json``, and page, table and figure are made from all
the files there.  After an end that came too early, ``--keep HOURS`` leaves out the problems whose results are no older.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from tests.bench import report
from tests.bench.catalogue import PROBLEMS
from tests.bench.outcome import Outcome, load, save
from tests.bench.peers import METHODS
from tests.bench.protocol import measure

NAMES = [problem.name for problem in PROBLEMS]

LONGEST_FIRST = (
    "zipf-32", "frozen-16", "trigrams", "frozen-full", "zipf-8", "zipf-128", "near-uniform", "peaky", "trigrams-64",
)  # fmt: skip
"""So that several jobs end together."""


def one(name: str, folder: Path) -> Path:
    """Measure one problem and write what was found."""
    began = time.process_time()
    outcome = measure(next(problem for problem in PROBLEMS if problem.name == name))
    minutes = (time.process_time() - began) / 60
    return save(replace(outcome, setting=report.setting(), time=time.time(), minutes=minutes), folder)


def present(folder: Path) -> list[Outcome]:
    """The results in a folder, in the order of the problems."""
    paths = [folder / f"{name}.json" for name in NAMES]
    return [load(path) for path in paths if path.exists()]


def pending(names: Sequence[str], folder: Path, hours: float) -> list[str]:
    """The problems without a result of the last ``hours``."""
    recent = {outcome.problem for outcome in present(folder) if time.time() - outcome.time < 3600 * hours}
    return [name for name in names if name not in recent]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, print the tables and write the files."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="problems to run")
    parser.add_argument("--jobs", type=int, default=1, help="problems at a time, a process each")
    parser.add_argument("--keep", type=float, default=0.0, help="hours within which a result counts as done")
    parser.add_argument("--report", action="store_true", help="run nothing; page, table and figure from the files")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    chosen = parser.parse_args(arguments)
    missing = sorted({method.package for method in METHODS if not importlib.util.find_spec(method.package)})
    if missing and not chosen.report:
        parser.error(f"the peers {', '.join(missing)} are not installed; run pip install -e .[peers]")
    folder = chosen.out / "solver"
    names = [] if chosen.report else pending(chosen.only, folder, chosen.keep)
    with ProcessPoolExecutor(chosen.jobs, multiprocessing.get_context("spawn")) as pool:
        runs = {pool.submit(one, name, folder): name for name in sorted(names, key=LONGEST_FIRST.index)}
        for run in as_completed(runs):
            run.result()
            print(f"{time.strftime('%H:%M:%S')} {runs[run]}", flush=True)
    print(report.write(present(folder), chosen.out))


if __name__ == "__main__":
    main()
