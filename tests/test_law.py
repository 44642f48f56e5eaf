"""The law: every lower bound <= every fit <= every upper bound, on random members of every family.

Where the floor is known exactly the fit meets it, or reports an unattained infimum close by and falling.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.heads import FitStatus, Options, fit
from synth import strategies
from tests.tolerances import KNOWN_FLOOR, UNATTAINED, WITNESS, rounding
from theory import HeadSpec, catalogue, verify

OPTIONS = Options(tolerance=1e-8, max_evaluations=400)


def slack(distribution):
    """Rounding allowed between a bound and a fit."""
    return rounding(1 + distribution.entropy, distribution.contexts * distribution.vocab)


def violations(distribution, spec, gap, bounds):
    """Names of the bounds that a fitted gap contradicts."""
    room = slack(distribution)
    broken = [bound.name for bound in bounds if bound.applies and bound.side.is_lower and bound.value > gap + room]
    # the best fit cannot end above a witness it started from; an exact value is met within the known-floor tolerance
    broken += [
        bound.name
        for bound in bounds
        if bound.applies and bound.side.value == "upper" and bound.value < gap - KNOWN_FLOOR
    ]
    return broken


@pytest.mark.parametrize("family", sorted(strategies.by_family))
def test_every_bound_agrees_with_every_fit(family):
    @given(strategies.by_family[family](), st.data())
    def check(distribution, data):
        spec = HeadSpec(*data.draw(strategies.head_specs(distribution.vocab)))
        result = fit(distribution, spec, OPTIONS)
        bounds = [entry(distribution, spec) for entry in catalogue]
        assert violations(distribution, spec, result.gap, bounds) == []
        assert abs(result.head.gap(distribution) - result.gap) <= WITNESS
        for bound in bounds:
            if bound.applies:
                verdict = verify(bound, distribution, spec)
                assert verdict.ok, f"{bound.name}: {verdict.message}"
        known = distribution.known_floor(spec)
        if known is not None and result.status is FitStatus.UNATTAINED:
            assert known - slack(distribution) <= result.gap <= known + UNATTAINED
        elif known is not None:
            assert abs(result.gap - known) <= KNOWN_FLOOR

    check()


def test_a_sabotaged_bound_is_caught():
    """The check itself can fail: a lower bound pushed above the fit and an upper one pushed below are both named."""
    from dataclasses import replace

    distribution = strategies.families.zipf(contexts=6, vocab=5, rank=3, scale=0.5)
    spec = HeadSpec(1, bias=True)
    gap = fit(distribution, spec, OPTIONS).gap
    lower = catalogue["majorization"](distribution, spec)
    upper = catalogue["plug-in-unigram"](distribution, spec)
    assert violations(distribution, spec, gap, [lower, upper]) == []
    pushed = [replace(lower, value=1.01 * gap + KNOWN_FLOOR), replace(upper, value=0.99 * gap - KNOWN_FLOOR)]
    assert violations(distribution, spec, gap, pushed) == ["majorization", "plug-in-unigram"]


@given(strategies.positive_distributions())
def test_floor_zero_is_closed_form(distribution):
    free = fit(distribution, HeadSpec(0, bias=True)).gap
    uniform = fit(distribution, HeadSpec(0)).gap
    assert abs(free - distribution.mutual_information) <= 1e-12
    assert abs(uniform - (math.log(distribution.vocab) - distribution.entropy)) <= 1e-12
