"""Supports: the moment curve's arithmetic, and the all-k-subsets bound against fits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synth import ContextualDistribution, families, moves
from tests.theory.quickfit import fitted_gap
from tests.tolerances import UNATTAINED, WITNESS, rounding
from theory import HeadSpec, Status, catalogue, verify
from theory.bounds.support import _curve, _nodes, _separator, _squares

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


@pytest.mark.parametrize("tokens", [[2], [0, 3], [1, 2, 6]])
@pytest.mark.parametrize("vocab", [7, 12])
def test_squares_vanish_on_the_set_lead_with_one_and_carry_no_rounding(tokens, vocab):
    k, nodes = 3, _nodes(vocab)
    coefficients = _squares(nodes[tokens], k)
    values = np.vander(nodes, 2 * k + 1, increasing=True) @ coefficients
    expected = (1 + nodes**2) ** (k - len(tokens)) * np.prod((nodes[:, None] - nodes[tokens]) ** 2, axis=1)
    assert coefficients[-1] == 1
    assert np.array_equal(values, expected)
    assert np.array_equal(np.flatnonzero(values == 0), tokens)
    assert np.all(values >= 0)
    assert np.abs(nodes).max() <= 1


@pytest.mark.parametrize(("vocab", "k"), [(9, 1), (12, 2), (10, 3)])
@pytest.mark.parametrize("concentration", [1.0, 0.1])
def test_a_bias_saves_the_moment_curve_a_dimension(vocab, k, concentration):
    distribution = families.sparse(contexts=30, vocab=vocab, k=k, concentration=concentration, seed=1)
    spec = HeadSpec(2 * k - 1, True)
    assert catalogue["sparse-support"](distribution, spec).value == 0
    bound = curve(distribution, spec)
    assert bound.value <= WITNESS
    assert bound.witness.dim == spec.dim
    assert bound.witness.gap(distribution) == pytest.approx(bound.value, rel=0, abs=WITNESS)
    assert verify(bound, distribution, spec).ok
    for fewer in (HeadSpec(2 * k - 1), HeadSpec(2 * k - 2, True)):
        assert curve(distribution, fewer).status is Status.NOT_APPLICABLE
        assert catalogue["sparse-support"](distribution, fewer).status is Status.NOT_APPLICABLE


def test_supports_of_different_sizes_share_one_bias():
    P = np.array([[1.0, 0, 0, 0, 0, 0], [0, 0.3, 0.7, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0.9, 0, 0, 0, 0.1, 0]])
    distribution = ContextualDistribution.from_probabilities(P)
    bound = curve(distribution, HeadSpec(3, True))
    assert 0 <= bound.value <= WITNESS
    assert curve(distribution, HeadSpec(4)).value <= UNATTAINED


def test_all_pairs_and_all_triples_are_reached_with_a_bias():
    for vocab, k in ((12, 2), (10, 3)):
        distribution = families.all_k_subsets(vocab, k)
        assert curve(distribution, HeadSpec(2 * k - 1, True)).value <= WITNESS
        assert subsets(distribution, HeadSpec(2 * k - 2, True)).value > 1e-4 / math.comb(vocab, k)


def test_the_line_is_refused_where_no_float_could_follow():
    wide = families.sparse(contexts=2, vocab=80, k=40)
    bound = curve(wide, HeadSpec(79, True))
    assert bound.status is Status.NOT_APPLICABLE
    assert "degree 80" in bound.reason
    steep = ContextualDistribution.from_logits(np.array([[0.0, -1e7, -np.inf, -np.inf]] * 2))
    bound = curve(steep, HeadSpec(3, True))
    assert bound.status is Status.NOT_APPLICABLE
    assert "interpolants" in bound.reason
    lone = ContextualDistribution.from_probabilities(np.ones((2, 1)))
    assert curve(lone, HeadSpec(1, True)).value == 0


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
