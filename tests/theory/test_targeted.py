"""Every bound on a thousand problems on which it applies, each verified and held to the law; and what the law catches.

``python -m tests.bench.law --each 100000`` draws a hundred thousand for each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from synth import ContextualDistribution, families
from tests.theory import lawful as harness
from tests.theory import targeted_frozen
from tests.theory.lawful import Case, broken, lawful, short_certificates
from tests.theory.targeted import DRAWS, rounded_rows
from tests.theory.targeted_frozen import FrozenCase
from tests.theory.test_conformance import MANY
from tests.theory.test_frozen_bounds import coin, nearly_uniform
from tests.theory.test_tightness import TABLE
from tests.theory.test_tightness import coin as two_sided
from theory import Bound, Head, HeadSpec, Side, Status, catalogue, verify
from theory.bound import Entry
from theory.frozen import FrozenProblem, FrozenSpec, best_truncation, excess, frozen_catalogue
from theory.recheck.frozen import verify_frozen

PUSH = 1.03
"""How far past its tight instance a bound is pushed."""

SMALL = 1e-8
"""Nats below which a few per cent are within what a re-check allows for rounding."""

MIDDLE = Head(np.array([[-40.0], [1e3], [4e7]]), np.array([[-1.0], [0.0], [1e-6]]))
"""Three one-hot contexts in one dimension, the middle token sharing its context: log(2) / 3."""

EARLY = [
    ("full-rank", families.low_rank(contexts=9, vocab=7, rank=3), HeadSpec(3)),
    ("binary", two_sided(1.0), HeadSpec(1)),
    ("sparse-support", families.all_k_subsets(6, 2), HeadSpec(4)),
    ("moment-curve", families.all_k_subsets(6, 2), HeadSpec(4)),
    ("nested-supports", families.staircase(6), HeadSpec(1)),
    ("staircase-head", families.staircase(6, exponent=1.0), HeadSpec(1, True)),
]
"""Floors that are zero, and their least dimension."""


def test_the_draws_name_every_bound():
    named = {name for draw in DRAWS.values() for name in draw.bounds}
    assert named == {entry.name for entry in catalogue} | {entry.name for entry in frozen_catalogue}


@pytest.mark.parametrize("name", DRAWS)
def test_every_bound_speaks_on_a_thousand_problems_and_the_law_holds(name):
    draw, spoke = DRAWS[name], Counter()

    @MANY
    @given(draw.cases)
    def check(case):
        spoke.update(b.name for b, _ in draw.ask(case) if b.status is not Status.NOT_APPLICABLE)

    with short_certificates():
        check()
    assert set(spoke) == set(draw.bounds)
    assert min(spoke.values()) >= MANY.max_examples


# ---------------------------------------------------------------------- sabotage


def pushed(entry, factor):
    """The bound with its value times ``factor``, its evidence as it was."""

    def wrong(distribution, spec):
        claim = entry.function(distribution, spec)
        return replace(claim, value=claim.value * factor)

    return Entry(entry.name, entry.side, wrong, entry.rounded)


def opponents(name):
    """What the draws of a bound hold it against."""
    beside = {other for draw in DRAWS.values() if name in draw.bounds for other in (*draw.bounds, *draw.against)}
    return [catalogue[other] for other in sorted(beside - {name})]


def tight_case(name):
    """The tight instance of a bound with the heads known there: no logits, and those named above."""
    row = TABLE[name]
    shape = (row.distribution.contexts, row.distribution.vocab)
    nothing = Head(*(np.zeros((size, row.spec.dim)) for size in shape), None, row.spec.float_format)
    special = {"all-k-subsets": [MIDDLE], "precision-floor": [rounded_rows(row.distribution, "bfloat16")]}
    heads = [nothing, *special.get(name, [])]
    return Case(row.distribution, row.spec, tuple(h for h in heads if h.belongs_to(row.spec, row.distribution)))


@pytest.mark.parametrize("name", TABLE)
def test_the_law_alone_catches_a_bound_pushed_past_its_tight_instance(name, monkeypatch):
    case, entry, factor = tight_case(name), catalogue[name], TABLE[name].factor * PUSH
    lawful(case, [entry], opponents(name))
    wrong = pushed(entry, factor if entry.side is Side.LOWER else 1 / factor)
    monkeypatch.setattr(harness, "verify", lambda bound, *_: verify(catalogue[bound.name](*_), *_))
    with pytest.raises(AssertionError, match=name):
        lawful(case, [wrong], opponents(name))


@pytest.mark.parametrize(("name", "distribution", "spec"), EARLY)
def test_a_zero_one_dimension_too_early_is_caught_twice(name, distribution, spec):
    case, early = Case(distribution, spec), Case(distribution, HeadSpec(spec.dim - 1, spec.bias))
    (answer,) = lawful(case, [catalogue[name]])
    others = [harness.spoken(early, entry).bound for entry in (*opponents(name), catalogue["unigram"])]
    assert broken(early, others) == []
    assert name in broken(early, [answer.bound, *others])
    assert not verify(answer.bound, distribution, early.spec).ok


def re_check(case):
    """The verdict on a bound of the case, as a function of the bound."""
    if isinstance(case, FrozenCase):
        features, curvature = targeted_frozen.features(case.problem), targeted_frozen.curvature_of(case)
        return lambda bound: verify_frozen(bound, features, case.rank, curvature)
    return lambda bound: verify(bound, case.distribution, case.spec)


def refused(bound, check):
    """Whether the re-check refuses a bound moved by a few per cent; ``None`` where it is too small to be moved."""
    if bound.side is Side.UPPER:
        gap = bound.value if not bound.certificate.get("dominates") else check(bound).recomputed
        return None if gap < SMALL else not check(replace(bound, value=gap / PUSH)).ok
    if bound.side is Side.EXACT and bound.value < SMALL:
        return not check(replace(bound, value=PUSH - 1)).ok
    return None if bound.value < SMALL else not check(replace(bound, value=bound.value * PUSH)).ok


@pytest.mark.parametrize("name", DRAWS)
def test_the_re_check_refuses_every_bound_moved_by_a_few_per_cent(name):
    draw, seen = DRAWS[name], Counter()

    @settings(max_examples=40)
    @given(draw.cases)
    def check(case):
        for bound, _ in draw.ask(case):
            found = refused(bound, re_check(case))
            assert found is not False, bound.name
            seen[bound.name] += found is True

    with short_certificates():
        check()
    assert {bound for bound in draw.bounds if not seen[bound]} <= {"staircase-head", "moment-curve"}  # they are zero


@pytest.mark.parametrize("name", [entry.name for entry in frozen_catalogue])
def test_the_law_on_frozen_features_catches_a_pushed_bound(name):
    world, rank = (nearly_uniform(), 2) if name == "frozen-lower" else (coin(0.01), 0)
    head, _ = best_truncation(world, rank)
    case, curvature = FrozenCase(world, rank, head.on(world.X)), excess(world, head).curvature
    bound = frozen_catalogue[name](world, FrozenSpec(rank, curvature))
    factor = PUSH if bound.side is Side.LOWER else 1 / PUSH
    assert targeted_frozen.broken(case, [bound], curvature) == []
    assert targeted_frozen.broken(case, [replace(bound, value=bound.value * factor)], curvature) == [name]


# ---------------------------------------------------------------------- found by the long run


def test_the_re_check_keeps_the_digits_in_which_huge_logits_differ():
    """Logits of a million on the support once cost the re-check 1e-10 nats, and a true bound its verdict."""
    distribution = ContextualDistribution.from_probabilities([[0.0, 0.0, 0.0, 0.501, 0.499]])
    head = Head(np.array([[0.0]]), np.zeros((5, 1)), 2.0**20 + np.array([-1e7, -1e7, -1e7, *np.log([0.501, 0.499])]))
    bound = Bound(head.gap(distribution), "huge logits", Side.UPPER, witness=head)
    assert 0 <= bound.value < 1e-12
    found = verify(bound, distribution, HeadSpec(1, bias=True))
    assert found.ok
    assert abs(found.recomputed) < 1e-12


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_witness_whose_logits_overflow_proves_nothing():
    """Its gap is no number, and no comparison with it fails."""
    distribution = ContextualDistribution.from_probabilities([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    head = Head(np.full((2, 1), 1e200), np.array([[1e200], [1e200], [0.0]]))
    claim = Bound(1e-9, "overflow", Side.UPPER, witness=head)
    assert "overflow" in verify(claim, distribution, HeadSpec(1)).message
    features = targeted_frozen.features(FrozenProblem.of(np.ones((2, 1)), np.arange(3.0)[:, None]))
    assert "overflow" in verify_frozen(claim, features, 1).message
