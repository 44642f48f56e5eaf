"""The sandwich: which bound stands on which side, the ratio, and the law."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from experiments.heads import fit
from synth import families
from tests.theory.quickfit import fitted_gap
from tests.theory.worlds import ALL, tilted
from tests.tolerances import rounding
from theory import HeadSpec, Side, sandwich
from theory.certificate import certify

NEAR, SPEC = tilted(8, 6, 0.5), HeadSpec(2, True)


def test_the_best_bound_of_each_side_is_chosen():
    result = sandwich(NEAR, SPEC)
    applied = [bound for bound in result.bounds if bound.applies and bound.side is not Side.ASYMPTOTIC]
    assert result.lower.value == max(bound.value for bound in applied if bound.side.is_lower)
    assert result.upper.value == min(bound.value for bound in applied if bound.side.is_upper)
    assert result.exact is None
    assert result.holds
    assert result.ratio == pytest.approx(result.upper.value / result.lower.value, rel=1e-15, abs=0)
    assert result.lower.name in str(result)


def test_a_fit_enters_the_ratio_and_the_law():
    gap = fitted_gap(NEAR, SPEC)
    result = sandwich(NEAR, SPEC, SimpleNamespace(gap=gap))
    assert result.holds
    assert result.fit_gap == gap
    assert 1 < result.ratio == gap / result.lower.value
    assert "fit" in str(result)
    impossible = sandwich(NEAR, SPEC, SimpleNamespace(gap=0.5 * result.lower.value))
    assert not impossible.holds


def test_a_fit_that_meets_its_certificate_is_globally_optimal_in_its_class():
    """And not when it is a per cent higher, nor when its head leaves the class."""
    laws, spec = families.zipf(contexts=14, vocab=9, rank=9, scale=0.3, seed=0), HeadSpec(1, max_underestimate=2.0)
    found = fit(laws, HeadSpec(1))
    certificate = certify(laws, spec, start=found.head)
    met = sandwich(laws, spec, found, also=[certificate])
    assert met.globally_optimal
    assert "globally optimal in its class" in str(met)
    higher = sandwich(laws, spec, replace(found, gap=1.01 * found.gap), also=[certificate])
    assert not higher.globally_optimal
    narrow = HeadSpec(1, max_underestimate=0.5 * found.head.underestimate(laws))
    outside = sandwich(laws, narrow, found, also=[replace(certificate, value=found.gap)])
    assert not outside.globally_optimal


def test_a_fit_outside_a_limited_class_contradicts_no_bound_of_the_class():
    """The floor of the class may lie above it; a fit inside that is as low breaks the law."""
    laws, spec = families.zipf(contexts=14, vocab=9, rank=9, scale=0.3, seed=0), HeadSpec(1, max_underestimate=2.0)
    found = fit(laws, HeadSpec(1))
    lower = replace(certify(laws, spec, start=found.head), value=1.01 * found.gap)
    narrow = HeadSpec(1, max_underestimate=0.5 * found.head.underestimate(laws))
    outside = sandwich(laws, narrow, found, also=[lower])
    assert not outside.in_class
    assert outside.holds
    inside = sandwich(laws, spec, found, also=[lower])
    assert inside.in_class
    assert not inside.holds


def test_a_false_bound_breaks_the_law():
    result = sandwich(NEAR, SPEC)
    pushed = [replace(b, value=2 * result.upper.value) if b.name == "majorization" else b for b in result.bounds]
    assert not replace(result, bounds=tuple(pushed)).holds


def test_predictions_bind_nothing():
    result = sandwich(NEAR, SPEC)
    pushed = [replace(b, value=-1.0) if b.side is Side.ASYMPTOTIC else b for b in result.bounds]
    assert replace(result, bounds=tuple(pushed)).holds
    assert any(bound.side is Side.ASYMPTOTIC for bound in result.bounds)


@pytest.mark.parametrize("world", ALL)
def test_exact_floors_stand_on_both_sides(world):
    result = sandwich(ALL[world], HeadSpec(0, True))
    assert result.exact is result.lower is result.upper
    assert result.ratio == 1.0
    assert result.holds


def test_ratio_says_when_nothing_is_proved():
    open_case = sandwich(families.sparse(contexts=30, vocab=20, k=3), HeadSpec(2))
    assert open_case.ratio == math.inf or open_case.lower.value > 0
    zero = sandwich(families.one_hot(5), HeadSpec(2), SimpleNamespace(gap=0.5 * rounding(1, 25)))
    assert zero.exact is not None
    assert zero.ratio == 1.0
    assert sandwich(families.one_hot(5), HeadSpec(2), SimpleNamespace(gap=0.1)).ratio == math.inf


def test_a_limited_class_may_have_no_upper_bound():
    result = sandwich(families.zipf(contexts=8, vocab=6, rank=4, scale=3.0), HeadSpec(1, logit_range=0.01))
    assert result.upper.value >= result.lower.value
    assert result.holds
