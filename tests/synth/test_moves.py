"""Metamorphic: a useless complication changes nothing, and a useful one moves every number the right way."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth import families, logspace, moves, strategies
from tests.tolerances import rounding

NUMBERS = ("entropy", "marginal_entropy", "mutual_information")


def slack(distribution):
    return rounding(distribution.vocab, distribution.contexts * distribution.vocab)


@given(strategies.distributions(), st.randoms(use_true_random=False), st.sampled_from(["contexts", "tokens"]))
def test_order_carries_no_information(distribution, random, what):
    size = distribution.contexts if what == "contexts" else distribution.vocab
    order = random.sample(range(size), size)
    moved = getattr(moves, f"permute_{what}")(distribution, order)
    back = getattr(moves, f"permute_{what}")(moved, np.argsort(order))
    assert np.array_equal(back.log_p, distribution.log_p)
    assert np.array_equal(back.weights, distribution.weights)
    for name in NUMBERS:
        assert abs(getattr(moved, name) - getattr(distribution, name)) <= slack(distribution)


@given(strategies.distributions(), st.data(), st.floats(0.01, 0.99))
def test_splitting_a_context_changes_nothing_and_merging_undoes_it(distribution, data, share):
    context = data.draw(st.integers(0, distribution.contexts - 1))
    split = moves.split_context(distribution, context, share)
    assert abs(float(split.weights.sum()) - 1) <= rounding(1, split.contexts)
    for name in NUMBERS:
        assert abs(getattr(split, name) - getattr(distribution, name)) <= slack(split)
    merged = moves.merge_contexts(split, [*range(distribution.contexts), context])
    assert np.max(np.abs(merged.p - distribution.p)) <= slack(distribution)
    assert np.max(np.abs(merged.weights - distribution.weights)) <= slack(distribution)


@given(strategies.distributions(), st.data())
def test_merging_keeps_the_unigram_and_loses_information(distribution, data):
    labels = data.draw(st.lists(st.integers(0, 2), min_size=distribution.contexts, max_size=distribution.contexts))
    groups = np.unique(labels, return_inverse=True)[1]
    merged = moves.merge_contexts(distribution, groups)
    assert np.max(np.abs(merged.marginal - distribution.marginal)) <= slack(distribution)
    assert merged.mutual_information <= distribution.mutual_information + slack(distribution)
    assert merged.entropy >= distribution.entropy - slack(distribution)


@given(strategies.distributions(), st.data())
def test_entropy_is_additive_over_a_partition_of_the_contexts(distribution, data):
    cut = data.draw(st.integers(0, distribution.contexts))
    parts = [range(cut), range(cut, distribution.contexts)]
    total = 0.0
    for part in parts:
        if len(part):
            mass = float(distribution.weights[part.start : part.stop].sum())
            total += mass * moves.restrict_contexts(distribution, list(part)).entropy
    assert abs(total - distribution.entropy) <= slack(distribution)


@given(strategies.distributions(), st.data())
def test_restricting_tokens_conditions_the_joint_law(distribution, data):
    tokens = data.draw(st.lists(st.integers(0, distribution.vocab - 1), min_size=1, unique=True))
    joint = (distribution.weights[:, None] * distribution.p)[:, tokens]
    if not joint.any():
        with pytest.raises(ValueError, match="no mass in any context"):
            moves.restrict_tokens(distribution, tokens)
        return
    part, mass = moves.restrict_tokens(distribution, tokens)
    joint = joint[joint.sum(axis=1) > 0]
    assert abs(mass - joint.sum()) <= slack(distribution)
    assert np.max(np.abs(part.weights[:, None] * part.p - joint / joint.sum())) <= slack(distribution)


@given(strategies.distributions(), st.floats(0, 1))
def test_smoothing_keeps_the_unigram_and_raises_entropy(distribution, share):
    smoothed = moves.smooth(distribution, share)
    assert np.max(np.abs(smoothed.marginal - distribution.marginal)) <= slack(distribution)
    assert smoothed.entropy >= distribution.entropy - slack(distribution)
    assert smoothed.known.logit_rank is None


@given(strategies.positive_distributions(), st.floats(-50, 50))
def test_a_shift_of_each_row_is_no_change(distribution, shift):
    shifts = shift * np.arange(distribution.contexts)
    moved = logspace.log_softmax(moves.shift_rows(distribution.log_p, shifts))
    assert np.max(np.abs(moved - distribution.log_p)) <= rounding(50 * distribution.contexts, distribution.vocab)


def test_moves_that_change_the_floors_drop_what_was_known():
    distribution = families.low_rank(6, 5, 2)
    assert moves.permute_tokens(distribution, [4, 3, 2, 1, 0]).known.logit_rank == 2
    assert moves.split_context(distribution, 0).known.bias_rank == 2
    assert moves.merge_contexts(distribution, [0, 0, 1, 1, 2, 2]).known.logit_rank is None
    assert moves.restrict_contexts(distribution, [0, 1]).known.logit_rank is None
    assert moves.restrict_tokens(distribution, [0, 1, 2])[0].known.logit_rank is None


def test_a_split_context_does_not_reach_full_rank_sooner():
    """Copies add contexts but no directions: the stated rank still decides."""
    distribution = moves.split_context(families.low_rank(2, 5, 1), 0)
    assert distribution.known_floor(SimpleNamespace(dim=1, bias=False)) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: moves.permute_contexts(d, [0, 0, 1]), "order must be a permutation of the 3 contexts"),
        (lambda d: moves.permute_tokens(d, [0, 1]), "order must be a permutation of the 3 tokens"),
        (lambda d: moves.split_context(d, 0, 1.0), "share must lie strictly between 0 and 1, found 1.0"),
        (lambda d: moves.split_context(d, 3), "context numbers must be a non-empty list of integers from 0 to 2"),
        (lambda d: moves.merge_contexts(d, [0, 2, 2]), "with none left out"),
        (lambda d: moves.restrict_tokens(d, []), "token numbers must be a non-empty list"),
        (lambda d: moves.smooth(d, 1.5), "share must lie in [0, 1], found 1.5"),
    ],
)
def test_bad_moves_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(families.one_hot(3))
