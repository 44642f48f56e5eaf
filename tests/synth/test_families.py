"""Conformance: whatever a family says of itself is true of what it made."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import families, strategies
from tests.tolerances import ORDER, rounding

every_family = pytest.mark.parametrize("family", list(strategies.by_family))
catalogued = pytest.mark.parametrize("family", list(families.catalogue))


FEW = settings(max_examples=settings.default.max_examples // 8)
"""Examples for each family: an eighth of what the profile allows, since there are many families."""


def numerical_rank(matrix, magnitude):
    """Singular values above the rounding of entries of size ``magnitude``."""
    return int(np.sum(np.linalg.svd(matrix, compute_uv=False) > rounding(magnitude, matrix.size)))


@every_family
@FEW
@given(data=st.data())
def test_rows_and_weights_are_laws(family, data):
    distribution = data.draw(strategies.by_family[family]())
    assert np.all(distribution.weights > 0)
    assert abs(distribution.weights.sum() - 1) <= rounding(1, distribution.contexts)
    assert np.max(np.abs(distribution.p.sum(axis=1) - 1)) <= rounding(1, distribution.vocab)
    assert distribution.log_p.dtype == np.float64
    assert distribution.known.family == family


@every_family
@FEW
@given(data=st.data())
def test_claimed_ranks_are_the_ranks(family, data):
    check_ranks(data.draw(strategies.by_family[family]()))


@pytest.mark.parametrize("claim", ["logit_rank", "bias_rank", "probability_rank"])
@pytest.mark.parametrize("error", [-1, 1])
def test_a_wrong_claim_is_caught(claim, error):
    maker = families.topics if claim == "probability_rank" else families.low_rank
    distribution = maker(12, 10, 4, seed=2)
    wrong = replace(distribution.known, **{claim: 4 + error})
    with pytest.raises(AssertionError):
        check_ranks(distribution.with_known(wrong))


def check_ranks(distribution):
    known = distribution.known
    if known.probability_rank is not None:
        assert numerical_rank(distribution.p, 1) == known.probability_rank
    if known.logit_rank is not None:
        size = float(np.abs(distribution.log_p).max())
        assert numerical_rank(distribution.centred_logits, size) == known.logit_rank
    if known.bias_rank is not None:
        L = distribution.centred_logits
        assert numerical_rank(L - L.mean(axis=0), float(np.abs(distribution.log_p).max())) == known.bias_rank


@every_family
@FEW
@given(data=st.data())
def test_claimed_entropy_is_the_entropy(family, data):
    distribution = data.draw(strategies.by_family[family]())
    if distribution.known.entropy is not None:
        assert abs(distribution.entropy - distribution.known.entropy) <= rounding(2, distribution.vocab)


@every_family
@FEW
@given(data=st.data())
def test_known_floors_respect_the_order_of_the_classes(family, data):
    """``g(d + 1) <= g_b(d) <= g(d)``, each where known: a zero claimed too early would break the chain at d = 0."""
    distribution = data.draw(strategies.by_family[family]())
    chain = []
    for dim in range(distribution.vocab + 1):
        chain += [distribution.known_floor(SimpleNamespace(dim=dim, bias=bias)) for bias in (False, True)]
    values = [floor for floor in chain if floor is not None]
    assert min(values) >= 0
    assert values[-1] == 0
    assert all(after <= before + rounding(2, distribution.vocab) for before, after in pairwise(values))


@catalogued
@FEW
@given(data=st.data())
def test_parameters_regenerate_the_instance_bitwise(family, data):
    distribution = data.draw(strategies.by_family[family]())
    again = families.make(distribution.known.family, **distribution.known.parameters)
    assert np.array_equal(again.log_p, distribution.log_p)
    assert np.array_equal(again.weights, distribution.weights)
    assert again.known == distribution.known


@catalogued
def test_defaults_work_and_the_seed_matters(family):
    distribution = families.make(family)
    assert distribution.entropy >= 0
    if "seed" in distribution.known.parameters:
        assert not np.array_equal(families.make(family, seed=1).log_p, distribution.log_p)


@pytest.mark.parametrize("spectrum", ["flat", "power_law", "step", "spiked", (3.0, 2.0, 1.0)])
def test_low_rank_has_the_spectrum_and_scale_it_was_given(spectrum):
    distribution = families.low_rank(20, 12, 3, spectrum=spectrum, scale=2.5, seed=4)
    sigma = np.linalg.svd(distribution.centred_logits, compute_uv=False)[:3]
    wanted = families.lowrank.spectra.profile(spectrum, 3) if isinstance(spectrum, str) else np.array(spectrum)
    wanted = 2.5 * np.sqrt(20 * 12) * wanted / np.linalg.norm(wanted)
    assert np.max(np.abs(sigma - wanted)) <= rounding(wanted[0], 20 * 12)


def test_zipf_keeps_its_law():
    """The unigram part alone when the interaction is tiny, and the stated spread of the interaction."""
    tiny = families.zipf(contexts=3, vocab=6, rank=2, scale=1e-12)
    assert np.max(np.abs(tiny.p * np.arange(1, 7) / tiny.p[0, 0] - 1)) <= 1e-10
    flat = families.zipf(contexts=400, vocab=300, rank=100, scale=2.0, exponent=0.0, seed=1)
    spread = flat.centred_logits.std()
    sem = 2.0 / np.sqrt(2 * 300)  # no coarser than 300 independent tokens
    assert abs(spread - 2.0) <= 5 * sem


def test_near_unigram_information_is_of_second_order():
    eps = np.array([1e-1, 1e-2, 1e-3])
    information = [families.near_unigram(12, 8, eps=e, seed=3).mutual_information for e in eps]
    slope = np.polyfit(np.log(eps), np.log(information), 1)[0]
    assert abs(slope - 2) <= ORDER


def test_markov_weights_are_history_probabilities():
    """Summing the last token out of longer histories gives the shorter ones, and P says how they continue."""
    short = families.markov(vocab=3, states=2, history=1, seed=5)
    long = families.markov(vocab=3, states=2, history=2, seed=5)
    joint = short.weights[:, None] * short.p
    assert np.max(np.abs(long.weights.reshape(3, 3) - joint)) <= rounding(1, 9)


def test_parameters_can_be_stored():
    known = families.zipf(np.int64(5), np.int32(4), rank=2, scale=np.float64(0.5), seed=np.int64(3)).known
    assert json.loads(json.dumps(known.parameters)) == known.parameters
    assert known == families.zipf(5, 4, rank=2, scale=0.5, seed=3).known


def test_very_concentrated_topics_claim_nothing_they_cannot_show():
    assert families.topics(5, 4, topics=4, concentration=1e-3, seed=0).known.probability_rank is None


def test_a_rank_that_rounding_hides_is_refused():
    with pytest.raises(ValueError, match=r"smallest singular value .* lower the rank or choose a slower decay"):
        families.low_rank(400, 500, 399, spectrum="exponential")
