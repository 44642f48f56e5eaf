"""Trend tests proved by property: invariance, level, power, and what picking the best checkpoint does to each."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tolerances import rounding
from theory.saturation import (
    Finding,
    Rule,
    checkpoint_scatter,
    held_out_rise,
    mann_kendall,
    rise_p_value,
    saturation,
    window_means,
    window_rise,
)

CURVES = 1000
TIMES = np.arange(1, 16)
WHOLE = Rule(start=0.0)
values = st.lists(st.integers(-50, 50), min_size=4, max_size=12)
distinct = st.lists(st.integers(-50, 50), min_size=2, max_size=5, unique=True)


def noise(seed, kind="standard_normal", **parameters):
    return getattr(np.random.default_rng(seed), kind)(size=(CURVES, len(TIMES)), **parameters)


def share_rising(curves, rule=WHOLE):
    """Share of curves found to rise, and its standard error at the level of the rule."""
    found = [saturation(TIMES, curve, rule=rule).finding is Finding.RISES for curve in curves]
    return np.mean(found), math.sqrt(rule.alpha * (1 - rule.alpha) / len(curves))


@given(distinct)
def test_mann_kendall_is_the_share_of_orders_that_rise_as_much(x):
    def concordant(order):
        return sum(np.sign(order[j] - order[i]) for i in range(len(order)) for j in range(i + 1, len(order)))

    orders = [concordant(order) for order in permutations(x)]
    trend = mann_kendall(x)
    assert abs(trend.p_value - np.mean(np.array(orders) >= concordant(x))) <= rounding(1, len(orders))
    assert abs(trend.tau - concordant(x) / math.comb(len(x), 2)) <= rounding(1, len(x))


@given(values)
def test_increasing_transforms_change_nothing(x):
    original = mann_kendall(x)
    for transform in (lambda v: v**3 + v, lambda v: math.exp(v / 8), lambda v: sorted(set(x)).index(v)):
        assert mann_kendall([transform(v) for v in x]) == original
    flipped = mann_kendall([-v for v in x])
    assert abs(flipped.tau + original.tau) <= rounding(1, len(x))


@given(values, st.data())
def test_a_falling_course_lowers_every_statistic(x, data):
    """The theorem behind the p-values: flat curves are least favourable."""
    falls = data.draw(st.lists(st.integers(0, 9), min_size=len(x), max_size=len(x)))
    course = -np.cumsum(falls) * math.sqrt(2)  # irrational, so that no ties arise between different values
    e = np.array(x, dtype=float)
    assert window_rise(e + course, 2) <= window_rise(e, 2) + rounding(500, 4)
    if len(set(x)) == len(x):
        assert mann_kendall(e + course).p_value >= mann_kendall(e).p_value - rounding(1, len(x))


def test_a_rising_course_does_not():
    """The sabotage twin: the same statements fail when the course rises."""
    e, course = np.array([3.0, 1.0, 2.0, 0.5]), np.arange(4) * math.sqrt(2)
    assert window_rise(e + course, 2) > window_rise(e, 2) + 0.5
    assert mann_kendall(e + course).p_value < mann_kendall(e).p_value - 0.1


@given(values, st.integers(1, 4))
def test_windows_are_plain_means(x, width):
    means = window_means(x, width)
    expected = [sum(x[k : k + width]) / width for k in range(len(x) - width + 1)]
    np.testing.assert_allclose(means, expected, rtol=0, atol=rounding(50, width))
    assert abs(window_rise(x, width) - (expected[-1] - min(expected))) <= rounding(50, width)


@pytest.mark.parametrize(
    ("kind", "parameters"), [("standard_normal", {}), ("uniform", {}), ("laplace", {}), ("standard_t", {"df": 3})]
)
def test_flat_curves_are_seldom_found_to_rise(kind, parameters):
    """At level 0.05, within five standard errors; heavy tails swell the scatter and stay below."""
    share, error = share_rising(noise(1, kind, **parameters))
    assert share <= 0.05 + 5 * error
    assert share >= (0.05 - 5 * error if kind == "standard_normal" else 0.005)


def test_falling_curves_are_found_to_rise_even_less():
    """Straight, and as steep in the beginning as training is: curvature adds to the scatter."""
    for course in (-0.2 * TIMES, 8 / TIMES):
        share, error = share_rising(noise(2) + course)
        assert share <= 0.05 + 5 * error


def test_the_level_is_the_level_asked_for():
    rule = Rule(start=0.0, alpha=0.2)
    share, error = share_rising(noise(3), rule)
    assert abs(share - 0.2) <= 5 * error


def test_mann_kendall_keeps_its_level_exactly():
    """The p-value is discrete, so the share at most alpha is below alpha: by enumeration, and in a simulation."""
    p = np.array([mann_kendall(curve[:8]).p_value for curve in noise(4)])
    attainable = max(value for value in set(p.tolist()) if value <= 0.05)
    assert abs(np.mean(p <= 0.05) - attainable) <= 5 * math.sqrt(0.05 * 0.95 / CURVES)


def test_ties_are_corrected_for():
    rounded = np.round(noise(5) * 2) / 2
    share = np.mean([mann_kendall(curve).p_value <= 0.05 for curve in rounded])
    assert abs(share - 0.05) <= 5 * math.sqrt(0.05 * 0.95 / CURVES)
    assert mann_kendall([1.0, 1.0, 1.0]).p_value == 1


def test_late_rises_are_found_and_larger_ones_more_often():
    """Power under a known course: flat, then a climb over the last five checkpoints of so many standard deviations."""
    climb = np.clip(TIMES - 10, 0, None) / 5
    shares = [share_rising(noise(6)[:200] + size * climb)[0] for size in (0, 3, 6, 9)]
    assert shares == sorted(shares)
    assert shares[-1] >= 0.95
    trends = [np.mean([mann_kendall(x[7:]).p_value <= 0.05 for x in noise(6)[:200] + s * climb]) for s in (0, 3, 6)]
    assert trends == sorted(trends)
    assert trends[-1] >= 0.95


def test_the_best_checkpoint_is_better_than_it_is_and_held_out_choice_is_not():
    """The winner's curse, measured: flat curves, rises of the single best, of windows, and held out."""
    curves = noise(7)
    naive = curves[:, -1] - curves.min(axis=1)
    windows = window_rise(curves)
    held_out = np.array([held_out_rise(curve) for curve in curves])

    def error(x):
        return x.std() / math.sqrt(CURVES)

    assert naive.mean() >= 50 * error(naive)
    assert 5 * error(windows) <= windows.mean() <= naive.mean() / 2
    assert abs(held_out.mean()) <= 5 * error(held_out)


