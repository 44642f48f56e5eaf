"""For every bound, the instance where it is tight (or the tightest known), and its sabotage twin.

Each row holds a distribution, a class and the value from the other side.  The bound must hold there, and multiplied
(lower) or divided (upper) by its sabotage factor it must contradict that value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from synth import ContextualDistribution, families
from tests.theory.worlds import tilted
from tests.tolerances import ORDER, WITNESS
from theory import Head, HeadSpec, Side, catalogue, unigram_truncation


@dataclass(frozen=True)
class Row:
    """One line of the table: ``other`` is a value the floor cannot exceed (lower bounds) or undercut (upper ones)."""

    distribution: ContextualDistribution
    spec: HeadSpec
    other: Callable[[ContextualDistribution, HeadSpec], float]
    factor: float


def no_dimension(distribution, spec):
    """The floor at d = 0, where it is known: log V - H without a bias."""
    return math.log(distribution.vocab) - distribution.entropy


def information(distribution, spec):
    """The floor of a bias alone."""
    return distribution.mutual_information


def truncated(distribution, spec):
    """The gap of a head."""
    return unigram_truncation(distribution, spec.dim, spec.bias).gap(distribution)


def middle_token_ties(distribution, spec):
    """Three one-hot contexts in one dimension: the middle token shares its context, at a cost of log(2) / 3."""
    W = np.array([[-1.0], [0.0], [1e-6]])
    return Head(np.array([[-40.0], [1e3], [4e7]]), W).gap(distribution)


def subsets_floor(distribution, spec):
    """What all k-subsets must lose one dimension below 2k."""
    return catalogue["all-k-subsets"](distribution, HeadSpec(2 * int(distribution.support_sizes.max()) - 1)).value


def best_in_budget(distribution, spec):
    """The gap of the best head known within the limits."""
    return catalogue["budget-head"](distribution, spec).value


def range_floor(distribution, spec):
    """What the range costs at any rank."""
    return catalogue["range-floor"](distribution, spec).value


def coin(log_odds: float) -> ContextualDistribution:
    return ContextualDistribution.from_logits(np.array([[log_odds, 0.0]]))


def near(eps: float) -> ContextualDistribution:
    return families.near_unigram(contexts=10, vocab=8, eps=eps)


def opposite_pairs(eps: float) -> ContextualDistribution:
    """Two orthogonal directions, each with both signs, on four tokens; a fifth is rare."""
    signs = np.array([[1, -1, 0, 0], [0, 0, 1, -1]])
    logits = eps * np.vstack([signs, -signs])
    return ContextualDistribution.from_logits(np.hstack([logits, np.full((4, 1), -20.0)]))


ONE = tilted(1, 5, 1e-3)
TABLE = {
    "plug-in-svd": Row(tilted(6, 5, 0.5), HeadSpec(0), no_dimension, 1.001),
    "plug-in-unigram": Row(families.zipf(contexts=9, vocab=8, rank=4), HeadSpec(0, True), information, 1.001),
    "smoothness": Row(coin(0.01), HeadSpec(0), no_dimension, 1.001),
    "first-order": Row(coin(2.5), HeadSpec(0), no_dimension, 6.1),
    "fisher-range": Row(ONE, HeadSpec(0), no_dimension, 1.001),
    "fisher-range-lower": Row(ONE, HeadSpec(0, max_underestimate=0.01), no_dimension, 1.006),
    "majorization": Row(ONE, HeadSpec(0), no_dimension, 1.003),
    "conjugate-certificate": Row(near(0.01), HeadSpec(0, True), information, 1.001),
    "probability-floor": Row(ONE, HeadSpec(0), no_dimension, math.e**2 * 1.01),
    "high-mass": Row(opposite_pairs(1e-2), HeadSpec(0, True), information, 2.1),
    "range-floor": Row(families.one_hot(5), HeadSpec(4, logit_range=3.0), best_in_budget, 1.001),
    "precision-floor": Row(
        families.zipf(contexts=4, vocab=6), HeadSpec(6, float_format="bfloat16"), best_in_budget, 1.13
    ),
    "rounded-floor": Row(ONE, HeadSpec(0, norm=1.0, float_format="float32"), no_dimension, 1.004),
    "packing": Row(families.one_hot(2), HeadSpec(1, norm=1e-3), best_in_budget, 2.01),
    "budget-head": Row(families.one_hot(5), HeadSpec(4, logit_range=3.0), range_floor, 1.001),
    "all-k-subsets": Row(families.all_k_subsets(3, 1), HeadSpec(1), middle_token_ties, 1.001),
}

ELSEWHERE = {
    "unigram": "test_an_exact_floor_moved_either_way_is_refuted",
    "full-rank": "test_a_zero_floor_one_dimension_too_early_is_refuted",
    "binary": "test_a_zero_floor_one_dimension_too_early_is_refuted",
    "sparse-support": "test_a_zero_floor_one_dimension_too_early_is_refuted",
    "moment-curve": "test_the_moment_curve_needs_every_dimension",
    "nested-supports": "test_a_zero_floor_one_dimension_too_early_is_refuted",
    "staircase-head": "test_the_staircase_head_needs_its_levels_and_its_base",
    "near-unigram": "test_the_prediction_is_exact_to_third_order",
}


def test_every_bound_has_its_tight_instance():
    assert set(TABLE) | set(ELSEWHERE) == {entry.name for entry in catalogue}
    assert all(name in globals() for name in ELSEWHERE.values())


@pytest.mark.parametrize("name", TABLE)
def test_bound_holds_where_it_is_tight_and_breaks_when_pushed(name):
    row = TABLE[name]
    bound = catalogue[name](row.distribution, row.spec)
    other = row.other(row.distribution, row.spec)
    assert bound.applies
    if bound.side is Side.LOWER:
        assert bound.value <= other * (1 + 1e-9)
        assert bound.value * row.factor > other
    else:
        assert bound.value >= other * (1 - 1e-9)
        assert bound.value / row.factor < other


@pytest.mark.parametrize("factor", [1.001, 0.999])
@pytest.mark.parametrize("bias", [False, True])
def test_an_exact_floor_moved_either_way_is_refuted(factor, bias):
    distribution = families.zipf(contexts=9, vocab=8, rank=4)
    bound = catalogue["unigram"](distribution, HeadSpec(0, bias))
    best = min(unigram_truncation(distribution, 0, bias).gap(distribution), bound.witness.gap(distribution))
    assert bound.value == pytest.approx(best, rel=0, abs=WITNESS)
    assert abs(bound.value * factor - best) > 1e-4 * best


@pytest.mark.parametrize(
    ("name", "distribution", "spec", "witness_of_loss"),
    [
        ("full-rank", families.low_rank(contexts=9, vocab=7, rank=3), HeadSpec(3), "majorization"),
        ("binary", coin(1.0), HeadSpec(1), "unigram"),
        ("sparse-support", families.all_k_subsets(6, 2), HeadSpec(4), "all-k-subsets"),
        ("sparse-support", families.all_k_subsets(6, 2), HeadSpec(3, True), "all-k-subsets"),
        ("sparse-support", families.one_hot(5), HeadSpec(1, True), "unigram"),
        ("nested-supports", families.staircase(6), HeadSpec(1), "unigram"),
        ("nested-supports", families.staircase(6, exponent=1.0), HeadSpec(1, True), "unigram"),
    ],
)
def test_a_zero_floor_one_dimension_too_early_is_refuted(name, distribution, spec, witness_of_loss):
    early = HeadSpec(spec.dim - 1, spec.bias)
    assert catalogue[name](distribution, spec).value == 0
    assert not catalogue[name](distribution, early).applies
    loss = catalogue[witness_of_loss](distribution, early)
    assert loss.side.is_lower
    assert loss.value > 1e-8


@pytest.mark.parametrize("spec", [HeadSpec(4), HeadSpec(3, True)])
def test_the_moment_curve_needs_every_dimension(spec):
    distribution = families.all_k_subsets(7, 2)
    head = catalogue["moment-curve"](distribution, spec).witness
    assert head.gap(distribution) <= WITNESS
    floor = subsets_floor(distribution, HeadSpec(3))
    assert floor > WITNESS
    for column in range(spec.dim):
        kept = [c for c in range(spec.dim) if c != column]
        assert Head(head.H[:, kept], head.W[:, kept], head.b).gap(distribution) >= floor
    assert not spec.bias or Head(head.H, head.W).gap(distribution) >= floor


def test_the_staircase_head_needs_its_levels_and_its_base():
    distribution, spec = families.staircase(6, exponent=1.0), HeadSpec(1, True)
    bound = catalogue["staircase-head"](distribution, spec)
    head = bound.witness
    assert 0 <= bound.value <= WITNESS
    swapped = head.W[[0, 2, 1, 3, 4, 5]]
    for damaged in (Head(head.H, head.W), Head(head.H, swapped, head.b), Head(-head.H, head.W, head.b)):
        assert damaged.gap(distribution) > 1e-2
    assert Head(0 * head.H, head.W, head.b).gap(distribution) >= distribution.mutual_information


def test_the_prediction_is_exact_to_third_order():
    steps, errors = np.array([0.1, 0.05, 0.025]), []
    for eps in steps:
        distribution = families.near_unigram(contexts=30, vocab=20, eps=float(eps))
        prediction = catalogue["near-unigram"](distribution, HeadSpec(3, True))
        errors.append(abs(truncated(distribution, HeadSpec(3, True)) - prediction.value))
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope >= 3 - ORDER
    assert not prediction.applies  # it binds nothing
