"""The hunt breaks what is wrong, spares what is right, and its parts do what they say."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from synth import families
from tests.theory.wrong_bounds import RIGHT, WRONG
from theory import HeadSpec, NotApplicable, Side, catalogue
from theory.falsify import Options, falsify

BUDGET = 800
"""Problems within which every wrong bound breaks; the slowest needs about 200."""

FEW = settings(max_examples=max(1, settings.default.max_examples // 5))
MISTAKES = {one.name: one for one in WRONG}


def too_much(distribution, spec):
    """A lower bound that is false as soon as one dimension helps."""
    return distribution.mutual_information


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_bound_is_broken(name):
    one = MISTAKES[name]
    outcome = falsify(one.wrong, one.side, examples=BUDGET, options=Options(name))
    assert outcome.broken
    found = outcome.counterexample
    assert found.recheck(one.wrong).ok
    assert found.distribution.contexts * found.distribution.vocab <= 9
    assert outcome.sentence.startswith(f"{name} claims g")
    assert outcome.examples <= BUDGET


@pytest.mark.parametrize("name", MISTAKES)
def test_its_repair_is_not(name):
    one = MISTAKES[name]
    outcome = falsify(one.right, one.side, examples=80, options=Options(name))
    assert not outcome.broken, outcome.sentence
    assert outcome.examples == 80
    assert math.isfinite(outcome.nearest)
    assert outcome.nearest <= 1 + 1e-9 if one.side == "lower" else outcome.nearest >= 1 - 1e-9


@pytest.mark.parametrize("entry", [e for e in catalogue if e.side is not Side.ASYMPTOTIC], ids=lambda e: e.name)
def test_our_own_are_not_broken_at_once(entry):
    sides = [side for side in ("lower", "upper") if (entry.side.is_lower if side == "lower" else entry.side.is_upper)]
    for side in sides:
        outcome = falsify(entry, side, examples=50, seed=1, options=Options(limits=True, formats=True))
        assert not outcome.broken, outcome.sentence


def test_a_limited_class_is_hunted_too():
    """A bound that speaks of limited classes only is broken there."""

    def too_steep(distribution, spec):
        return 1.3 * catalogue["fisher-range-lower"](distribution, spec).value

    outcome = falsify(too_steep, "lower", seed=7, examples=BUDGET, options=Options(limits=True))
    assert outcome.broken
    assert not outcome.counterexample.spec.is_unbounded
    assert outcome.counterexample.recheck(too_steep).ok


def test_a_claim_on_few_tables_is_hunted_where_it_speaks():
    """Tables of distinct one-hot contexts: general draws hardly meet one of seven tokens, a strategy of them does."""

    def speaks(distribution, spec):
        rows = np.asarray(distribution.p)
        return distribution.vocab == 7 and bool(np.all((rows == 0) | (rows == 1)))

    pairs = st.builds(lambda bias: (families.one_hot(7), HeadSpec(0, bias)), st.booleans())
    for factor, broken in ((0.9, True), (1.0, False)):

        def claim(distribution, spec, factor=factor):
            return factor * math.log(7) if speaks(distribution, spec) else None

        assert "nothing was tested" in falsify(claim, "upper", examples=100).sentence
        outcome = falsify(claim, "upper", examples=100, options=Options(problems=pairs))
        assert outcome.broken is broken
        assert math.isfinite(outcome.nearest)


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        (3, "problems must be a Hypothesis strategy of (distribution, spec) pairs, found 3"),
        (st.just(3), "problems must draw (ContextualDistribution, HeadSpec) pairs, found (int)"),
        (st.just((families.one_hot(3), 2)), "pairs, found (ContextualDistribution, int)"),
        (st.nothing(), "the strategy of problems has nothing to draw"),
    ],
    ids=["no strategy", "no pairs", "no class of heads", "nothing"],
)
def test_a_strategy_of_something_else_is_refused(problems, message):
    with pytest.raises(ValueError) as said:  # noqa: PT011
        falsify(too_much, examples=20, options=Options(problems=problems))
    assert message in str(said.value)


def test_the_same_seed_finds_the_same():
    first, again = (falsify(too_much, examples=50, seed=3) for _ in range(2))
    assert first.broken
    assert first.sentence == again.sentence
    assert np.array_equal(first.counterexample.distribution.log_p, again.counterexample.distribution.log_p)


def test_a_claim_that_says_nothing_is_not_tested():
    def never(distribution, spec):
        raise NotApplicable("never")

    for silent in (never, lambda d, s: None, lambda d, s: 0, lambda d, s: -1.0):
        outcome = falsify(silent, examples=20)
        assert not outcome.broken
        assert math.isnan(outcome.nearest)
        assert "nothing was tested" in outcome.sentence
    assert "nothing was tested" in falsify(lambda d, s: math.inf, "upper", examples=20).sentence


@pytest.mark.parametrize(
    ("function", "side", "message"),
    [
        (lambda d, s: 1 / 0, "lower", "raised ZeroDivisionError"),
        (lambda d, s: math.nan, "lower", "returned NaN"),
        (lambda d, s: "much", "upper", "returned 'much'"),
        (lambda d, s: 1.0, "both", "side must be 'lower' or 'upper', found 'both'"),
        (3, "lower", "a function (distribution, spec) -> value is needed, found 3"),
    ],
)
def test_misbehaviour_is_said_in_one_line(function, side, message):
    with pytest.raises(ValueError) as said:  # noqa: PT011
        falsify(function, side, examples=20)
    assert message in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("budget", [{"seconds": 0.0}, {"seconds": math.nan}, {"examples": 0}])
def test_a_budget_of_nothing_is_refused(budget):
    with pytest.raises(ValueError, match="must be"):
        falsify(too_much, **budget)


def test_an_interrupt_returns_what_there_is():
    def stop(tried, nearest, seconds):
        if tried == 5:
            raise KeyboardInterrupt

    outcome = falsify(RIGHT, options=Options(watch=stop))
    assert outcome.interrupted
    assert not outcome.broken
    assert outcome.examples == 5


def test_an_interrupt_while_shrinking_keeps_the_counterexample(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["theory.falsify.hunt"], "shrink", stop)  # theory.falsify is the function
    outcome = falsify(too_much, examples=50)
    assert outcome.interrupted
    assert outcome.counterexample.recheck(too_much).ok
