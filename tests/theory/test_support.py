"""Supports: the moment curve's arithmetic, and the all-k-subsets bound against fits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synth import ContextualDistribution, families, moves
from tests.theory.quickfit import fitted_gap
from tests.tolerances import UNATTAINED, WITNESS, rounding
from theory import HeadSpec, Status, catalogue
from theory.bounds.support import _curve, _separator

curve, subsets = catalogue["moment-curve"], catalogue["all-k-subsets"]


@pytest.mark.parametrize("tokens", [[2], [0, 3], [1, 2, 6]])
def test_separator_vanishes_on_the_set_and_is_negative_elsewhere(tokens):
    k, vocab = 3, 9
    angles = 2 * np.pi * np.arange(vocab) / vocab
    expected = -np.prod(1 - np.cos(angles[:, None] - angles[tokens]), axis=1)
    values = _curve(vocab, k) @ _separator(angles[tokens], k)
    values -= values[tokens[0]]
    scale = values.min() / expected.min()
    np.testing.assert_allclose(values, scale * expected, rtol=0, atol=rounding(8, vocab))
    assert scale > 0


@pytest.mark.parametrize(("vocab", "k"), [(9, 1), (7, 2), (8, 3)])
def test_moment_curve_reaches_arbitrary_laws_on_small_supports(vocab, k):
    distribution = families.sparse(contexts=20, vocab=vocab, k=k, seed=1)
    assert catalogue["sparse-support"](distribution, HeadSpec(2 * k)).value == 0
    bound = curve(distribution, HeadSpec(2 * k))
    assert bound.value <= UNATTAINED
    assert bound.witness.gap(distribution) == pytest.approx(bound.value, rel=0, abs=WITNESS)
    assert curve(distribution, HeadSpec(2 * k - 1)).status is Status.NOT_APPLICABLE


def test_moment_curve_says_what_float64_cannot_resolve():
    distribution = families.all_k_subsets(vocab=40, k=1)
    assert curve(distribution, HeadSpec(2)).value <= UNATTAINED
    crowded = ContextualDistribution.from_probabilities(np.repeat([[0.5, 0.5] + [0.0] * 1998], 2, axis=0))
    bound = curve(crowded, HeadSpec(4))
    assert 0.1 < bound.value < math.log(1000)  # true, and honestly far from the infimum 0
    wide = ContextualDistribution.from_counts(np.eye(2000)[:, :2000])
    assert curve(wide, HeadSpec(2)).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(("vocab", "k"), [(3, 1), (5, 1), (6, 2)])
def test_all_subsets_bound_lies_below_fits_in_every_dimension(vocab, k):
    distribution = families.all_k_subsets(vocab, k)
    for dim in range(2 * k):
        bound = subsets(distribution, HeadSpec(dim))
        assert bound.value == pytest.approx(math.log(2) / k / math.comb(vocab, k), rel=1e-9, abs=0)
        assert bound.value <= fitted_gap(distribution, HeadSpec(dim)) + rounding(1, distribution.contexts)
    assert subsets(distribution, HeadSpec(2 * k)).status is Status.NOT_APPLICABLE
    assert subsets(distribution, HeadSpec(2 * k - 1, True)).status is Status.NOT_APPLICABLE


def test_all_subsets_bound_adds_up_contexts_with_one_support():
    distribution = families.all_k_subsets(6, 2)
    split = moves.split_context(distribution, 4, 0.2)
    assert subsets(split, HeadSpec(3)).value == pytest.approx(
        subsets(distribution, HeadSpec(3)).value, rel=1e-12, abs=0
    )


@pytest.mark.parametrize("spoil", ["missing subset", "not uniform", "too few tokens"])
def test_all_subsets_bound_needs_all_of_them_uniform_and_room(spoil):
    distribution = families.all_k_subsets(5 if spoil == "too few tokens" else 6, 2)
    if spoil == "missing subset":
        distribution = moves.restrict_contexts(distribution, list(range(1, distribution.contexts)))
    if spoil == "not uniform":
        P = np.array(distribution.p)
        P[0, P[0] > 0] = [0.4, 0.6]
        distribution = ContextualDistribution.from_probabilities(P)
    assert subsets(distribution, HeadSpec(3)).status is Status.NOT_APPLICABLE
