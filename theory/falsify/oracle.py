"""The truth to hold a claim against: something proved, or done, on the other side.

A claimed *lower* bound is refuted by any head of the class with a smaller gap (found by descent), or by an exact value
of the catalogue below it.  A claimed *upper* bound is refuted by a lower bound or exact value of the catalogue above
it.  Evidence is a ``Bound`` and passes ``theory.verify`` before it is believed, so the files of ``theory.bounds`` are
not taken at their word.

``score`` tells the search how near a refutation is.  For a lower claim it is ``log(claim / best head)``, positive when
broken.  For an upper claim: while some head reaches the claim it is true here, and the score is
``log(best head / claim) <= 0``; otherwise it grows with the share ``proved / claim``, from 0 to 1 where it breaks.
A claim of nearly zero has no ratio: there it is ``-1 / best head``, so that claimed zeros which a head all but reaches
come last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from theory.bound import Bound, Side, Status, catalogue
from theory.falsify.claim import Conjecture
from theory.falsify.descent import QUICK, THOROUGH, Effort, best_head
from theory.falsify.problem import Problem
from theory.head import Head
from theory.verify import verify

RELATIVE = 1e-9
"""Relative excess over the evidence that counts as rounding of the claim."""

NEARLY_ZERO = 1e-9
"""Nats below which a claimed upper bound is compared by difference: ratios of such numbers are rounding."""

NEAR = 0.7
"""Share of the best head from which a claimed lower bound is worth a thorough descent."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """A claim tried on one problem: the value claimed, the best evidence against it, and how near it is to breaking."""

    problem: Problem
    claimed: float
    evidence: Bound
    score: float
    broken: bool

    @property
    def ratio(self) -> float:
        """``claimed / evidence``: above 1 a lower claim is broken, below 1 an upper one."""
        if self.evidence.value == 0:
            return math.copysign(math.inf, self.claimed) if self.claimed else 1.0
        return self.claimed / self.evidence.value


def judge(
    conjecture: Conjecture, problem: Problem, effort: Effort | None = None, warm: Head | None = None
) -> Judgement | None:
    """The claim against the truth on one problem; ``None`` where nothing is claimed.

    Without ``effort`` a quick descent is followed by a thorough one where the claim comes near it.
    """
    value = conjecture.value(problem.distribution, problem.spec)
    if value is None:
        return None
    efforts = (QUICK, THOROUGH) if effort is None else (effort,)
    return (_judge_lower if conjecture.side is Side.LOWER else _judge_upper)(problem, value, efforts, warm)


def slack(problem: Problem, value: float) -> float:
    """Excess that may be rounding, nats."""
    finite = problem.log_p[problem.support]
    scale = max(1.0, float(np.abs(finite).max()))
    relative = RELATIVE * abs(value) if math.isfinite(value) else 0.0
    return relative + 64 * float(np.finfo(np.float64).eps) * scale * math.sqrt(problem.log_p.size)


def _judge_lower(problem: Problem, value: float, efforts: tuple[Effort, ...], warm: Head | None) -> Judgement:
    ceiling = min(_exact(problem), key=lambda bound: bound.value, default=None)
    room = slack(problem, value)
    for effort in efforts:
        if ceiling is None or value <= ceiling.value + room:
            ceiling = _lower_of(ceiling, _reached(problem, effort, warm))
        if not NEAR * ceiling.value < value <= ceiling.value + room or ceiling.side is Side.EXACT:
            break
    assert ceiling is not None
    broken = value > ceiling.value + room and verify(ceiling, problem.distribution, problem.spec).ok
    if ceiling.value == math.inf:
        return Judgement(problem, value, ceiling, -math.inf, False)
    return Judgement(problem, value, ceiling, math.log(value / max(ceiling.value, room)), broken)


def _judge_upper(problem: Problem, value: float, efforts: tuple[Effort, ...], warm: Head | None) -> Judgement:
    room = slack(problem, value)
    for effort in efforts:  # a thorough descent only where the quick one leaves the claim in doubt
        reached = _reached(problem, effort, warm)
        if value >= reached.value - room:
            break
    small = value <= max(NEARLY_ZERO, room)
    if value >= reached.value - room:  # a head does it: the claim is true here
        share = 0.0 if small else reached.value / value
        return Judgement(problem, value, reached, math.log(share) if share > 0 else -math.inf, False)
    nothing = Bound(0.0, "divergence is non-negative", Side.LOWER, Status.VACUOUS)
    floor = max([nothing, *_lower(problem)], key=lambda bound: bound.value)
    broken = value < floor.value - room and verify(floor, problem.distribution, problem.spec).ok
    score = -1 / max(reached.value, NEARLY_ZERO) if small else min(floor.value / value, 1.0)
    return Judgement(problem, value, floor, score, broken)


def _reached(problem: Problem, effort: Effort, warm: Head | None) -> Bound:
    """The best head of a descent as an upper bound; +inf where no member of a limited class was met."""
    head, gap = best_head(problem, effort, warm)
    if head is None:
        return Bound(math.inf, "no head found", Side.UPPER, Status.VACUOUS)
    return Bound(gap, "a head found by descent", Side.UPPER, witness=head)


def _lower_of(one: Bound | None, other: Bound) -> Bound:
    return other if one is None or other.value < one.value else one


def _exact(problem: Problem) -> Iterator[Bound]:
    """Exact values of the catalogue."""
    for entry in catalogue:
        if entry.side is Side.EXACT:
            bound = entry(problem.distribution, problem.spec)
            if bound.applies and bound.side is Side.EXACT:
                yield bound


def _lower(problem: Problem) -> Iterator[Bound]:
    """Lower bounds and exact values of the catalogue."""
    for entry in catalogue:
        if entry.side.is_lower:
            bound = entry(problem.distribution, problem.spec)
            if bound.applies and bound.side.is_lower:
                yield bound
