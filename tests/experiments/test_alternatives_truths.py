"""What the arena must find: softmax inside every kind, mixtures inside mixtures, ranks beside their null."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.heads import Options, fit
from experiments.heads.alternatives import (
    AlternativeHead,
    Parts,
    alternatives,
    fit_alternative,
    make_kind,
)
from experiments.heads.alternatives.rank import log_rank
from experiments.heads.alternatives.witness import moment_mixture, split_supports
from synth import families, strategies
from tests.experiments.arena import BOTH, random_member
from tests.tolerances import KNOWN_FLOOR, WITNESS, identity, rounding
from theory import Head, HeadSpec, sandwich

QUICK = Options(max_evaluations=120)

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


def test_forgetting_to_halve_the_states_at_the_left_end_is_caught():
    objective, x = random_member(make_kind("softmax", 2), families.low_rank(9, 6, rank=1, seed=0), 0)
    parts, kind = objective.unpack(x), make_kind("sigsoftmax", 2)
    moved = kind._moved(parts, 40.0)
    log_q = objective.head(x).log_q()
    assert np.abs(kind.log_q(moved) - log_q).max() <= identity()
    assert np.abs(kind.log_q(Parts(parts.S, moved.Wt, moved.theta)) - log_q).max() > 0.1


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


def test_a_mixture_of_the_wrong_masses_is_caught():
    """The twin: with equal masses in place of those of the parts the inequality fails."""
    distribution, kind = families.sparse(6, 9, 2, concentration=0.3, seed=1), make_kind("mos", 4)
    head, _ = moment_mixture(distribution, 2, HeadSpec(4))
    (_, parts), *_ = kind.closed_forms(distribution)
    H, alpha = kind.split(parts.S)
    wrong = AlternativeHead(kind, Parts(kind.join(H, np.zeros_like(alpha)), parts.Wt, parts.theta))
    allowed = head.gap(split_supports(distribution, 2)[0]) + rounding(10 * head.logit_range, 9)
    assert AlternativeHead(kind, parts).gap(distribution) <= allowed
    assert wrong.gap(distribution) > allowed + 1e-3


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
