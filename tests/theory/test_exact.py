"""Closed forms of the floor, against formulas of information theory and against fits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synth import ContextualDistribution, families
from tests.theory.quickfit import fitted_gap
from tests.theory.worlds import ALL, dirichlet, tilted
from tests.tolerances import KNOWN_FLOOR, UNATTAINED, WITNESS, rounding
from theory import HeadSpec, Side, Status, catalogue, verify

full_rank, unigram = catalogue["full-rank"], catalogue["unigram"]


@pytest.mark.parametrize("world", ALL)
def test_floor_of_no_dimension_is_an_entropy_difference(world):
    distribution = ALL[world]
    p, pi = np.asarray(distribution.p), np.asarray(distribution.weights)
    joint = pi[:, None] * p
    inside = joint > 0
    independent = np.outer(pi, joint.sum(axis=0))
    information = np.sum(joint[inside] * np.log(joint[inside] / independent[inside]))
    uniform = np.sum(joint[inside] * np.log(p[inside] * distribution.vocab))
    for bias, expected in ((True, information), (False, uniform)):
        bound = unigram(distribution, HeadSpec(0, bias))
        assert bound.side is Side.EXACT
        assert bound.value == pytest.approx(expected, rel=0, abs=rounding(1, joint.size))


@pytest.mark.parametrize("bias", [False, True])
def test_unigram_bounds_every_larger_head(bias):
    distribution = dirichlet(6, 5)
    bound = unigram(distribution, HeadSpec(2, bias))
    assert bound.side is Side.UPPER
    assert bound.value == pytest.approx(distribution.mutual_information, rel=0, abs=WITNESS)
    assert fitted_gap(distribution, HeadSpec(2, bias)) < bound.value


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_full_rank_starts_exactly_at_the_rank(rank, bias):
    distribution = families.low_rank(contexts=9, vocab=7, rank=rank, centred=True, seed=3)
    known = distribution.known.rank(bias)
    assert known == rank
    assert full_rank(distribution, HeadSpec(rank, bias)).value == 0
    below = full_rank(distribution, HeadSpec(rank - 1, bias))
    assert below.status is Status.NOT_APPLICABLE
    assert f"rank {rank}" in below.reason
    assert catalogue["majorization"](distribution, HeadSpec(rank, bias)).value == 0  # rounding is not a floor


def test_a_bias_saves_the_dimension_of_the_mean():
    distribution = families.zipf(contexts=10, vocab=8, rank=3, exponent=1.0)
    assert full_rank(distribution, HeadSpec(3, True)).value == 0
    assert full_rank(distribution, HeadSpec(3)).status is Status.NOT_APPLICABLE
    assert full_rank(distribution, HeadSpec(4)).value == 0


def test_uniform_tables_have_rank_zero_despite_rounding():
    distribution = ContextualDistribution.from_probabilities(np.full((5, 7), 1 / 7))
    assert full_rank(distribution, HeadSpec(0)).value == 0


@pytest.mark.parametrize(("dim", "bias"), [(3, True), (3, False)])
def test_full_dimension_is_an_infimum_with_zeros(dim, bias):
    distribution = ContextualDistribution.from_counts([[3, 1, 0, 2], [1, 1, 1, 0], [0, 4, 1, 1], [2, 2, 3, 1]])
    bound = full_rank(distribution, HeadSpec(dim, bias))
    assert (bound.value, bound.witness) == (0.0, None)
    assert fitted_gap(distribution, HeadSpec(dim, bias), iterations=3000) <= UNATTAINED


def test_binary_needs_one_dimension_and_no_less():
    distribution = dirichlet(5, 2)
    assert catalogue["binary"](distribution, HeadSpec(1)).value == 0
    assert fitted_gap(distribution, HeadSpec(1)) <= KNOWN_FLOOR
    assert catalogue["binary"](distribution, HeadSpec(0)).status is Status.NOT_APPLICABLE
    assert unigram(distribution, HeadSpec(0)).value > KNOWN_FLOOR
    assert catalogue["binary"](dirichlet(5, 3), HeadSpec(1)).status is Status.NOT_APPLICABLE


def test_an_exact_value_under_limits_is_a_lower_bound_unless_its_witness_stays_inside():
    distribution = tilted(6, 5, 1.0)
    inside = full_rank(distribution, HeadSpec(4, logit_range=3.0))
    assert inside.side is Side.EXACT
    outside = full_rank(distribution, HeadSpec(4, logit_range=0.5))
    assert (outside.side, outside.value, outside.witness) == (Side.LOWER, 0.0, None)
    assert verify(outside, distribution, HeadSpec(4, logit_range=0.5)).ok


def test_one_hot_laws_cost_log_v_without_context_and_nothing_in_two_dimensions():
    distribution = families.one_hot(8)
    assert unigram(distribution, HeadSpec(0, True)).value == pytest.approx(math.log(8), rel=0, abs=WITNESS)
    assert catalogue["sparse-support"](distribution, HeadSpec(2)).value == 0
    assert catalogue["sparse-support"](distribution, HeadSpec(1)).status is Status.NOT_APPLICABLE
