"""How many times fewer evaluations and less time ours takes than its peers: sentences computed from the rows."""

from __future__ import annotations

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
    """One line on the last column that ours reaches."""
    own = outcome.row(ours.NAME)
    if own is None:
        return ""
    rivals = [row for row in (outcome.row(*rival) for rival in RIVALS) if row is not None]
    if problem.budgets:
        return at_budget(problem, own, rivals)
    reached = [place for place, cell in enumerate(own.cells) if cell.number is not None]
    if not reached:
        return "Ours does not arrive at any of these excesses."
    place = reached[-1]
    mine, parts, absent = own.cells[place], [], []
    for row in rivals:
        ratios = against(mine, row.cells[place])
        if ratios:
            parts.append(f"{ratios} than {named(problem, row)}")
        else:
            absent.append(named(problem, row))
    text = f"To {heading(problem.headings[place])}"
    if parts:
        text += ", ours takes " + "; ".join(parts) + "."
    if absent:
        text += f"{' ' if parts else ', '}{'Not' if parts else 'not'} arrived within the caps: {'; '.join(absent)}."
    return text


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
