"""A fit that carries the proof of how much lower any head of its class could be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from experiments.heads import certified, fit
from synth import families, strategies
from tests.tolerances import rounding
from theory import HeadSpec, verify
from theory.certificate import Effort

BRIEF = Effort(single=60, metrics=1, stages=(1.0, 0.1))
NEAR = families.zipf(contexts=14, vocab=9, rank=9, scale=0.3, seed=0)


def test_a_fit_that_meets_its_certificate_says_that_it_is_globally_optimal():
    found = certified(NEAR, fit(NEAR, HeadSpec(1)), max_underestimate=2.0)
    assert found.globally_optimal
    assert str(found).endswith("globally optimal in its class")
    assert verify(found.lower, NEAR, found.spec).ok
    assert found.spec == HeadSpec(1, max_underestimate=2.0)


def test_no_such_claim_above_the_certificate_or_outside_the_class():
    found = certified(NEAR, fit(NEAR, HeadSpec(1)), max_underestimate=2.0)
    assert not replace(found, gap=1.01 * found.gap).globally_optimal
    narrow = 0.5 * found.head.underestimate(NEAR)
    outside = certified(NEAR, fit(NEAR, HeadSpec(1)), max_underestimate=narrow, effort=BRIEF)
    assert not outside.in_class
    assert not replace(outside, gap=outside.lower.value).globally_optimal


def test_a_plain_fit_claims_nothing():
    plain = fit(NEAR, HeadSpec(1))
    assert not plain.globally_optimal
    assert "optimal" not in str(plain)
    assert str(plain.status) in str(plain)


@settings(max_examples=15)
@given(strategies.positive_distributions(max_contexts=4, max_vocab=4))
def test_an_unlimited_certificate_is_below_the_fit(distribution):
    found = certified(distribution, fit(distribution, HeadSpec(1)), effort=BRIEF)
    assert found.in_class
    assert found.lower.value <= found.gap + rounding(1.0, 16)


def test_a_class_of_no_width_is_refused():
    with pytest.raises(ValueError, match="max_underestimate"):
        certified(NEAR, fit(NEAR, HeadSpec(1)), max_underestimate=-1.0)
