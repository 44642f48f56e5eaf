"""How long wrong bounds live, and whether ours do: ``python -m tests.bench.falsify [--ours SECONDS]``.

Hunts each deliberately wrong bound of ``tests.theory.wrong_bounds`` for at most a minute, its repair for a while too,
then every bound of the catalogue in turns for ``--ours`` processor seconds in all (Ctrl-C ends them early).  Prints the
tables in Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis.strategies import SearchStrategy, one_of

from synth import ContextualDistribution
from tests.theory.targeted import DRAWS, Draw
from tests.theory.wrong_bounds import WRONG
from theory import HeadSpec, Side, catalogue
from theory.falsify import Options, falsify

LIMIT = 60.0
"""Seconds given to break a wrong bound."""

TURN = 20.0
"""Seconds of one turn of a bound of the catalogue."""

GENERAL = (Options(), Options(limits=True), Options(limits=True, formats=True))
"""Classes of heads that the turns go through on tables of every kind; then the bound is hunted where it applies."""

SEEDS = 3
"""Hunts of each wrong bound; the slowest is reported."""


@dataclass
class Tally:
    """What the turns of one bound add up to."""

    tried: int = 0
    seconds: float = 0.0
    nearest: float = math.nan
    broken: str = ""


def wrong_bounds() -> Iterator[str]:
    """Time to break each wrong bound, the slowest of the seeds."""
    yield "| wrong bound | mistake | broken after | problems | counterexample |"
    yield "|---|---|---|---|---|"
    for one in WRONG:
        options = Options(one.name)
        hunts = [falsify(one.wrong, one.side, LIMIT, seed, options=options) for seed in range(SEEDS)]
        slowest = max(hunts, key=lambda outcome: outcome.seconds)
        after = f"{slowest.seconds:.1f} s" if all(outcome.broken for outcome in hunts) else "not broken"
        said = slowest.sentence.removeprefix(f"{one.name} ")
        yield f"| {one.name} | {one.mistake} | {after} | {slowest.examples} | {said} |"


def repairs(seconds: float) -> Iterator[str]:
    """Hunts of the repaired bounds, each distinct one once."""
    yield "| repair of | side | problems | nearest claim / truth | broken |"
    yield "|---|---|---|---|---|"
    for one in WRONG:
        outcome = falsify(one.right, one.side, seconds, options=Options(f"repaired {one.name}"))
        broken = outcome.sentence if outcome.broken else "no"
        yield f"| {one.name} | {one.side} | {outcome.examples} | {outcome.nearest:.6g} | {broken} |"


def applicable(name: str) -> SearchStrategy[tuple[ContextualDistribution, HeadSpec]]:
    """Problems on which a bound of the catalogue applies by construction."""
    draws = [draw.cases for draw in DRAWS.values() if isinstance(draw, Draw) and name in draw.bounds]
    return one_of(draws).map(lambda case: (case.distribution, case.spec))


def ours(seconds: float, names: Sequence[str]) -> Iterator[str]:
    """The named bounds of the catalogue on every side they claim, in turns, until the time is up."""
    claims = [
        (entry, side)
        for entry in map(catalogue.__getitem__, names)
        for side in (Side.LOWER, Side.UPPER)
        if (entry.side.is_lower if side is Side.LOWER else entry.side.is_upper)
    ]
    tallies = {(entry.name, side): Tally() for entry, side in claims}
    kinds = {name: (*GENERAL, Options(problems=applicable(name))) for name in names}
    deadline = time.process_time() + seconds
    for turn, (entry, side) in ((turn, claim) for turn in itertools.count() for claim in claims):
        left = deadline - time.process_time()
        if left <= 0:
            break
        tally = tallies[entry.name, side]
        if turn > len(GENERAL) and math.isnan(tally.nearest):
            continue  # it never claims anything on this side
        began = time.process_time()
        try:
            kind = kinds[entry.name][turn % (len(GENERAL) + 1)]
            outcome = falsify(entry, side, min(TURN, left), seed=turn, options=kind)
        except ValueError as why:  # a bound that fails on some table is reported like one that is false
            tally.broken = str(why)
            continue
        tally.tried += outcome.examples
        tally.seconds += time.process_time() - began
        near = [ratio for ratio in (tally.nearest, outcome.nearest) if not math.isnan(ratio)]
        tally.nearest = (max if side is Side.LOWER else min)(near, default=math.nan)
        if outcome.counterexample is not None:
            tally.broken = outcome.sentence
            outcome.counterexample.save(f"runs/ours-{entry.name}-{side.value}.json")
        if outcome.interrupted:
            break
        print(f"{time.ctime()} {entry.name} {side.value}: {outcome.sentence}", file=sys.stderr, flush=True)
    yield "| bound | side | problems | processor seconds | nearest claim / truth | broken |"
    yield "|---|---|---|---|---|---|"
    for (name, side), tally in tallies.items():
        nearest = "claimed nothing" if math.isnan(tally.nearest) else f"{tally.nearest:.9g}"
        yield f"| {name} | {side.value} | {tally.tried} | {tally.seconds:.0f} | {nearest} | {tally.broken or 'no'} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the hunts and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.falsify", description=__doc__)
    parser.add_argument("--ours", type=float, default=0.0, metavar="SECONDS", help="processor time for our own")
    parser.add_argument("--repairs", type=float, default=10.0, metavar="SECONDS", help="time for each repaired bound")
    names = [entry.name for entry in catalogue if entry.side is not Side.ASYMPTOTIC]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="which of ours")
    parser.add_argument("--no-wrong", action="store_true", help="leave the wrong bounds out")
    chosen = parser.parse_args(arguments)
    tables = [] if chosen.no_wrong else [wrong_bounds()]
    if chosen.repairs > 0:
        tables.append(repairs(chosen.repairs))
    if chosen.ours > 0:
        tables.append(ours(chosen.ours, chosen.only))
    for table in tables:
        for line in table:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