def test_held_out_rise_of_a_course_without_noise():
    assert abs(held_out_rise([5, 3, 1, 0, 1, 2, 3]) - (3 - 1)) <= rounding(5, 3)  # chosen at 0, read at 1 and 1


def test_scatter_is_the_noise_and_not_the_course():
    e = noise(8)
    squares = checkpoint_scatter(e) ** 2
    assert abs(squares.mean() - 1) <= 5 * squares.std() / math.sqrt(CURVES)
    np.testing.assert_allclose(checkpoint_scatter(e + 3 - 7 * TIMES), checkpoint_scatter(e), rtol=0, atol=1e-12)


@pytest.mark.parametrize("studentised", [False, True])
def test_p_values_match_a_null_law_drawn_elsewhere(studentised):
    e = np.random.default_rng(99).standard_normal((20_000, 11))
    rises = window_rise(e) / (checkpoint_scatter(e) if studentised else 1)
    for rise in (0.3, 1.0, 2.0):
        share = np.mean(rises >= rise)
        error = math.sqrt(2 * share * (1 - share) / len(e))
        assert abs(rise_p_value(rise, 1.0, 11, studentised=studentised) - share) <= 5 * error


def test_p_values_fall_with_the_rise_and_never_reach_zero():
    p = [rise_p_value(rise, 0.1, 11, studentised=True) for rise in (0.0, 0.1, 0.2, 0.4, 99.0)]
    assert p[0] == 1
    assert p == sorted(p, reverse=True)
    assert 0 < p[-1] < 1e-4
    assert rise_p_value(0.0, 0.0, 11, studentised=False) == 1
    assert rise_p_value(1e-9, 0.0, 11, studentised=False) == p[-1]


