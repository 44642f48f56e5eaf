"""The law on very many drawn problems: ``python -m tests.bench.law [--examples N | --each N] [--seed S]``.

``--examples`` draws distributions and classes of heads as the conformance tests do, asks every bound of the catalogue,
verifies each answer and checks the law.  ``--each`` draws, for every bound, N problems on which it applies by
construction (``tests.theory.targeted``), in parts that are kept in a file: started again, it goes on where it stopped.
Both print how often each bound had something to say, in Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.theory.lawful import short_certificates
from tests.theory.targeted import DRAWS
from tests.theory.test_conformance import answers, problems
from theory import Status, catalogue

PAGE, BEGIN, END = Path("docs/benchmarks/law.md"), "<!-- each -->", "<!-- each ends -->"
"""Where ``--write`` puts the counts of ``--each``."""

TARGET = 100_000
"""Problems of a full run."""

REPORT = 1000
"""Problems between two lines of progress."""

PART = 2000
"""Problems of a part of ``--each``."""

EMPTY = (Status.NOT_APPLICABLE, Status.VACUOUS)
GENEROUS = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
Spent = dict[str, Any]
"""What one draw has come to: ``parts``, ``drawn`` problems, processor ``seconds``, and ``bounds`` with their counts."""


def draw(cases: SearchStrategy[Any], check: Callable[[Any], None], examples: int, number: int) -> None:
    """Check that many drawn cases, from the seed ``number``."""
    seed(number)(settings(GENEROUS, max_examples=examples)(given(cases)(check)))()


class Tally:
    """How many problems were drawn, and on how many of them each bound spoke."""

    def __init__(self) -> None:
        self.drawn, self.spoke, self.positive, self.began = 0, Counter(), Counter(), time.process_time()

    def check(self, problem: tuple) -> None:
        """One problem; an ``AssertionError`` where a bound is not verified or the law is broken."""
        self.drawn += 1
        for bound in answers(*problem):
            self.spoke[bound.name] += bound.status is not Status.NOT_APPLICABLE
            self.positive[bound.name] += bound.status not in EMPTY
        if self.drawn % REPORT == 0:
            seconds = time.process_time() - self.began
            print(f"{self.drawn} problems, {seconds:.0f} processor seconds", file=sys.stderr, flush=True)

    def table(self) -> str:
        """The counts, a line per bound."""
        rows = [f"| {e.name} | {e.side.value} | {self.spoke[e.name]} | {self.positive[e.name]} |" for e in catalogue]
        return "\n".join(["| bound | side | applied | not vacuous |", "|---|---|---|---|", *rows])


def part(name: str, so_far: Spent, examples: int, number: int) -> Spent:
    """One more part of a draw: that many problems, checked and added to what there is."""
    chosen, began, drawn = DRAWS[name], time.process_time(), 0
    counts = {bound: Counter(so_far["bounds"].get(bound, {})) for bound in chosen.bounds}

    def check(case: Any) -> None:
        nonlocal drawn
        drawn += 1
        for bound, seconds in chosen.ask(case):
            applied = bound.status is not Status.NOT_APPLICABLE
            counts[bound.name].update(applied=applied, positive=bound.status not in EMPTY, seconds=seconds)

    draw(chosen.cases, check, examples, number + so_far["parts"])
    return {
        "parts": so_far["parts"] + 1,
        "drawn": so_far["drawn"] + drawn,
        "seconds": so_far["seconds"] + time.process_time() - began,
        "bounds": {bound: dict(count) for bound, count in counts.items()},
    }


def load(store: Path) -> dict[str, Spent]:
    """What the file holds, nothing for draws that it does not."""
    kept = json.loads(store.read_text()) if store.exists() else {}
    return {name: kept.get(name, {"parts": 0, "drawn": 0, "seconds": 0.0, "bounds": {}}) for name in DRAWS}


def each(examples: int, number: int, store: Path) -> None:
    """Every draw to that many problems, the one that has had the least time next; the file is written after a part."""
    found = load(store)
    while pending := [name for name in DRAWS if found[name]["drawn"] < examples]:
        name = min(pending, key=lambda name: found[name]["seconds"])
        found[name] = part(name, found[name], min(PART, examples - found[name]["drawn"]), number)
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(json.dumps(found, indent=1))
        print(f"{name}: {found[name]['drawn']} problems, {found[name]['seconds']:.0f} s", file=sys.stderr, flush=True)
        if found[name]["drawn"] >= examples:
            print("\n".join(rows(name, found[name])), flush=True)


def rows(name: str, spent: Spent) -> list[str]:
    """A line of Markdown for each bound of a draw."""
    return [
        f"| {bound} | {DRAWS[name].side(bound).value} | {name} | {count['applied']:,} | {count['positive']:,} "
        f"| {count['seconds']:.0f} |"
        for bound, count in spent["bounds"].items()
    ]


def page(found: dict[str, Spent]) -> str:
    """The counts, a line per bound and draw, and the time that each draw took with all that it was held against."""
    applied: Counter[str] = Counter()
    for spent in found.values():
        applied.update({bound: count["applied"] for bound, count in spent["bounds"].items()})
    drawn, seconds = (sum(spent[key] for spent in found.values()) for key in ("drawn", "seconds"))
    short = min(spent["drawn"] for spent in found.values()) < TARGET
    lines = [
        f"**Stopped short of {TARGET:,} problems a draw**; the same command goes on.\n" if short else "**Complete.**\n",
        f"{drawn:,} problems, {sum(applied.values()):,} answers of a bound that applies, {seconds:,.0f} processor "
        f"seconds, nothing broken; every bound applied at least {min(applied.values(), default=0):,} times.",
        "",
        "| bound | side | drawn among | applied | not vacuous | s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [row for name, spent in found.items() for row in rows(name, spent)]
    lines += ["", "| problems | drawn | s |", "|---|---|---|"]
    lines += [f"| {name} | {spent['drawn']:,} | {spent['seconds']:.0f} |" for name, spent in found.items()]
    return "\n".join(lines)


def put(text: str, path: Path) -> None:
    """The text between the two marks of a page, in place of what is there."""
    before, rest = path.read_text().split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, check, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.law", description=__doc__)
    parser.add_argument("--examples", type=int, default=TARGET, help="problems drawn")
    parser.add_argument("--each", type=int, metavar="N", help="problems drawn for every bound, on which it applies")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--store", type=Path, default=Path("runs/law.json"), help="file that keeps the parts of --each")
    parser.add_argument("--write", action="store_true", help=f"put the counts of --each into {PAGE}")
    chosen = parser.parse_args(arguments)
    if chosen.each is not None:
        with short_certificates():
            each(chosen.each, chosen.seed, chosen.store)
        text = page(load(chosen.store))
        print(f"\n{text}")
        if chosen.write:
            put(text, PAGE)
        return
    tally = Tally()
    draw(problems(), tally.check, chosen.examples, chosen.seed)
    seconds = time.process_time() - tally.began
    print(f"{tally.drawn} problems, {seconds:.0f} processor seconds, nothing broken.\n\n{tally.table()}")


if __name__ == "__main__":
    main()
