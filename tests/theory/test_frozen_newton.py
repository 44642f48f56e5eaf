"""Newton steps on frozen features: when they are damped, what they promise then, and what a prediction makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.frozen_worlds import problem
from tests.tolerances import rounding
from theory.frozen import METRICS, Effort, FrozenProblem, Passes, excess, newton_step, predict_curve
from theory.frozen.newton import DAMPINGS, Step
from theory.frozen.predict import descended

EASY = problem(5, rows=50, width=4, vocab=6, scale=0.7)


def peaked():
    """Laws so peaked that a step from a truncation overshoots."""
    rng = np.random.default_rng(0)
    return FrozenProblem.of(rng.standard_normal((60, 8)), 10 * rng.standard_normal((200, 8)), np.zeros(200))


def test_a_step_gets_away_from_tokens_made_far_too_improbable():
    """Their curvature under the head vanishes and their gradient does not; damped by it alone every step overshoots."""
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((60, 8)), 10 * rng.standard_normal((200, 8))
    world = FrozenProblem.of(X, W, np.zeros(200))
    head = METRICS["unigram"](world).truncation(2)
    step = newton_step(world, head, METRICS["information"](world))
    assert excess(world, head).underestimate > 50
    assert step.gap < 0.95 * step.before


def test_a_minimum_is_no_reason_to_damp():
    """In float32 the promise at a minimum is rounding: nothing is tried, nothing is credited, and no step is damped."""
    world = FrozenProblem.of(EASY.X, EASY.W, EASY.b, EASY.weights, Passes("float32"))
    metric = METRICS["information"](world)
    there = newton_step(world, metric.truncation(4), metric)
    assert there.damping == 0
    assert there.predicted == pytest.approx(there.before, rel=0, abs=1e-6)
    assert newton_step(world, metric.truncation(1), metric).decrement > 1e-3  # elsewhere something is promised


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 2), st.sampled_from(DAMPINGS))
def test_a_step_credits_what_is_promised_and_a_damped_one_no_more_than_it_won(before, share, decrement, damping):
    gap = before * (1 - share)
    step = Step(EASY, before, gap, decrement, damping, 1)  # the head plays no part
    whole = max(0.0, before - decrement)
    slack = rounding(1.0, 4)
    assert step.predicted >= 0
    if damping == 0 or decrement - (before - gap) <= before - gap:
        assert abs(step.predicted - whole) <= slack
    else:
        assert abs(step.predicted - max(0.0, gap - (before - gap))) <= slack
        assert step.predicted >= whole - slack


def test_the_search_for_a_damping_begins_below_the_last():
    world = peaked()
    metric = METRICS["information"](world)
    head = METRICS["unigram"](world).truncation(2)
    afresh = newton_step(world, head, metric)
    assert DAMPINGS.index(afresh.damping) > 1
    again = newton_step(world, head, metric, last=afresh.damping)
    assert (again.damping, again.gap) == (afresh.damping, afresh.gap)
    assert again.passes < afresh.passes


def test_where_steps_stay_damped_half_the_tail_is_a_ceiling():
    world, effort = peaked(), Effort(folds=0, floor=False)
    path, half = descended(world, 2, effort), METRICS["unigram"](world).tail(2) / 2
    assert path.damped
    (point,) = predict_curve(world, [2], effort)
    assert point.predicted == pytest.approx(min(path.predicted, half, point.upper), rel=1e-12, abs=0)
    (easy,) = predict_curve(EASY, [1], effort)
    assert not descended(EASY, 1, effort).damped
    assert easy.predicted == pytest.approx(min(descended(EASY, 1, effort).predicted, easy.upper), rel=1e-12, abs=0)