def test_units_and_offsets_do_not_matter():
    curve, errors = noise(9)[0], np.full(len(TIMES), 0.3)
    one, other = saturation(TIMES, curve, errors), saturation(3 * TIMES, 100 + 1024 * curve, 1024 * errors)
    assert (one.finding, one.p_items, one.p_scatter) == (other.finding, other.p_items, other.p_scatter)
    assert abs(other.rise - 1024 * one.rise) <= rounding(1024, 16)


def test_detectable_is_where_the_finding_turns():
    """A jump of the last window just above what is detectable is found, just below it is not."""
    base = np.tile([0.0, 1.0], 8)[:-1]
    for factor in (1.02, 0.98):
        found = saturation(TIMES, base, np.full(15, 10.0), WHOLE)  # noise known to be large, whatever the scatter
        lifted = base + np.where(TIMES >= 13, factor * found.detectable - found.rise, 0.0)
        assert (saturation(TIMES, lifted, np.full(15, 10.0), WHOLE).finding is Finding.RISES) == (factor > 1)


def test_rises_beyond_the_items_but_within_the_scatter_say_so():
    curve = np.array([3, 0.1, 2, 0.2, 3, 0.1, 2, 0.3, 2, 0.2, 3, 0.4, 2.5, 2.0, 0.9])
    found = saturation(TIMES, curve, np.full(15, 0.05), WHOLE)
    assert found.finding is Finding.SCATTER
    assert found.p_items <= 0.05 < found.p_scatter
    assert math.isnan(saturation(TIMES, curve, rule=WHOLE).p_items)


def test_what_comes_before_the_tested_part_is_ignored():
    curve = noise(10)[0]
    early = np.where(TIMES < 0.25 * 15, 50.0, curve)
    assert saturation(TIMES, early) == saturation(TIMES, curve)
    assert saturation(TIMES[:5], curve[:5]).finding is Finding.TOO_SHORT


def test_every_finding_explains_itself():
    assert len({finding.explanation for finding in Finding}) == len(Finding)
    assert all(len(finding.explanation) > 20 for finding in Finding)


@pytest.mark.parametrize(
    ("times", "losses", "errors", "message"),
    [
        ([1, 2, 3], [1, 2], None, "3 times, 2 losses"),
        ([1, 3, 2], [1, 2, 3], None, "times must be finite and increase"),
        ([1, 1, 2], [1, 2, 3], None, "times must be finite and increase"),
        ([1, 2, 3], [1, math.nan, 3], None, "checkpoint 1 is nan"),
        ([1, 2, 3], [1, 2, 3], [0.1, math.inf, 0.1], "checkpoint 1 is inf"),
        ([1, 2], [[1, 2], [3, 4]], None, r"found shape \(2, 2\)"),
    ],
)
def test_bad_curves_are_named(times, losses, errors, message):
    with pytest.raises(ValueError, match=message):
        saturation(times, losses, errors)


@pytest.mark.parametrize("rule", [{"width": 0}, {"start": 1.0}, {"late": -0.1}, {"alpha": 2}])
def test_bad_rules_are_named(rule):
    with pytest.raises(ValueError, match=next(iter(rule))):
        Rule(**rule)


def test_short_runs_are_named():
    with pytest.raises(ValueError, match="at least 2 checkpoints"):
        mann_kendall([1.0])
    with pytest.raises(ValueError, match="at least 4 checkpoints"):
        held_out_rise([1.0, 2.0, 3.0])
