"""Every method on one problem: the best value found by any of them, medians over repetitions.

Each variant runs once from the closed form to its caps.  The best value of a problem is the lowest gap of any of these
runs.  For each excess over it the variant that needs the fewest evaluations is reported, and repeated for its seconds.
From random factors the variant is chosen on the first seed, and the median over the seeds is reported; a seed that does
not arrive counts as infinitely slow.
"""

from __future__ import annotations

import contextlib
import math
import sys
from dataclasses import replace
from statistics import median

from tests.bench.outcome import CERTIFIED, CLOSED, DEAR, RANDOM, REPETITIONS, Cell, Extra, Outcome, Row, thinned
from tests.bench.peers import methods, ours
from tests.bench.peers.method import Method, Run
from tests.bench.problems import SEEDS, THRESHOLDS, HeadProblem, Problem
from tests.bench.recorder import Limits, Recorder, Stop, beginning

Points = list[tuple[float, float, float]]
Records = dict[str, dict[str, Points]]


def trial(problem: Problem, run: Run, limits: Limits, seed: int | None = None) -> Points:
    """The record of one run."""
    recorder = Recorder(problem, limits, seed)
    with contextlib.suppress(Stop):
        run(recorder)
    return recorder.points


def limits_of(problem: Problem, method: Method, enough: float = -math.inf) -> Limits:
    """The caps of a method; ours keeps its own count."""
    if not method.capped:
        return Limits(math.inf, math.inf, enough)
    return Limits(problem.evaluations, problem.seconds, enough, method.patience)


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


def lowest_of(record: dict[str, Points]) -> list[tuple[float, float]]:
    """The course of the variant that went lowest."""
    return min((envelope(points) for points in record.values()), key=lambda curve: curve[-1][1])


# ---------------------------------------------------------------------- times to an excess


def race(problem: Problem) -> Outcome:
    """Thresholds of every method on a problem whose minimum is attained, our certified fits, and random factors."""
    compared, records = methods(problem), {}
    for method in compared:
        tell(f"{problem.name}: {method.name}")
        limits = limits_of(problem, method)
        records[method.name] = {name: trial(problem, run, limits) for name, run in method.variants(problem).items()}
    tell(f"{problem.name}: certified fits")
    fits = [ours.certified(problem, CERTIFIED)]
    while fits[0].seconds < DEAR and len(fits) < REPETITIONS:
        fits.append(ours.certified(problem, CERTIFIED))
    ends = [lowest_of(record)[-1][1] for record in records.values()]
    best = min(*ends, *(fit.ended.gap for fit in fits))
    certified = Cell()
    if all(fit.ended.certified_excess <= CERTIFIED for fit in fits):
        certified = Cell(fits[0].ended.evaluations, median(fit.seconds for fit in fits), "defaults")
    winners = {method.name: winning(records[method.name], best) for method in compared}
    runs = repeated(problem, records, winners, best)
    rows = [row(method, records[method.name], runs, winners[method.name], best) for method in compared]
    rows += [usual(problem, method, best) for method in from_random(problem)]
    return Outcome(problem.name, best, rows, certified, extras(problem))


def winning(record: dict[str, Points], best: float) -> list[str]:
    """The variant that needs the fewest evaluations at each threshold, "" where none arrives."""
    winners = []
    for threshold in THRESHOLDS:
        reached = {name: crossing(points, best + threshold) for name, points in record.items()}
        counts = {name: place[0] for name, place in reached.items() if place is not None}
        winners.append(min(counts, key=counts.__getitem__) if counts else "")
    return winners


def repeated(
    problem: Problem, records: Records, winners: dict[str, list[str]], best: float
) -> dict[tuple[str, str], list[Points]]:
    """All runs of each winner, by method and variant: the methods take turns, each as far as its last threshold."""
    runs = {(method, name): [records[method][name]] for method, names in winners.items() for name in names if name}
    for repetition in range(1, REPETITIONS):
        for method in methods(problem):
            tell(f"{problem.name}: {method.name}, repetition {repetition + 1}")
            for name in sorted(set(winners[method.name]) - {""}):
                pairs = zip(THRESHOLDS, winners[method.name], strict=True)
                enough = best + min(threshold for threshold, winner in pairs if winner == name)
                again = trial(problem, method.variants(problem)[name], limits_of(problem, method, enough))
                runs[method.name, name].append(again)
    return runs


def row(
    method: Method,
    record: dict[str, Points],
    runs: dict[tuple[str, str], list[Points]],
    winners: list[str],
    best: float,
) -> Row:
    """Medians over the runs of the winner at each threshold."""
    cells = [
        cell(runs.get((method.name, winner), []), best + threshold, winner)
        for threshold, winner in zip(THRESHOLDS, winners, strict=True)
    ]
    curve = lowest_of(record)
    return Row(method.name, CLOSED, curve[-1][1], cells, thinned(curve))


def cell(runs: list[Points], target: float, variant: str) -> Cell:
    """Medians over runs, one that does not arrive being infinitely slow."""
    places = [crossing(points, target) or (math.inf, math.inf) for points in runs]
    number = median(place[0] for place in places) if places else math.inf
    return Cell(number, median(place[1] for place in places), variant) if number < math.inf else Cell()


