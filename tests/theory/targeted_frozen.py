"""A draw of problems with frozen features on which every bound of their catalogue applies, and its law.

A lower side holds for heads of a curvature; it is a multiple of that, so each head is held to the bound of its own.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from synth._array import to_numpy
from tests.theory.drawn_tables import between, one_of, seeded
from tests.theory.frozen_worlds import features, problem, random_head
from tests.theory.lawful import Answer
from tests.tolerances import rounding
from theory import Bound, Head, Side, Status
from theory.frozen import FrozenProblem, FrozenSpec, frozen_catalogue
from theory.frozen.catalogue import FrozenEntry
from theory.recheck.frozen import verify_frozen

LEAST = 1e-12
"""Gap below which the curvature of a head is rounding."""


@dataclass(frozen=True, eq=False)
class FrozenCase:
    """A problem, a rank, and a head of it that is known."""

    problem: FrozenProblem
    rank: int
    head: Head

    @property
    def room(self) -> float:
        """Rounding allowed between two gaps."""
        return rounding(1.0, self.problem.rows * self.problem.vocab)


def frozen_case(rng: np.random.Generator) -> FrozenCase:
    """A problem of any rank with a random head beside it, near the full one or far from it."""
    rows, width, vocab = between(rng, 8, 40), between(rng, 1, 4), between(rng, 2, 7)
    scale = float(np.exp(rng.uniform(np.log(0.05), np.log(2.0))))
    world = problem(between(rng, 0, 2**32), rows, width, vocab, scale, one_of(rng, False, True))
    rank = between(rng, 0, min(width, vocab))
    head = random_head(world, rank, between(rng, 0, 2**32), scale * rng.uniform() * one_of(rng, 1.0, 0.1))
    return FrozenCase(world, rank, head.on(world.X))


def gap_and_curvature(world: FrozenProblem, head: Head) -> tuple[float, float]:
    """The gap of a head by the textbook route, and ``gap / sum_n pi_n sum_v p_nv (log q_nv - log p_nv)^2``."""
    log_p = to_numpy(Head(world.X, world.W, world.b).log_q())
    error, p, weights = to_numpy(head.log_q()) - log_p, np.exp(log_p), to_numpy(world.weights)
    gap, square = -float(weights @ (p * error).sum(axis=1)), float(weights @ (p * error**2).sum(axis=1))
    return gap, gap / square if gap > LEAST else 0.0


def curvature_of(case: FrozenCase) -> float:
    """The class that the bounds of a case are asked for: that of its head, 1/2 where the head is the full one."""
    return gap_and_curvature(case.problem, case.head)[1] or 0.5


def spoken(case: FrozenCase, entry: FrozenEntry, curvature: float) -> Answer:
    """What a bound says, applicable and verified."""
    began = time.process_time()
    bound = entry(case.problem, FrozenSpec(case.rank, curvature))
    assert not math.isnan(bound.value), bound.name
    assert bound.status is not Status.NOT_APPLICABLE, (bound.name, bound.reason)
    verdict = verify_frozen(bound, features(case.problem), case.rank, curvature)
    assert verdict.ok, (bound.name, verdict.message)
    return Answer(bound, time.process_time() - began)


def broken(case: FrozenCase, bounds: list[Bound], curvature: float) -> list[str]:
    """Names of the bounds that contradict a head, or an upper side below the floor at rank 0 with a bias."""
    heads = [case.head, *(bound.witness for bound in bounds if bound.witness is not None)]
    known = [gap_and_curvature(case.problem, head) for head in heads]
    high = [
        bound.name
        for bound in bounds
        if bound.side is Side.LOWER and any(bound.value * c / curvature > gap + case.room for gap, c in known)
    ]
    least = case.problem.moments.mutual_information if case.rank == 0 and case.problem.bias else 0.0
    return high + [bound.name for bound in bounds if bound.side is Side.UPPER and bound.value < least - case.room]


@dataclass(frozen=True)
class FrozenDraw:
    """The one draw: every bound of ``frozen_catalogue`` applies to each of its cases."""

    cases = seeded(frozen_case)
    bounds = tuple(entry.name for entry in frozen_catalogue)
    side = staticmethod(lambda name: frozen_catalogue[name].side)

    def ask(self, case: FrozenCase) -> list[Answer]:
        """What every bound says, verified and in keeping with the law."""
        curvature = curvature_of(case)
        answers = [spoken(case, entry, curvature) for entry in frozen_catalogue]
        found = broken(case, [answer.bound for answer in answers], curvature)
        assert not found, (found, case)
        return answers
