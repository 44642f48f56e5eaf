"""Ascent on the score: log-probabilities and weights move until the claim breaks or no step helps.

The function under test is a black box, so its logarithm is differentiated by finite differences.  The other side has a
closed form where it is a head: with the head fixed (envelope theorem) the gap of a table x has the gradient
``descent.table_gradient``.  Where it is a bound of the catalogue, that too is differenced.

    x = [logits, log weights],   slope = +-( d log claim / dx - d log evidence / dx ),   x <- x + step slope / |slope|

with + for lower claims.  An accepted step is half as long again, a refused one a third, and every refusal is followed
by a random perturbation of the same length: bounds have kinks (maxima, sorted singular values) where slopes mislead.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from theory.bound import Side, catalogue
from theory.falsify.claim import Conjecture
from theory.falsify.descent import table_gradient
from theory.falsify.oracle import Judgement, judge
from theory.falsify.problem import Problem

DIFFERENCE = 1e-6
"""Step of the finite differences, in logits and log weights."""

FIRST_STEP, LAST_STEP = 0.3, 1e-3
"""Lengths of steps, largest entry."""


def ascend(
    conjecture: Conjecture, start: Judgement, spend: Callable[[], None], rng: np.random.Generator, steps: int = 25
) -> Judgement:
    """The judgement that an ascent from ``start`` ends in, broken or of no lower score.

    ``spend`` is called before each trial and may end the ascent by raising.  Cost of a step: one call of the function
    for each unknown (C V + C) after progress, and one or two judgements.
    """
    here, length = start, FIRST_STEP
    slope = _slope(conjecture, here)
    for _ in range(steps):
        noise = rng.standard_normal(len(slope))
        better = None
        for direction in (slope, noise):
            if better is None and np.any(direction):
                spend()
                better = _step(conjecture, here, direction, length)
        if better is None:
            length /= 3
        else:
            here, length = better, 1.5 * length
        if here.broken or length < LAST_STEP:
            break
        if better is not None:
            slope = _slope(conjecture, here)
    return here


def _step(conjecture: Conjecture, here: Judgement, direction: np.ndarray, length: float) -> Judgement | None:
    """The judgement ``length`` along a direction, if its score is higher."""
    x = here.problem.unknowns + length * direction / np.abs(direction).max()
    found = judge(conjecture, here.problem.at(x), warm=here.evidence.witness)
    return found if found is not None and (found.broken or found.score > here.score) else None


def _slope(conjecture: Conjecture, here: Judgement) -> np.ndarray:
    """Gradient of the score in the unknowns; zero where nothing is claimed nearby, and where no head was found."""
    problem, x = here.problem, here.problem.unknowns
    head = here.evidence.witness
    follow = here.evidence.name if head is None or here.evidence.side is Side.EXACT else None
    slope = np.zeros(len(x))
    if not (0 < here.claimed < math.inf and 0 < here.evidence.value < math.inf):
        return slope
    log_evidence = math.log(here.evidence.value)
    for i in range(len(x)):
        moved = x.copy()
        moved[i] += DIFFERENCE
        there = problem.at(moved)
        claimed = conjecture.value(there.distribution, there.spec)
        if claimed is not None and 0 < claimed < math.inf:
            slope[i] = (math.log(claimed) - math.log(here.claimed)) / DIFFERENCE
        if follow is not None:
            slope[i] -= (_log_evidence(there, follow, log_evidence) - log_evidence) / DIFFERENCE
    if follow is None and head is not None:
        slope -= table_gradient(problem, head) / here.evidence.value
    return slope if conjecture.side is Side.LOWER else -slope


def _log_evidence(problem: Problem, name: str, otherwise: float) -> float:
    """Logarithm of the named bound, where it still applies and is positive."""
    bound = catalogue[name](problem.distribution, problem.spec)
    return math.log(bound.value) if bound.applies and 0 < bound.value < math.inf else otherwise
