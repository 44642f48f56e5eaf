"""Nested supports: where the floor is zero, what the staircase head reaches, and what spoils either."""

from __future__ import annotations

import numpy as np
import pytest

from synth import ContextualDistribution, families, moves
from tests.theory.quickfit import fitted_gap
from tests.tolerances import UNATTAINED, WITNESS
from theory import HeadSpec, Status, catalogue, verify
from theory.bounds import nested

exact, head = catalogue["nested-supports"], catalogue["staircase-head"]

BASE = np.array([0.3, 0.05, 0.25, 0.1, 0.2, 0.1])


def cut(base, supports, weights=None):
    """Rows: ``base`` conditioned on each of the supports."""
    P = np.array([[share * (v in support) for v, share in enumerate(base)] for support in supports])
    return ContextualDistribution.from_probabilities(P / P.sum(axis=1, keepdims=True), weights)


JUMPS = cut(BASE, [(3, 1), (3, 1, 0, 4), (3, 1), (3, 1, 0, 4, 2)], np.array([0.1, 0.4, 0.2, 0.3]))
"""Supports that grow by two and by one, one of them twice, and a token never seen."""


@pytest.mark.parametrize("spec", [HeadSpec(1, True), HeadSpec(2), HeadSpec(4, True)])
def test_levels_of_any_width_cost_nothing(spec):
    assert exact(JUMPS, spec).value == 0
    bound = head(JUMPS, spec)
    assert 0 <= bound.value <= WITNESS
    assert verify(exact(JUMPS, spec), JUMPS, spec).ok
    assert verify(bound, JUMPS, spec).ok
    assert np.exp(bound.witness.log_q()[:, 5]).max() <= WITNESS  # the token never seen


def test_levels_are_those_of_the_smallest_support():
    levels = exact(JUMPS, HeadSpec(2)).certificate["levels"]
    assert levels.tolist() == [1, 0, 2, 0, 1, 3]


def test_order_of_tokens_and_contexts_changes_nothing():
    rng = np.random.default_rng(0)
    moved = moves.permute_tokens(moves.permute_contexts(JUMPS, rng.permutation(4)), rng.permutation(6))
    assert exact(moved, HeadSpec(1, True)).value == 0
    assert head(moved, HeadSpec(1, True)).value <= WITNESS


def test_sparse_storage_is_read_the_same():
    sparse = ContextualDistribution.from_counts(JUMPS.p, JUMPS.weights)
    assert sparse.is_sparse
    assert head(sparse, HeadSpec(2)).value == pytest.approx(head(JUMPS, HeadSpec(2)).value, rel=0, abs=WITNESS)


def test_blocks_of_a_large_table_are_all_looked_at(monkeypatch):
    monkeypatch.setattr(nested, "BLOCK_ENTRIES", 6)
    assert exact(cut(BASE, [(0,), (0, 1), (0, 1, 2)]), HeadSpec(1, True)).applies
    assert not exact(cut(BASE, [(0,), (0, 1), (1, 2, 3)]), HeadSpec(1, True)).applies


def test_a_uniform_base_needs_no_bias_and_others_do():
    flat = cut(np.full(5, 0.2), [(0, 1), (0, 1, 2), (0, 1, 2, 3)])
    assert exact(flat, HeadSpec(1)).value == 0
    assert head(flat, HeadSpec(1)).value <= WITNESS
    skewed = cut(np.array([0.55, 0.05, 0.4]), [(0, 1), (0, 1, 2)])
    refused = exact(skewed, HeadSpec(1))
    assert refused.status is Status.NOT_APPLICABLE
    assert "from d = 2" in refused.reason
    assert head(skewed, HeadSpec(1)).status is Status.NOT_APPLICABLE
    assert fitted_gap(skewed, HeadSpec(1), starts=4) > 100 * UNATTAINED  # and rightly so
    assert fitted_gap(skewed, HeadSpec(1, True), iterations=3000) <= UNATTAINED


@pytest.mark.parametrize("spec", [HeadSpec(1), HeadSpec(1, True), HeadSpec(2)])
@pytest.mark.parametrize("support", [(0, 1, 2, 3, 4, 5), (0, 2, 3), (4,)])
def test_a_single_level_is_one_law(spec, support):
    one = cut(BASE, [support, support, support])
    assert exact(one, spec).value == 0
    bound = head(one, spec)
    assert 0 <= bound.value <= WITNESS
    assert verify(bound, one, spec).ok
    assert verify(exact(one, spec), one, spec).ok
    assert not exact(one, HeadSpec(0, True)).applies


@pytest.mark.parametrize(
    ("supports", "spoil", "message"),
    [
        ([(0, 1), (1, 2)], 0.0, "cross"),
        ([(0, 1), (2, 3, 4)], 0.0, "cross"),
        ([(0, 1), (0, 1, 2)], 1e-9, "not one base law"),
    ],
)
def test_what_is_not_nested_is_refused(supports, spoil, message):
    P = np.array(cut(BASE, supports).p)
    P[0, :2] += spoil * np.array([1, -1])
    distribution = ContextualDistribution.from_probabilities(P)
    for bound in (exact(distribution, HeadSpec(2, True)), head(distribution, HeadSpec(2, True))):
        assert bound.status is Status.NOT_APPLICABLE
        assert message in bound.reason


def test_many_levels_use_up_the_range_of_floats():
    values = [head(families.staircase(vocab), HeadSpec(1)).value for vocab in (39, 60, 100, 501)]
    assert values == sorted(values)
    assert values[0] <= 1e-12
    assert values[2] <= UNATTAINED
    beyond = families.staircase(502)
    assert "range of float64" in head(beyond, HeadSpec(1)).reason
    assert exact(beyond, HeadSpec(1)).value == 0
