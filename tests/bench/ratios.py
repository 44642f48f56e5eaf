"""How many times fewer evaluations and less time ours takes than its peers: sentences computed from the rows."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.outcome import CLOSED, RANDOM, Cell, Outcome, Row
from tests.bench.peers import adam, ours
from tests.bench.problems import Problem

RIVALS = (
    (adam.NAME, CLOSED),
    (adam.NAME, RANDOM),
    ("SciPy L-BFGS-B, whitened", CLOSED),
    ("SciPy L-BFGS-B, whitened", RANDOM),
    ("scikit-learn, lbfgs", CLOSED),
    ("scikit-learn, newton-cg", CLOSED),
)
"""Methods and starts of the sentence, where they were run."""


def sentence(problem: Problem, outcome: Outcome) -> str:
    """One line on the last column that ours reaches, and one on ours from random factors."""
    if problem.budgets:
        own, rivals = outcome.row(ours.NAME), present(outcome, RIVALS)
        return "" if own is None else at_budget(problem, own, rivals)
    rivals = present(outcome, RIVALS)
    text = compared(problem, outcome.row(ours.NAME), rivals, "ours")
    own = outcome.row(ours.NAME, RANDOM)
    more = "" if own is None else compared(problem, own, rivals, "ours, from random factors itself,")
    return f"{text} {more}".strip()


def present(outcome: Outcome, rivals: Sequence[tuple[str, str]]) -> list[Row]:
    """The rows of methods and starts, where they were run."""
    return [row for row in (outcome.row(*rival) for rival in rivals) if row is not None]


def compared(problem: Problem, own: Row | None, rivals: list[Row], subject: str) -> str:
    """Ratios to each rival in the last column that ours reaches."""
    if own is None or not rivals:
        return ""
    reached = [place for place, cell in enumerate(own.cells) if cell.number is not None]
    if not reached:
        return f"None of these excesses is reached within the caps by {subject.rstrip(',')}."
    place = reached[-1]
    parts, absent = [], []
    for row in rivals:
        ratios = against(own.cells[place], row.cells[place])
        if ratios:
            parts.append(f"{ratios} than {named(problem, row)}")
        else:
            absent.append(named(problem, row))
    where = heading(problem.headings[place])
    text = [f"To {where}, {subject} takes {'; '.join(parts)}."] if parts else []
    if absent:
        text.append(f"{'Not there' if parts else f'Not at {where}'} within the caps: {'; '.join(absent)}.")
    return " ".join(text)


def against(own: Cell, other: Cell) -> str:
    """``3.1× fewer evaluations and 2.0× less time``, as the numbers have it; "" where the other does not arrive."""
    if own.number is None or own.seconds is None or other.number is None or other.seconds is None:
        return ""
    evaluations = times(other.number / own.number, "fewer evaluations", "more evaluations")
    return f"{evaluations} and {times(other.seconds / own.seconds, 'less time', 'more time')}"


def times(ratio: float, less: str, more: str) -> str:
    """A ratio in words that fit its direction."""
    return f"{ratio:.1f}× {less}" if ratio >= 1 else f"{1 / ratio:.1f}× {more}"


def named(problem: Problem, row: Row) -> str:
    """A method and where it starts."""
    return row.method if problem.convex else f"{row.method}, from {a_start(row.start)}"


def a_start(start: str) -> str:
    """A kind of start in a sentence."""
    return "our closed form" if start == CLOSED else start


def at_budget(problem: Problem, own: Row, rivals: list[Row]) -> str:
    """Differences of the gap at the largest budget."""
    gaps = [(row, row.cells[-1].number, own.cells[-1].number) for row in rivals]
    parts = [
        f"{abs(other - mine):.4f} nats {'below' if mine <= other else 'above'} {named(problem, row)}"
        for row, other, mine in gaps
        if other is not None and mine is not None
    ]
    return f"After {problem.budgets[-1]} evaluations, ours is " + "; ".join(parts) + "."


def heading(value: float) -> str:
    """An excess as a column heading."""
    return f"{value:.0e}".replace("e-0", "e-")
