"""Secant steps on frozen features: when they are damped, what they promise, and what the model says is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.heads import Options
from experiments.heads.frozen import fit_frozen
from synth import ContextualDistribution
from tests.theory.frozen_worlds import problem, random_head
from theory.frozen import METRICS, Effort, FrozenHead, FrozenProblem, Passes, excess, newton_step, predict_curve
from theory.frozen.chart import Chart, combine
from theory.frozen.curvature import Curvature
from theory.frozen.newton import DAMPINGS, Step, left_over, solve
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
    elsewhere = newton_step(world, metric.truncation(1), metric)
    assert elsewhere.before - elsewhere.predicted > 1e-3  # something is promised


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(DAMPINGS))
def test_a_prediction_is_never_above_what_was_reached(gap, left, damping):
    step = Step(EASY, 1.0, gap, left, damping, 1)  # the head plays no part
    assert step.predicted == min(gap, left)


class Flatter(Curvature):
    """A form one per cent too flat: the model would end below zero."""

    def product(self, direction, damping=0.0):
        return combine(super().product(direction, damping), -0.01, super().product(direction, damping))


@pytest.mark.parametrize("nearness", [0.1, 1.0])
def test_the_model_is_zero_at_the_target(nearness):
    """A head of full rank can reach the target along a line: the model then leaves nothing."""
    world = problem(5, rows=40, width=3, vocab=6)
    metric = METRICS["information"](world)
    head = random_head(world, 3, 1, nearness)
    chart = Chart(world, metric)
    curvature = Curvature(chart, chart.enter(head))
    _, decrement = solve(curvature, curvature.gradient, 0.0, 200)
    assert decrement == pytest.approx(curvature.jeffreys, rel=1e-4, abs=0)
    flat = Flatter(chart, curvature.point)
    assert solve(flat, flat.gradient, 0.0, 200)[1] > 1.005 * curvature.jeffreys
    assert left_over(world, head, metric, 200) <= 1e-4 * curvature.gap


def test_at_a_minimum_all_of_the_loss_is_left():
    world, metric = EASY, METRICS["information"](EASY)
    target = ContextualDistribution.from_logits(world.X @ world.W.T + world.b, world.weights)
    fit = fit_frozen(world.X, target, 2, options=Options(tolerance=1e-10))
    head = FrozenHead(fit.A, fit.B, fit.b)
    assert left_over(world, head, metric) == pytest.approx(fit.gap, rel=1e-4, abs=0)
    assert left_over(world, metric.truncation(2), metric) == pytest.approx(fit.gap, rel=0.2, abs=0)


def test_the_search_for_a_damping_begins_below_the_last():
    world = peaked()
    metric = METRICS["information"](world)
    head = METRICS["unigram"](world).truncation(2)
    afresh = newton_step(world, head, metric)
    assert DAMPINGS.index(afresh.damping) > 1
    again = newton_step(world, head, metric, last=afresh.damping)
    assert (again.damping, again.gap) == (afresh.damping, afresh.gap)
    assert again.passes < afresh.passes


@pytest.mark.parametrize("world", [EASY, peaked()], ids=["easy", "peaked"])
def test_a_prediction_is_the_mean_of_what_was_reached_and_what_is_left(world):
    effort = Effort(folds=0, floor=False)
    (point,) = predict_curve(world, [2], effort)
    left = left_over(world, descended(world, 2, effort), METRICS["information"](world), effort.last)
    assert left < point.upper
    assert point.predicted == pytest.approx(np.sqrt(left * point.upper), rel=1e-9, abs=0)
    assert point.low == pytest.approx(max(0.0, 0.8 * left - (point.upper - left) / 2), rel=1e-9, abs=0)
