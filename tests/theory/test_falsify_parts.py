"""The parts of the hunt: claims, heads found by descent, judgements, ascents, shrinking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from synth import ContextualDistribution, families, strategies
from tests.theory.worlds import ALL, dirichlet, tilted
from tests.theory.wrong_bounds import RIGHT, Concave
from tests.tolerances import ORDER, WITNESS
from theory import Bound, Head, HeadSpec, Side, Status, catalogue, unigram_truncation, verify
from theory.falsify import conjecture, descent, falsify
from theory.falsify.adversarial import ascend
from theory.falsify.descent import QUICK, THOROUGH, best_head, table_gradient
from theory.falsify.oracle import judge
from theory.falsify.problem import Problem
from theory.falsify.shrink import shrink

FEW = settings(max_examples=max(1, settings.default.max_examples // 5))


def too_much(distribution, spec):
    """A lower bound that is false as soon as one dimension helps."""
    return distribution.mutual_information


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


def test_a_claimed_zero_that_heads_all_but_reach_is_of_no_interest():
    """Otherwise the climbs of an upper claim would all start from rounding."""
    zero = conjecture(lambda d, s: 0.0, "upper")
    infimum = judge(zero, Problem(families.staircase(4), HeadSpec(2)))
    lost = judge(zero, Problem(families.all_k_subsets(6, 2), HeadSpec(1, True)))
    tight = judge(conjecture(catalogue["smoothness"], "upper"), Problem(tilted(2, 2, 0.1), HeadSpec(0)))
    assert infimum.score < lost.score
    assert infimum.score < tight.score <= 0
    outcome = falsify(catalogue["smoothness"], "upper", examples=150)
    assert outcome.nearest == pytest.approx(1.0, abs=0.1)
    assert math.isfinite(outcome.nearest)


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


@pytest.mark.parametrize("claimed", [0.1, math.inf])
def test_an_ascent_from_where_no_head_was_found_has_no_slope_to_follow(claimed):
    """The class may be empty there: perturbations alone go on, and nothing is broken without a head."""
    claim = conjecture(lambda d, s: claimed, "lower")
    start = judge(claim, Problem(families.all_k_subsets(6, 2), HeadSpec(1, max_underestimate=0.01)))
    assert start.evidence.value == math.inf
    end = ascend(claim, start, lambda: None, np.random.default_rng(0), steps=3)
    assert end.score >= start.score
    assert not end.broken


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
