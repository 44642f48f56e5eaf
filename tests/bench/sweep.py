"""``python -m tests.bench.sweep``: what a sweep costs beyond its trials, and a sweep that is killed many times."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.studies.config import Study, Workers
from experiments.studies.sweep import run
from experiments.trials import trial
from tests.bench.report import setting
from tests.experiments.studies.killing import Ordeal, suffer

NAME = "tests.bench.sweep:tiny"


@dataclass(frozen=True)
class Tiny:
    """Almost nothing."""

    x: int = 0
    """a number to tell trials apart"""


@trial("tiny")
def tiny(parameters: Tiny, seed: int) -> Iterator[dict[str, float]]:
    """One number, at once: all that a sweep of these takes is overhead."""
    yield {"gap": 1.0 / (1 + parameters.x + seed)}


def overhead(trials: int, workers: Workers, folder: Path) -> str:
    """A row of the table: wall clock, and what one trial costs a worker, waiting for the disk included."""
    grid = {"x": tuple(range(trials // 10))}
    outcome = run(Study("tiny", NAME, grid, seeds=tuple(range(10)), workers=workers, out=folder))
    if outcome.failed or len(outcome.store.entries()) != trials:
        raise RuntimeError(f"{outcome.failed} of {trials} trials failed, {len(outcome.store.entries())} are there")
    began = time.perf_counter()
    rows = len(outcome.store.frame())
    reading = time.perf_counter() - began
    by = f"Dask, {workers.local_cluster} workers" if workers.local_cluster else f"joblib, {workers.jobs} processes"
    by = "this process" if workers == Workers(jobs=1) else by
    each = outcome.seconds * (workers.local_cluster or workers.jobs) / trials
    return f"| {trials:,} | {by} | {outcome.seconds:.0f} s | {1e3 * each:.2f} ms | {reading:.1f} s for {rows:,} rows |"


def disk(folder: Path, times: int = 100) -> float:
    """Seconds that one ``fsync`` of a line takes here."""
    with (folder / "line").open("wb", buffering=0) as stream:
        began = time.perf_counter()
        for _ in range(times):
            stream.write(b"x" * 400)
            os.fsync(stream.fileno())
    return (time.perf_counter() - began) / times


def ordeal(trials: int, kills: int, folder: Path) -> Iterator[str]:
    """A sweep killed at random moments, and what is in its store in the end."""
    began, victim = time.perf_counter(), Ordeal(folder, trials, pause=0.02)
    suffer(victim, kills, seed=kills)
    contents = victim.store.read()
    keys = Counter(entry.key for entry in contents.entries)
    yield f"{trials:,} trials, {kills} kills, {time.perf_counter() - began:.0f} s: "
    yield ", ".join(f"{what} killed {times} times" for what, times in victim.kills.items() if times) + ". "
    yield f"With its disk full it said `{victim.messages[0].replace(str(folder), '...')}`. "
    yield f"In the end {len(keys):,} trials, the most often recorded one {max(keys.values())} time, "
    yield f"{contents.damaged} damaged lines, {len(contents.contradictions())} contradictions.\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000, help="tiny trials by joblib; a tenth by the others")
    parser.add_argument("--kills", type=int, default=50, help="kills of the ordeal; 0 leaves it out")
    given = parser.parse_args(arguments)
    print("# What a sweep costs beyond its trials\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"Made by `python -m tests.bench.sweep`: {setting()}\n")
        print(f"One minute's load was {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores as it began. ", end="")
        print(f"One `fsync` of a line takes {1e3 * disk(folder):.1f} ms on this disk.\n")
        print("| trials | by | wall clock | one trial costs a worker | reading the table |")
        print("|---|---|---|---|---|")
        print(overhead(given.trials // 10, Workers(jobs=1), folder / "alone"), flush=True)
        print(overhead(given.trials // 10, Workers(local_cluster=2), folder / "dask"), flush=True)
        print(overhead(given.trials, Workers(jobs=2), folder / "joblib"), flush=True)
        if given.kills:
            print("\n## Killed at random moments\n")
            print("".join(ordeal(40 * given.kills, given.kills, folder / "ordeal")), end="")


if __name__ == "__main__":
    main()
