"""The hunt breaks what is wrong, spares what is right, and its parts do what they say."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from synth import ContextualDistribution, families, strategies
from tests.theory.worlds import ALL, dirichlet, tilted
from tests.theory.wrong_bounds import RIGHT, WRONG, Concave
from tests.tolerances import ORDER, WITNESS
from theory import Bound, Head, HeadSpec, NotApplicable, Side, Status, catalogue, unigram_truncation, verify
from theory.falsify import Options, conjecture, descent, falsify
from theory.falsify.adversarial import ascend
from theory.falsify.descent import QUICK, THOROUGH, best_head, table_gradient
from theory.falsify.oracle import judge
from theory.falsify.problem import Problem
from theory.falsify.shrink import shrink

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


# ---------------------------------------------------------------------- the parts


def test_bounds_speak_only_on_their_side():
    d, spec = ALL["dirichlet"], HeadSpec(1)
    for name, side in (("unigram", "lower"), ("majorization", "upper"), ("near-unigram", "lower")):
        assert conjecture(catalogue[name], side).value(d, spec) is None
    exact = conjecture(catalogue["unigram"], "lower").value(d, HeadSpec(0, True))
    assert exact == pytest.approx(d.mutual_information, rel=1e-12)
    vacuous = Bound(0.0, "", Side.LOWER, Status.VACUOUS)
    assert conjecture(lambda *_: vacuous, "lower").value(d, spec) is None


@pytest.mark.parametrize("world", ALL)
@pytest.mark.parametrize("spec", [HeadSpec(0), HeadSpec(0, True), HeadSpec(1), HeadSpec(1, True)])
def test_heads_found_by_descent_have_the_gap_they_claim(world, spec):
    distribution = ALL[world]
    head, gap = best_head(Problem(distribution, spec), QUICK)
    assert head.gap(distribution) == gap
    assert head.belongs_to(spec, distribution)
    assert gap <= unigram_truncation(distribution, spec.dim, spec.bias, share=0.2).gap(distribution) + WITNESS
    lower = max(entry(distribution, spec).value for entry in catalogue if entry.side is Side.LOWER)
    assert lower <= gap + WITNESS


@pytest.mark.parametrize(
    "limit", [{"max_underestimate": 0.6}, {"logit_range": 3.0}, {"norm": 1.0}, {"norm": 1.0, "logit_range": 0.5}]
)
def test_heads_for_a_limited_class_are_members(limit):
    distribution, spec = dirichlet(4, 5), HeadSpec(1, True, **limit)
    head, gap = best_head(Problem(distribution, spec), THOROUGH)
    _, free = best_head(Problem(distribution, HeadSpec(1, True)), THOROUGH)
    assert head.belongs_to(spec, distribution)
    assert free < gap < math.log(5) - distribution.entropy


@pytest.mark.parametrize("limit", [{"max_underestimate": 0.1}, {"logit_range": 0.5}, {"norm": 0.7}])
def test_the_price_of_leaving_a_class_has_the_derivative_it_says(limit):
    problem = Problem(dirichlet(4, 5), HeadSpec(2, True, **limit))
    rng = np.random.default_rng(0)
    x, direction = rng.standard_normal(23), rng.standard_normal(23)

    def price(x):
        H, W, b = descent._split(problem, x)
        A = H @ W.T + b
        on_logits, push = descent._penalty(problem, A, A - logsumexp(A, axis=1, keepdims=True))
        on_factors, slope = descent._norm_penalty(problem, H, W, b)
        chain = np.concatenate([(push @ W).ravel(), (push.T @ H).ravel(), push.sum(axis=0)])
        return on_logits + on_factors, chain + slope

    value, gradient = price(x)
    steps, errors = np.array([1e-3, 3e-4, 1e-4]), []
    for t in steps:
        errors.append(abs(price(x + t * direction)[0] - value - t * gradient @ direction))
    assert value > 0
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 2 - ORDER


def test_heads_with_rounded_logits_are_members():
    distribution, spec = dirichlet(4, 5), HeadSpec(1, True, float_format="fp8-e4m3")
    head, gap = best_head(Problem(distribution, spec), THOROUGH)
    logits = np.asarray(head.logits())
    assert head.belongs_to(spec, distribution)
    assert np.array_equal(np.round(logits / 2.0**-9), logits / 2.0**-9)  # multiples of the least number of the format
    assert max(e(distribution, spec).value for e in catalogue if e.side is Side.LOWER) <= gap + WITNESS


def test_the_gradient_of_a_fixed_head_in_the_table():
    rng = np.random.default_rng(0)
    problem = Problem(dirichlet(3, 4), HeadSpec(1))
    head = Head(rng.standard_normal((3, 1)), rng.standard_normal((4, 1)))
    direction = rng.standard_normal(len(problem.unknowns))
    slope = float(table_gradient(problem, head) @ direction)
    steps, errors = np.array([1e-2, 3e-3, 1e-3]), []
    for t in steps:
        there = head.gap(problem.at(problem.unknowns + t * direction).distribution)
        errors.append(abs(there - head.gap(problem.distribution) - t * slope))
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 2 - ORDER


@FEW
@given(strategies.distributions(5, 5))
def test_a_table_is_its_unknowns(distribution):
    problem = Problem(distribution, HeadSpec(0))
    again = problem.at(problem.unknowns)
    assert np.array_equal(again.support, problem.support)
    np.testing.assert_allclose(np.exp(again.log_p), np.exp(problem.log_p), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(again.weights, problem.weights, rtol=1e-12, atol=0)


@FEW
@given(strategies.distributions(4, 4), st.data())
def test_true_bounds_are_judged_unbroken_and_false_ones_with_verified_evidence(distribution, data):
    spec = HeadSpec(*data.draw(strategies.head_specs(distribution.vocab)))
    for name, side, factor in (
        ("majorization", "lower", 1.0),
        ("majorization", "lower", 1e6),
        ("smoothness", "upper", 0),
    ):
        claim = conjecture(lambda d, s, n=name, f=factor: f * catalogue[n](d, s).value, side)
        if not catalogue[name](distribution, spec).applies:
            continue
        found = judge(claim, Problem(distribution, spec))
        if found is not None and factor == 1:
            assert not found.broken
            assert found.score <= 1e-9
        if found is not None and found.broken:
            assert verify(found.evidence, distribution, spec).ok
            assert found.ratio > 1 if side == "lower" else found.ratio < 1


def test_an_ascent_comes_nearer_and_breaks_what_draws_did_not():
    claim = conjecture(Concave(factor=1.2), "lower")
    start = judge(claim, Problem(tilted(3, 4, 1.0, seed=2), HeadSpec(1)))
    assert not start.broken
    end = ascend(claim, start, lambda: None, np.random.default_rng(0), steps=60)
    assert end.broken
    assert end.problem.spec == start.problem.spec
    fair = conjecture(RIGHT, "lower")
    end = ascend(fair, judge(fair, start.problem), lambda: None, np.random.default_rng(0))
    assert not end.broken
    assert end.score > judge(fair, start.problem).score


def test_an_ascent_on_an_upper_claim_follows_the_proof():
    """At d = 1 only a lower bound of the catalogue can refute; the ascent raises it against the claim."""
    claim = conjecture(lambda d, s: 0.7 * catalogue["smoothness"](d, s).value, "upper")
    start = judge(claim, Problem(tilted(2, 3, 1.0, seed=1), HeadSpec(1)))
    end = ascend(claim, start, lambda: None, np.random.default_rng(0))
    assert end.score > start.score


def test_a_counterexample_is_made_small_and_plain():
    distribution = ContextualDistribution.from_logits(
        np.vstack([np.log(families.zipf(contexts=3, vocab=5, rank=2).p), [[0.1, 0.7, 0.3, -0.2, 0.0]]]),
        [0.1, 0.2, 0.3, 0.4],
    )
    claim = conjecture(too_much, "lower")
    found = judge(claim, Problem(distribution, HeadSpec(2, True)))
    assert found.broken
    small = shrink(claim, found, seconds=60)
    assert small.broken
    assert small.problem.shape == (2, 2)
    assert small.problem.spec == HeadSpec(1)
    assert np.ptp(small.problem.weights) == 0
    logits = small.problem.log_p - small.problem.log_p.max(axis=1, keepdims=True)
    assert np.abs(logits - np.round(logits)).max() <= 1e-12
    assert shrink(claim, found, seconds=0) is found
