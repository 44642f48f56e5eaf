"""The noun: entropies, information and floors, the same in every way of building and storing it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given

from synth import ContextualDistribution, strategies
from tests.tolerances import rounding


def spec(dim, bias=False):
    """Stands for a class of heads: all an exact floor depends on."""
    return SimpleNamespace(dim=dim, bias=bias)


def xlogx(p):
    return sum(float(x) * math.log(x) for x in np.ravel(p) if x > 0)


@given(strategies.distributions())
def test_entropy_is_the_weighted_sum_over_rows(distribution):
    naive = -math.fsum(float(w) * xlogx(row) for w, row in zip(distribution.weights, distribution.p, strict=True))
    assert abs(distribution.entropy - naive) <= rounding(2, distribution.vocab)


@given(strategies.distributions())
def test_entropies_are_ordered(distribution):
    slack = rounding(2, distribution.contexts * distribution.vocab)
    assert -slack <= distribution.entropy
    assert distribution.entropy <= distribution.marginal_entropy + slack
    assert distribution.marginal_entropy <= math.log(distribution.vocab) + slack


@given(strategies.distributions())
def test_a_bias_alone_leaves_the_mutual_information(distribution):
    """``g_b(0) = I(context; token)``, computed here from the joint law, and ``g(0) = log V - H``."""
    joint = distribution.weights[:, None] * distribution.p
    product = distribution.weights[:, None] * joint.sum(axis=0)[None, :]
    inside = joint > 0
    information = math.fsum((joint[inside] * np.log(joint[inside] / product[inside])).tolist())
    assert abs(distribution.known_floor(spec(0, True)) - information) <= 1e-12
    assert abs(distribution.known_floor(spec(0)) - (math.log(distribution.vocab) - distribution.entropy)) <= 1e-12


@given(strategies.distributions())
def test_the_marginal_is_a_law(distribution):
    assert abs(float(distribution.marginal.sum()) - 1) <= rounding(1, distribution.vocab)
    assert np.max(np.abs(distribution.marginal - distribution.weights @ distribution.p)) <= rounding(1, 6)


@given(strategies.distributions())
def test_every_way_of_building_gives_the_same_table(distribution):
    weights, slack = distribution.weights, rounding(distribution.vocab, distribution.vocab)
    shifted = distribution.log_p + np.arange(distribution.contexts)[:, None]
    for other in (
        ContextualDistribution.from_probabilities(distribution.p, weights),
        ContextualDistribution.from_log_probabilities(distribution.log_p, weights),
        ContextualDistribution.from_logits(shifted, weights),
        ContextualDistribution.from_counts(7 * distribution.p, weights),
    ):
        assert np.max(np.abs(other.p - distribution.p)) <= slack
        assert np.max(np.abs(other.weights - weights)) <= rounding(1, distribution.contexts)
        assert abs(other.entropy - distribution.entropy) <= slack


@given(strategies.distributions())
def test_sparse_and_dense_storage_agree_on_everything(distribution):
    sparse = ContextualDistribution.from_counts(distribution.p, distribution.weights)
    dense = ContextualDistribution.from_probabilities(distribution.p, distribution.weights)
    slack = rounding(distribution.vocab, distribution.contexts * distribution.vocab)
    assert sparse.is_sparse
    assert not dense.is_sparse
    assert np.array_equal(sparse.support_sizes, dense.support_sizes)
    assert sparse.is_positive == dense.is_positive
    assert np.array_equal(np.isfinite(sparse.log_p), np.isfinite(dense.log_p))
    for name in ("p", "marginal", "entropy", "marginal_entropy", "mutual_information"):
        assert np.max(np.abs(getattr(sparse, name) - getattr(dense, name))) <= slack
    for dim in range(distribution.vocab + 1):
        for bias in (False, True):
            one, other = sparse.known_floor(spec(dim, bias)), dense.known_floor(spec(dim, bias))
            assert (one is None) == (other is None)
            assert abs((one or 0.0) - (other or 0.0)) <= slack


@given(strategies.positive_distributions())
def test_centred_logits_sum_to_zero_and_give_the_table_back(distribution):
    centred = distribution.centred_logits
    assert np.max(np.abs(centred.sum(axis=1))) <= rounding(float(np.abs(centred).max()), distribution.vocab)
    again = ContextualDistribution.from_logits(centred, distribution.weights)
    assert np.max(np.abs(again.p - distribution.p)) <= rounding(float(np.abs(centred).max()), distribution.vocab)


@given(strategies.distributions())
def test_small_supports_have_floor_zero_a_dimension_earlier_with_a_bias(distribution):
    k = int(distribution.support_sizes.max())
    assert distribution.known_floor(spec(2 * k)) == 0.0
    assert distribution.known_floor(spec(2 * k - 1, True)) == 0.0


def test_supports_claim_no_dimension_too_early():
    """Pairs of seven tokens: positive below rank four (theory page "all-k-subsets"), so nothing may be claimed."""
    P = np.array([[0.5 * (v in (a, b)) for v in range(7)] for a in range(7) for b in range(a)])
    distribution = ContextualDistribution.from_probabilities(P)
    assert [distribution.known_floor(spec(dim, True)) for dim in (1, 2, 3)] == [None, None, 0.0]
    assert [distribution.known_floor(spec(dim)) for dim in (2, 3, 4)] == [None, None, 0.0]
    assert ContextualDistribution.from_probabilities(np.eye(5)).known_floor(spec(1, True)) == 0.0


def test_count_weights_are_the_row_totals():
    distribution = ContextualDistribution.from_counts([[3, 1, 0], [0, 0, 12]])
    assert np.array_equal(distribution.weights, [0.25, 0.75])
    assert np.array_equal(distribution.table.starts, [0, 2, 3])


def test_a_known_floor_is_none_only_where_nothing_is_known():
    distribution = ContextualDistribution.from_probabilities(np.full((5, 5), 0.1) + 0.5 * np.eye(5))
    assert distribution.known_floor(spec(2)) is None
    assert distribution.known_floor(spec(3, True)) is None
    assert distribution.known_floor(spec(4)) == 0.0
    wide = ContextualDistribution.from_probabilities(np.full((3, 9), 0.05) + 0.55 * np.eye(3, 9))
    assert wide.known_floor(spec(2)) is None
    assert wide.known_floor(spec(2, True)) == 0.0
    assert wide.known_floor(spec(3)) == 0.0


def test_log_tables_reach_beyond_the_range_of_floats():
    """A probability of e^-2000 is zero as a float and positive as a logarithm."""
    distribution = ContextualDistribution.from_logits(np.array([[0.0, -2000.0], [-2000.0, 0.0]]))
    assert distribution.is_positive
    assert distribution.entropy == 0.0
    assert abs(distribution.mutual_information - math.log(2)) <= rounding(1, 2)


def test_a_large_sparse_table_is_not_written_out():
    from scipy.sparse import csr_array

    counts = csr_array((np.ones(3), ([0, 1, 2], [5, 6, 7])), shape=(3, 10**9))
    distribution = ContextualDistribution.from_counts(counts)
    assert distribution.entropy == 0.0
    with pytest.raises(ValueError, match=r"a dense 3 x 1000000000 table was asked .* read it by blocks"):
        distribution.log_p  # noqa: B018
