"""The law of the arena over its catalogue: derivatives, symmetries, normalisation, containment, known truths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.heads import Options, fit
from experiments.heads.alternatives import (
    AlternativeHead,
    AlternativeObjective,
    Parts,
    alternatives,
    fit_alternative,
    make_kind,
)
from experiments.heads.alternatives.blocks import ScoreBlocks
from experiments.heads.alternatives.rank import log_rank
from experiments.heads.alternatives.witness import moment_mixture, split_supports
from synth import families, strategies
from tests.tolerances import EPS, KNOWN_FLOOR, ORDER, WITNESS, identity, rounding
from theory import Head, HeadSpec, sandwich

BOTH = [(name, bias) for name in alternatives for bias in (False, True)]
QUICK = Options(max_evaluations=120)
SMOOTH = [name for name in alternatives if name != "plif"]


def random_member(kind, distribution, seed):
    """An objective and a random packed head of a kind, its logits of order one."""
    objective, rng = AlternativeObjective(distribution, kind), np.random.default_rng(seed)
    parts = kind.random(distribution.contexts, np.log(objective.base), rng)
    return objective, parts.pack() + 0.5 * rng.standard_normal(objective.size)


# ---------------------------------------------------------------------- every kind


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


# ---------------------------------------------------------------------- containment


@pytest.mark.parametrize(("name", "bias"), BOTH)
@settings(max_examples=5)
@given(distribution=strategies.positive_distributions(5, 5), dim=st.integers(1, 2))
def test_no_fit_is_above_the_softmax_head_it_contains(name, bias, distribution, dim):
    dim = min(dim, distribution.vocab)
    softmax = fit(distribution, HeadSpec(dim, bias), QUICK)
    found = fit_alternative(distribution, name, dim, bias=bias, start=[softmax], options=QUICK)
    assert found.gap <= softmax.gap + WITNESS
    assert found.gap == pytest.approx(found.head.gap(distribution), abs=WITNESS, rel=identity())


@pytest.mark.parametrize(("name", "bias"), BOTH)
@settings(max_examples=10)
@given(distribution=strategies.positive_distributions(), seed=strategies.seeds())
def test_softmax_heads_embed_without_loss(name, bias, distribution, seed):
    """Any softmax head, not only a fitted one; sigsoftmax loses 1e-12."""
    objective, x = random_member(make_kind("softmax", 2, bias), distribution, seed)
    parts = objective.unpack(x)
    head = Head(parts.S, parts.Wt[:, :2], parts.Wt[:, 2] if bias else None)
    kind = make_kind(name, 2, bias)
    embedded = [AlternativeHead(kind, found) for _, found in kind.embeddings(lambda _: head)]
    assert embedded
    for other in embedded:
        assert np.abs(other.log_q() - head.log_q()).max() <= identity() * (1 + head.logit_range)


@pytest.mark.parametrize("distance", [3.0, 10.0, 20.0])
def test_what_sigsoftmax_loses_of_a_softmax_head_falls_with_the_distance(distance):
    """At most ``e^-r``, r the distance of the nearest logit from 0; and at r = 3 it does lose something."""
    objective, x = random_member(make_kind("softmax", 1), families.low_rank(9, 6, rank=1, seed=0), 0)
    parts, kind = objective.unpack(x), make_kind("sigsoftmax", 1)
    moved = kind._moved(parts, distance + float(np.abs(objective.spec.logits(parts)).max()))
    nearest = np.abs(kind.logits(moved)).min()
    lost = np.abs(kind.log_q(moved) - objective.head(x).log_q()).max()
    assert nearest >= distance / 2
    assert 0 < lost <= np.exp(-nearest) + rounding(1e3, 6)
    if distance == 3.0:
        assert lost > 1e-4


@pytest.mark.parametrize("name", ["sigsoftmax", "monotonic", "plif"])
def test_a_constant_per_row_is_no_symmetry_of_a_bent_head(name):
    kind = make_kind(name, 2)
    theta = kind.neutral() + np.linspace(-1, 1, kind.shared)
    rng = np.random.default_rng(0)
    parts = Parts(rng.standard_normal((4, 2)), rng.standard_normal((5, 2)), theta)
    shifted = Parts(parts.S, parts.Wt + np.array([1.0, 0.5]), theta)
    assert np.abs(kind.log_q(parts) - kind.log_q(shifted)).max() > 1e-3


# ---------------------------------------------------------------------- known truths


def generator_head(distribution):
    """The parameters that ``families.mixture`` drew, as a head, in the order in which it draws them."""
    drawn = distribution.known.parameters
    rng = np.random.default_rng(drawn["seed"])
    rank, contexts, components = drawn["rank"], drawn["contexts"], drawn["components"]
    W = rng.standard_normal((drawn["vocab"], rank))
    mass = rng.dirichlet(np.ones(components), size=contexts)
    H = np.stack([rng.standard_normal((contexts, rank)) for _ in range(components)])
    kind = make_kind("mos", rank, components=components)
    parts = Parts(kind.join(H * drawn["scale"] / np.sqrt(rank), np.log(mass)), W, np.zeros(0))
    return AlternativeHead(kind, parts)


@pytest.mark.parametrize("components", [1, 2, 3])
def test_the_parameters_of_a_mixture_are_a_witness_of_gap_zero(components):
    distribution = families.mixture(30, 20, components=components, rank=3, seed=components)
    assert generator_head(distribution).gap(distribution) <= WITNESS


def test_a_mixture_reaches_a_mixture_where_softmax_provably_cannot():
    distribution = families.mixture(20, 12, components=2, rank=1, scale=2.0, seed=0)
    softmax = fit(distribution, HeadSpec(1))
    proved = sandwich(distribution, HeadSpec(1), fit=softmax).lower.value
    found = fit_alternative(
        distribution, "mos", 1, start=[softmax], options=Options(random_starts=4, max_evaluations=3000)
    )
    assert found.gap <= 10 * KNOWN_FLOOR
    assert found.gap < proved <= softmax.gap


def test_a_softmax_lower_bound_does_not_bound_mixtures():
    """All 2-subsets of 7 tokens: softmax needs d = 4, a mixture of two has floor 0 at d = 2, by an explicit head."""
    distribution = families.all_k_subsets(7, 2)
    proved = sandwich(distribution, HeadSpec(3)).lower.value
    assert proved > 0.01
    found = fit_alternative(distribution, "mos", 2, options=QUICK)
    assert found.gap <= KNOWN_FLOOR < proved
    assert found.head.gap(distribution) <= KNOWN_FLOOR


@settings(max_examples=25)
@given(distribution=strategies.sparse(5, 6), components=st.integers(1, 3))
def test_split_supports_mix_back_to_the_distribution(distribution, components):
    parts, mass = split_supports(distribution, components)
    p = np.exp(parts.log_p).reshape(distribution.contexts, components, -1)
    assert np.abs((mass[:, :, None] * p).sum(axis=1) - distribution.p).max() <= rounding(1.0, distribution.vocab)
    assert int(parts.support_sizes.max()) <= -(-int(distribution.support_sizes.max()) // components)


@settings(max_examples=15)
@given(distribution=strategies.sparse(4, 5), components=st.integers(1, 3), bias=st.booleans())
def test_splitting_supports_costs_no_more_than_its_parts(distribution, components, bias):
    """Joint convexity: the mixture's gap is at most the gap of the head of the parts."""
    width = min(2 * -(-int(distribution.support_sizes.max()) // components), distribution.vocab)
    found = moment_mixture(distribution, components, HeadSpec(width, bias))
    kind = make_kind("mos", width, bias, components=components)
    forms = list(kind.closed_forms(distribution))
    if found is None or not forms:
        assert found is None or distribution.is_positive
        return
    head, _ = found
    parts, _ = split_supports(distribution, components)
    gap = AlternativeHead(kind, forms[0][1]).gap(distribution)
    assert gap <= head.gap(parts) + rounding(10 * head.logit_range, distribution.vocab)


# ---------------------------------------------------------------------- rank


def test_only_softmax_keeps_the_rank_of_its_logits():
    ranks = {}
    for name in alternatives:
        distribution = families.low_rank(30, 20, rank=2, seed=0)
        objective, x = random_member(make_kind(name, 2), distribution, 0)
        if name in ("monotonic", "plif"):
            x[-objective.spec.shared :] = np.linspace(-2, 2, objective.spec.shared)
        ranks[name] = log_rank(objective.head(x).log_q())
    assert ranks["softmax"].numerical == 2
    assert ranks["softmax"].effective <= 2 + identity()
    for name in set(alternatives) - {"softmax"}:
        assert ranks[name].numerical >= 15
        assert ranks["softmax"].effective < ranks[name].effective < ranks[name].null


def test_the_null_of_the_rank_is_a_gaussian_table():
    noise = np.random.default_rng(5).standard_normal((30, 20))
    log_q = noise - np.logaddexp.reduce(noise, axis=1, keepdims=True)
    found = log_rank(log_q, draws=60)
    deviation = found.null_stderr * np.sqrt(60)
    assert found.numerical == 19
    assert abs(found.effective - found.null) <= 5 * deviation
    with pytest.raises(ValueError, match="infinite"):
        log_rank(np.array([[0.0, -np.inf]]))


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