# ---------------------------------------------------------------------- from random factors


def from_random(problem: Problem) -> list[Method]:
    """The methods that start from random factors too: on a convex problem none, with budgets the peers."""
    return [] if problem.convex else [method for method in methods(problem) if method.capped or not problem.budgets]


def seeded(problem: Problem, method: Method, first: dict[str, Points], settings: list[str]) -> dict[str, list[Points]]:
    """The runs of each setting from every seed, the first being done."""
    variants, limits = method.variants(problem), limits_of(problem, method)
    return {
        name: [first[name], *(trial(problem, variants[name], limits, seed) for seed in SEEDS[1:])]
        for name in sorted(set(settings))
    }


def usual(problem: Problem, method: Method, best: float) -> Row:
    """A method from random factors: the best setting for the first seed, medians over all seeds."""
    tell(f"{problem.name}: {method.name}, {RANDOM}")
    limits = limits_of(problem, method)
    first = {name: trial(problem, run, limits, SEEDS[0]) for name, run in method.variants(problem).items()}
    deepest = min(first, key=lambda name: envelope(first[name])[-1][1])
    settings = [winner or deepest for winner in winning(first, best)]
    runs = seeded(problem, method, first, [*settings, deepest])
    cells = [cell(runs[name], best + threshold, name) for threshold, name in zip(THRESHOLDS, settings, strict=True)]
    lowest = median(envelope(points)[-1][1] for points in runs[deepest])
    return Row(method.name, RANDOM, lowest, cells, thinned(envelope(first[deepest])))


# ---------------------------------------------------------------------- the lowest gap within a budget


def budgets(problem: Problem) -> Outcome:
    """The lowest gap within each budget, where the infimum is not attained; ``lowest`` is that of the last.

    ``fit`` shares out its budget, and Adam plans its schedule by it: each budget is a run of its own for them.
    """
    rows = []
    for method in methods(problem):
        tell(f"{problem.name}: {method.name}")
        if not method.capped:
            fits = [ours.certified(problem, CERTIFIED, budget) for budget in problem.budgets]
            curve = [(fit.ended.evaluations, fit.ended.gap) for fit in fits]
            cells = [Cell(fit.ended.gap, fit.seconds, "defaults") for fit in fits]
        else:
            limits = limits_of(problem, method)
            record = {name: trial(problem, run, limits) for name, run in method.variants(problem).items()}
            cells = [within({name: [points] for name, points in record.items()}, b) for b in problem.budgets]
            curve = lowest_of(record)
        rows.append(Row(method.name, CLOSED, min(gap for _, gap in curve), cells, thinned(curve)))
    rows += [usual_within(problem, method) for method in from_random(problem)]
    return Outcome(problem.name, min(row.lowest for row in rows), rows)


def usual_within(problem: Problem, method: Method) -> Row:
    """A method from random factors: the best setting for the first seed at each budget, medians over all seeds."""
    tell(f"{problem.name}: {method.name}, {RANDOM}")
    limits = limits_of(problem, method)
    first = {name: trial(problem, run, limits, SEEDS[0]) for name, run in method.variants(problem).items()}
    single = {name: [points] for name, points in first.items()}
    settings = [within(single, budget).variant for budget in problem.budgets]
    runs = seeded(problem, method, first, settings)
    cells = [within({name: runs[name]}, budget) for budget, name in zip(problem.budgets, settings, strict=True)]
    lowest = [found.number for found in cells if found.number is not None]
    return Row(method.name, RANDOM, min(lowest), cells, thinned(lowest_of(first)))


def within(runs: dict[str, list[Points]], budget: float) -> Cell:
    """The lowest gap of any variant within a budget, its seconds until then: medians over its runs."""
    found = {}
    for name, repetitions in runs.items():
        ends = []
        for points in repetitions:
            gap = min(gap for spent, _, gap in points if spent <= budget or spent == points[0][0])
            ends.append((gap, max(seconds for spent, seconds, _ in points if spent <= budget or spent == points[0][0])))
        found[name] = median(gap for gap, _ in ends), median(seconds for _, seconds in ends)
    winner = min(found, key=lambda name: found[name][0])
    return Cell(*found[winner], winner)


# ---------------------------------------------------------------------- one problem


def extras(problem: Problem) -> list[Extra]:
    """Our tournaments of random starts."""
    if not isinstance(problem, HeadProblem):
        return []
    found = []
    for bias in problem.tournaments:
        tell(f"{problem.name}: tournament")
        fits = [ours.tournament(problem, bias) for _ in range(REPETITIONS)]
        seconds = median(fit.seconds for fit in fits)
        label = f"{ours.NAME}, {ours.TOURNAMENT.random_starts} random starts, {'with' if bias else 'without'} bias"
        found.append(Extra(label, fits[0].ended.gap, fits[0].ended.evaluations, seconds))
    return found


def measure(problem: Problem) -> Outcome:
    """Everything on one problem."""
    outcome = budgets(problem) if problem.budgets else race(problem)
    _, evaluations, seconds = beginning(problem, False, None)
    return replace(outcome, begin=(evaluations, seconds))


def tell(line: str) -> None:
    """One line of progress, overwritten by the next on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
