"""The law on one case: what a bound says is verified, and contradicts no head and no other bound of the case."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from unittest.mock import patch

from synth import ContextualDistribution
from tests.theory.quickfit import fitted_gap
from tests.tolerances import rounding
from theory import Bound, Head, HeadSpec, Status, verify
from theory.bound import Entry

ITERATIONS = 20
"""Of a short fit."""

EVALUATIONS, STAGES, CAPS = 4, (0.3,), 1
"""Of a short conjugate certificate: evaluations, temperatures, and caps tried for unlimited heads; a step or two."""


@dataclass(frozen=True, eq=False)
class Case:
    """A distribution, a class of heads, and members of the class that are known."""

    distribution: ContextualDistribution
    spec: HeadSpec
    heads: tuple[Head, ...] = ()


class Answer(NamedTuple):
    """What a bound said, and the processor seconds that saying and verifying it took."""

    bound: Bound
    seconds: float


def spoken(case: Case, entry: Entry) -> Answer:
    """What a bound says of the case, verified; an ``AssertionError`` where it is wrong in itself."""
    began = time.process_time()
    bound = entry(case.distribution, case.spec)
    assert not math.isnan(bound.value), bound.name
    assert bound.value >= 0, bound.name
    verdict = verify(bound, case.distribution, case.spec)
    assert verdict.ok, (bound.name, verdict.message)
    return Answer(bound, time.process_time() - began)


def reached(case: Case, fitted: bool = False) -> float:
    """The least gap of the heads that are known to be in the class, a short fit among them if the class allows it."""
    assert all(head.belongs_to(case.spec, case.distribution) for head in case.heads)
    gaps = [head.gap(case.distribution) for head in case.heads]
    if fitted and case.spec.is_unbounded:
        gaps.append(fitted_gap(case.distribution, case.spec, starts=0, iterations=ITERATIONS))
    return min(gaps, default=math.inf)


def broken(case: Case, bounds: Sequence[Bound], gap: float = math.inf) -> list[str]:
    """Names of the bounds that contradict one another, or the gap of a head of the class."""
    room = rounding(max(1.0, case.distribution.entropy), case.distribution.contexts * case.distribution.vocab)
    binding = [bound for bound in bounds if bound.applies]
    above = min([gap, *(bound.value for bound in binding if bound.side.is_upper)])
    below = max([0.0, *(bound.value for bound in binding if bound.side.is_lower)])
    high = [bound.name for bound in binding if bound.side.is_lower and bound.value > above + room]
    return high + [bound.name for bound in binding if bound.side.is_upper and bound.value < below - room]


def lawful(case: Case, asked: Sequence[Entry], beside: Sequence[Entry] = (), fitted: bool = False) -> list[Answer]:
    """What the bounds ``asked`` say, each applicable, verified, and in keeping with the law.

    Bounds ``beside`` them are asked too and held to the same, where they apply.
    """
    answers = [spoken(case, entry) for entry in asked]
    silent = [(bound.name, bound.reason) for bound, _ in answers if bound.status is Status.NOT_APPLICABLE]
    assert not silent, silent
    bounds = [answer.bound for answer in (*answers, *(spoken(case, entry) for entry in beside))]
    found = broken(case, bounds, reached(case, fitted))
    assert not found, (found, case)
    return answers


@contextmanager
def short_certificates() -> Iterator[None]:
    """Conjugate certificates of the catalogue by a much shorter ascent: as valid, not as large."""
    short = {"LIMITED": EVALUATIONS, "UNLIMITED": EVALUATIONS, "STAGES": STAGES}
    with patch.multiple("theory.bounds.conjugate", **short), patch("theory.certificate.search.CAPS", CAPS):
        yield
