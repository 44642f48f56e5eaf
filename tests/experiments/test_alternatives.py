"""The law of the arena over its catalogue: derivatives, symmetries, normalisation, growth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.heads import Options
from experiments.heads.alternatives import (
    AlternativeHead,
    Parts,
    alternatives,
    fit_alternative,
    make_kind,
)
from experiments.heads.alternatives.blocks import ScoreBlocks
from synth import families, strategies
from tests.experiments.arena import BOTH, random_member
from tests.tolerances import EPS, ORDER, WITNESS, identity, rounding

QUICK = Options(max_evaluations=120)
SMOOTH = [name for name in alternatives if name != "plif"]


@pytest.mark.parametrize(("name", "bias"), BOTH)
@settings(max_examples=15)
@given(distribution=strategies.distributions(), seed=strategies.seeds(), dim=st.integers(1, 3))
def test_log_q_is_normalised_and_the_objective_is_the_gap(name, bias, distribution, seed, dim):
    objective, x = random_member(make_kind(name, dim, bias), distribution, seed)
    head = objective.head(x)
    slack = rounding(10 * head.logit_range, distribution.vocab)
    assert np.abs(np.exp(head.log_q()).sum(axis=1) - 1).max() <= slack
    assert abs(objective.value(x) - head.gap(distribution)) <= slack
    assert abs(objective.evaluate(x).gap - head.gap(distribution)) <= slack
    assert head.gap(distribution) >= -slack


@pytest.mark.parametrize(("name", "bias"), BOTH)
@settings(max_examples=15)
@given(distribution=strategies.distributions(), seed=strategies.seeds(), dim=st.integers(1, 3))
def test_symmetries_leave_the_law_alone(name, bias, distribution, seed, dim):
    kind = make_kind(name, dim, bias)
    objective, x = random_member(kind, distribution, seed)
    rng = np.random.default_rng(seed)
    other = AlternativeHead(kind, kind.regauged(objective.unpack(x), rng))
    difference = np.abs(other.log_q() - objective.head(x).log_q()).max()
    assert difference <= identity() * (1 + objective.head(x).logit_range)


@pytest.mark.parametrize(("name", "bias"), [(name, bias) for name, bias in BOTH if name in SMOOTH])
def test_gradient_by_order_of_convergence(name, bias):
    """The remainder of the first-order expansion falls with the square of the step, in any direction."""
    distribution = families.mixture(7, 6, components=2, rank=2, seed=3)
    objective, x = random_member(make_kind(name, 2, bias), distribution, 0)
    at, rng = objective.evaluate(x), np.random.default_rng(1)
    for _ in range(4):
        v = rng.standard_normal(objective.size)
        steps = np.geomspace(1e-2, 1e-4, 5)
        remainders = [abs(objective.value(x + h * v) - at.gap - h * (at.gradient @ v)) for h in steps]
        slope = np.polyfit(np.log(steps), np.log(remainders), 1)[0]
        assert abs(slope - 2) <= 2 * ORDER


@pytest.mark.parametrize(("name", "bias"), BOTH)
@settings(max_examples=10)
@given(distribution=strategies.distributions(), seed=strategies.seeds(), dim=st.integers(1, 3))
def test_gradient_agrees_with_central_differences(name, bias, distribution, seed, dim):
    objective, x = random_member(make_kind(name, dim, bias), distribution, seed)
    v = np.random.default_rng(seed + 1).standard_normal(objective.size)
    step = EPS ** (1 / 3)
    above, below = objective.value(x + step * v), objective.value(x - step * v)
    at = objective.evaluate(x)
    scale = 1 + float(v @ v) * (1 + objective.head(x).logit_range)
    kink = step if name == "plif" else step**2  # a logit within a step of a knot moves the slope there
    assert abs((above - below) / (2 * step) - at.gradient @ v) <= 50 * kink * scale


@pytest.mark.parametrize("bias", [False, True])
def test_mixture_gradient_agrees_with_automatic_differentiation(bias):
    distribution, kind = families.mixture(6, 5, seed=1), make_kind("mos", 2, bias, components=3)
    objective, x = random_member(kind, distribution, 2)
    parts = objective.unpack(x)
    S, Wt = (torch.tensor(part, requires_grad=True) for part in (parts.S, parts.Wt))
    H = S[:, :6].reshape(6, 3, 2)
    A = H @ Wt[:, :2].T + (Wt[:, 2] if bias else 0)
    log_q = torch.logsumexp(torch.log_softmax(S[:, 6:], 1)[:, :, None] + torch.log_softmax(A, 2), dim=1)
    (-(torch.tensor(distribution.weights) @ (torch.tensor(distribution.p) * log_q).sum(1))).backward()
    mine = objective.unpack(objective.evaluate(x).gradient)
    assert np.abs(mine.S - S.grad.numpy()).max() <= WITNESS
    assert np.abs(mine.Wt - Wt.grad.numpy()).max() <= WITNESS


@pytest.mark.parametrize(("name", "bias"), BOTH)
def test_scores_have_mean_zero_and_blocks_are_positive(name, bias):
    """``sum_v q_v d log q_v = 0`` for any law: it pins the scores; the metric built of them points downhill."""
    distribution = families.mixture(7, 6, components=2, rank=2, seed=3)
    objective, x = random_member(make_kind(name, 2, bias), distribution, 4)
    scores = objective.spec.scores(objective.unpack(x))
    for score in (scores.states, scores.shared):
        assert np.abs(scores.q[:, None, :] @ score).max(initial=0.0) <= rounding(10.0, 6)
    at = objective.evaluate(x)
    assert at.gradient @ ScoreBlocks(objective, x, at).solve(at.gradient) > 0


@pytest.mark.parametrize(("name", "bias"), [(name, bias) for name, bias in BOTH if name in SMOOTH])
def test_state_scores_are_the_derivatives_of_log_q(name, bias):
    distribution = families.mixture(4, 5, components=2, rank=2, seed=3)
    objective, x = random_member(make_kind(name, 2, bias), distribution, 5)
    parts, kind = objective.unpack(x), objective.spec
    step, rng = EPS ** (1 / 3), np.random.default_rng(0)
    dS, dtheta = rng.standard_normal(parts.S.shape), rng.standard_normal(parts.theta.shape)
    ends = [kind.log_q(Parts(parts.S + h * dS, parts.Wt, parts.theta + h * dtheta)) for h in (step, -step)]
    scores = kind.scores(parts)
    claimed = (scores.states @ dS[:, :, None])[:, :, 0] + scores.shared @ dtheta
    assert np.abs((ends[0] - ends[1]) / (2 * step) - claimed).max() <= 1e3 * step**2


# ---------------------------------------------------------------------- fits


@pytest.mark.parametrize("name", list(alternatives))
def test_a_seed_fixes_the_fit_and_a_smaller_head_is_never_beaten_by_a_wider(name):
    distribution = families.mixture(10, 8, components=2, rank=2, seed=1)
    first, again = (fit_alternative(distribution, name, 1, options=QUICK) for _ in range(2))
    assert first.gap == again.gap
    assert np.array_equal(first.head.log_q(), again.head.log_q())
    wider = fit_alternative(distribution, name, 2, start=[first.head], options=QUICK)
    assert wider.gap <= first.gap + rounding(1 + first.loss, 8)


def test_equal_width_is_not_equal_numbers():
    sizes = {name: make_kind(name, 4, True).size(contexts=100, vocab=50) for name in alternatives}
    assert sizes["softmax"] == sizes["sigsoftmax"] == 100 * 4 + 50 * 5
    assert sizes["mos"] == 100 * 2 * 5 + 50 * 5
    assert sizes["monotonic"] == sizes["softmax"] + 17
    assert sizes["plif"] == sizes["softmax"] + 16


def test_grown_heads_are_the_same_law():
    distribution = families.mixture(6, 5, seed=0)
    for name, bias in BOTH:
        objective, x = random_member(make_kind(name, 1, bias), distribution, 0)
        wider = replace(objective.spec, dim=3)
        grown = wider.grown(objective.spec, objective.unpack(x), np.random.default_rng(0))
        difference = AlternativeHead(wider, grown).log_q() - objective.head(x).log_q()
        assert np.abs(difference).max() <= rounding(10.0, 5)


@pytest.mark.parametrize(
    ("name", "dim", "parameters", "message"),
    [
        ("mosaic", 2, {}, "did you mean 'mos'"),
        ("mos", 0, {}, "dim must be an integer at least 1, found 0"),
        ("mos", 2, {"components": 0}, "components must be an integer at least 1, found 0"),
        ("monotonic", 2, {"cells": 1.5}, "cells must be an integer at least 1, found 1.5"),
        ("sigsoftmax", 2, {"components": 3}, "no parameter of sigsoftmax is named 'components'"),
        ("mos", 9, {}, "dim = 9 exceeds the vocabulary of 4 tokens"),
    ],
)
def test_bad_requests_name_the_remedy(name, dim, parameters, message):
    with pytest.raises(ValueError, match=message):
        fit_alternative(families.mixture(5, 4), name, dim, **parameters)
