"""The law on very many drawn problems: ``python -m tests.bench.law [--examples N] [--seed S]``.

Draws distributions and classes of heads as the conformance tests do, asks every bound of the catalogue, verifies each
answer and checks the law.  Prints how often each bound had something to say, in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, given, seed, settings

from tests.theory.test_conformance import answers, problems
from theory import Status, catalogue

REPORT = 1000
"""Problems between two lines of progress."""


class Tally:
    """How many problems were drawn, and on how many of them each bound spoke."""

    def __init__(self) -> None:
        self.drawn, self.spoke, self.positive, self.began = 0, Counter(), Counter(), time.process_time()

    def check(self, problem: tuple) -> None:
        """One problem; an ``AssertionError`` where a bound is not verified or the law is broken."""
        self.drawn += 1
        for bound in answers(*problem):
            self.spoke[bound.name] += bound.status is not Status.NOT_APPLICABLE
            self.positive[bound.name] += bound.status not in (Status.NOT_APPLICABLE, Status.VACUOUS)
        if self.drawn % REPORT == 0:
            seconds = time.process_time() - self.began
            print(f"{self.drawn} problems, {seconds:.0f} processor seconds", file=sys.stderr, flush=True)

    def table(self) -> str:
        """The counts, a line per bound."""
        rows = [f"| {e.name} | {e.side.value} | {self.spoke[e.name]} | {self.positive[e.name]} |" for e in catalogue]
        return "\n".join(["| bound | side | applied | not vacuous |", "|---|---|---|---|", *rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, check, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.law", description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000, help="problems drawn")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    chosen = parser.parse_args(arguments)
    tally = Tally()
    generous = settings(
        max_examples=chosen.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    seed(chosen.seed)(generous(given(problems())(tally.check)))()
    seconds = time.process_time() - tally.began
    print(f"{tally.drawn} problems, {seconds:.0f} processor seconds, nothing broken.\n\n{tally.table()}")


if __name__ == "__main__":
    main()
