"""Budgets: the limits of a class, what each of them costs, and surfaces that show which of them binds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import ContextualDistribution, families, strategies
from tests.theory.worlds import ALL, POSITIVE, dirichlet
from tests.tolerances import EPS, WITNESS, identity, rounding
from theory import Head, HeadSpec, Side, catalogue, sandwich, verify
from theory.bounds.budget_precision import _cells, leading
from theory.budget import budget_surface
from theory.formats import FORMATS, float_format
from theory.recheck import rounding as recheck

LOWER = ["unigram", "range-floor", "precision-floor", "packing", "fisher-range-lower", "majorization", "all-k-subsets"]
"""Lower bounds that limits enter, and the cheap ones of rank; "rounded-floor" rests on all of them."""


# ---------------------------------------------------------------------- the class


@st.composite
def members(draw, rounds=True):
    """A distribution, a class limited in norm and perhaps in format, and a head of the class."""
    distribution = draw(st.one_of(strategies.distributions(), strategies.positive_distributions()))
    dim, bias = draw(strategies.head_specs(distribution.vocab))
    name = draw(st.sampled_from([None, *FORMATS])) if rounds else None
    norm, seed = draw(st.sampled_from([0.3, 2.0, 8.0])), draw(strategies.seeds())
    rng = np.random.default_rng(seed)
    H, W = rng.standard_normal((distribution.contexts, dim)), rng.standard_normal((distribution.vocab, dim))
    b = rng.standard_normal(distribution.vocab) if bias else None
    scale = norm * (1 - 1e-9) / max(Head(H, W, b).norm, 1e-300)
    root = math.sqrt(scale)
    head = Head(root * H, root * W, None if b is None else scale * b, name)
    return distribution, HeadSpec(dim, bias, norm=norm, float_format=name), head


@settings(max_examples=60)
@given(members())
def test_no_member_of_a_limited_class_undercuts_a_lower_bound(problem):
    distribution, spec, head = problem
    assert head.belongs_to(spec, distribution)
    gap = head.gap(distribution)
    best = min(gap, catalogue["budget-head"](distribution, spec).value)
    slack = rounding(1 + distribution.entropy, distribution.contexts * distribution.vocab)
    for name in LOWER:
        bound = catalogue[name](distribution, spec)
        if bound.applies and bound.side.is_lower:
            assert bound.value <= best + slack, name
    assert head.logit_range <= spec.effective_range * (1 + 4 * EPS)


@settings(max_examples=40)
@given(members(rounds=False), st.integers(0, 9))
def test_the_norm_is_that_of_the_lifted_head_and_keeps_the_gauge(problem, seed):
    _, _, head = problem
    rng = np.random.default_rng(seed)
    if head.dim:
        G = np.linalg.qr(rng.standard_normal((head.dim, head.dim)))[0] * rng.lognormal()
        moved = Head(head.H @ G, head.W @ np.linalg.inv(G).T, head.b)
        assert moved.norm == pytest.approx(head.norm, rel=identity(), abs=0)
    plain = Head(head.H, head.W)
    if head.bias and plain.norm > 0:
        s = math.sqrt(
            np.linalg.norm(head.H, axis=1).max() * np.abs(head.b).max() / np.linalg.norm(head.W, axis=1).max()
        )
        lifted = Head(np.hstack([head.H, np.full((len(head.H), 1), s)]), np.hstack([head.W, head.b[:, None] / s]))
        assert lifted.norm <= head.norm * (1 + identity())
    assert np.abs(head.logits()).max() <= head.norm * (1 + identity())


def test_a_head_belongs_to_a_class_up_to_each_limit():
    distribution, head = POSITIVE["zipf"], catalogue["plug-in-unigram"](POSITIVE["zipf"], HeadSpec(2, True)).witness
    for factor, inside in ((1.001, True), (0.999, False)):
        assert head.belongs_to(HeadSpec(2, True, norm=head.norm * factor), distribution) == inside
        assert head.belongs_to(HeadSpec(2, True, logit_range=head.logit_range * factor), distribution) == inside
    spec = HeadSpec(2, True, float_format="bfloat16")
    assert not head.belongs_to(spec, distribution)
    coarse = replace(head, float_format="bfloat16")
    assert coarse.belongs_to(spec, distribution)
    assert not coarse.belongs_to(HeadSpec(2, True), distribution)
    np.testing.assert_array_equal(coarse.logits(), float_format("bfloat16").round(head.logits()))
    assert coarse.on(np.zeros(1)).float_format == "bfloat16"
    assert not HeadSpec(2, norm=1.0).is_unbounded
    for bad in ({"norm": 0.0}, {"norm": -1.0}):
        with pytest.raises(ValueError, match="norm must be > 0"):
            HeadSpec(2, **bad)


@pytest.mark.parametrize(
    ("limits", "widest"),
    [
        ({}, math.inf),
        ({"norm": 3.0}, 6.0),
        ({"norm": 3.0, "logit_range": 5.0}, 5.0),
        ({"float_format": "fp8-e4m3"}, 896.0),
        ({"float_format": "fp8-e4m3", "norm": 1e6}, 896.0),
        ({"float_format": "fp8-e4m3", "norm": 3.0}, 6.0 * (1 + 2**-4) + 2 * 2.0**-10),
    ],
)
def test_the_effective_range_is_the_least_that_the_limits_leave(limits, widest):
    assert HeadSpec(2, **limits).effective_range == pytest.approx(widest, rel=4 * EPS, abs=0)
    assert recheck.widest_range(HeadSpec(2, **limits)) == pytest.approx(widest, rel=4 * EPS, abs=0)


# ---------------------------------------------------------------------- what each budget costs


@pytest.mark.parametrize(("vocab", "k"), [(5, 1), (7, 2), (6, 3)])
@pytest.mark.parametrize("widest", [0.5, 4.0, 12.0])
def test_a_range_costs_uniform_supports_a_closed_form(vocab, k, widest):
    distribution = families.all_k_subsets(vocab, k)
    expected = math.log1p((vocab - k) / k * math.exp(-widest))
    for spec in (HeadSpec(0, logit_range=widest), HeadSpec(vocab - 1, True, norm=widest / 2)):
        assert catalogue["range-floor"](distribution, spec).value == pytest.approx(expected, rel=identity(), abs=0)
    head = catalogue["budget-head"](distribution, HeadSpec(vocab - 1, logit_range=widest))
    assert head.value == pytest.approx(expected, rel=identity(), abs=0)


@pytest.mark.parametrize("world", ["zipf", "peaked", "staircase", "counts"])
@pytest.mark.parametrize("widest", [0.3, 3.0])
def test_the_range_floor_is_the_floor_of_heads_with_enough_dimensions(world, widest):
    distribution = ALL[world]
    spec = HeadSpec(min(distribution.contexts, distribution.vocab), logit_range=widest)
    s = sandwich(distribution, spec)
    assert s.lower.value == pytest.approx(s.upper.value, rel=1e-9, abs=rounding(1, 100))
    assert s.lower.value > 1e-6
    for factor in (0.9, 1.1):  # another range is another value
        other = catalogue["range-floor"](distribution, replace(spec, logit_range=widest * factor)).value
        assert (other - s.lower.value) * (factor - 1) < 0


@pytest.mark.parametrize("name", ["fp8-e4m3", "bfloat16"])
@pytest.mark.parametrize("world", ["zipf", "dirichlet"])
def test_the_precision_floor_is_that_of_the_best_numbers(name, world):
    distribution = POSITIVE[world]
    spec = HeadSpec(min(distribution.contexts, distribution.vocab), float_format=name)
    s = sandwich(distribution, spec)
    assert 0.85 * s.upper.value < s.lower.value <= s.upper.value
    assert s.lower.name == "precision-floor"


def test_cells_lie_below_the_function_they_bound():
    x, fmt = leading(np.asarray(dirichlet(1, 5, seed=4).log_p)[0]), float_format("fp8-e4m3")
    u = np.linspace(-20, 20, 4001)
    line = np.zeros(len(u), dtype=bool)
    there = _cells(x, u, u, line, fmt)
    cells = _cells(x, u[:-1], u[1:], line[1:], fmt)
    assert np.all(cells <= np.minimum(there[:-1], there[1:]) + rounding(1, 5))
    assert cells.max() > 1e-4


@pytest.mark.parametrize("name", ["fp8-e4m3", "bfloat16"])
def test_precision_costs_uniform_laws_nothing(name):
    spec = HeadSpec(6, float_format=name)
    assert catalogue["precision-floor"](families.all_k_subsets(6, 2), spec).value == 0
    assert catalogue["budget-head"](families.all_k_subsets(6, 2), spec).value <= WITNESS


def test_rounding_undercuts_a_rank_bound_and_keeps_its_own():
    """A table that *is* a rounded head of rank one: its floor is 0 in the format, and positive without."""
    rng = np.random.default_rng(0)
    H, W = rng.uniform(0.5, 2, (6, 1)), rng.uniform(-4, 4, (6, 1))
    head = Head(H, W, float_format="fp8-e4m3")
    distribution = ContextualDistribution.from_logits(head.logits())
    plain, coarse = HeadSpec(1), HeadSpec(1, norm=head.norm, float_format="fp8-e4m3")
    assert catalogue["majorization"](distribution, plain).value > 1e-6
    assert head.gap(distribution) <= WITNESS
    assert max(catalogue[name](distribution, coarse).value for name in ("rounded-floor", "precision-floor")) <= WITNESS
    assert not catalogue["majorization"](distribution, coarse).applies
    forged = replace(catalogue["majorization"](distribution, plain), name="forged")
    assert not verify(forged, distribution, coarse).ok


def test_rounded_floors_tend_to_the_floor_as_digits_grow():
    distribution = POSITIVE["near uniform"]
    bounds = [
        catalogue["rounded-floor"](distribution, HeadSpec(2, norm=1.0, float_format=name))
        for name in ("fp8-e4m3", "bfloat16", "float16", "float32")
    ]
    shares = [bound.value / bound.certificate["inner"]["value"] for bound in bounds]
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert 0.999 < shares[-1] < 1


def test_packing_binds_where_neither_range_nor_rank_does():
    distribution = families.one_hot(60)
    spec = HeadSpec(2, norm=8.0)
    bound = catalogue["packing"](distribution, spec)
    others = [entry(distribution, spec) for entry in catalogue if entry.name not in ("packing", "budget-head")]
    assert bound.value > 10 * max(b.value for b in others if b.applies and b.side is Side.LOWER)
    assert bound.value <= catalogue["budget-head"](distribution, spec).value
    assert verify(bound, distribution, spec).ok
    for clear in (0, 60, int(bound.certificate["clear"]) + 5):
        assert not verify(replace(bound, certificate={"kind": "packing", "clear": clear}), distribution, spec).ok
    halves = [catalogue["packing"](distribution, HeadSpec(2, norm=norm)).value for norm in (4.0, 8.0, 16.0)]
    assert halves == sorted(halves, reverse=True)
    assert catalogue["packing"](distribution, HeadSpec(1, True, norm=8.0)).value == pytest.approx(
        bound.value, rel=identity(), abs=0
    )


@pytest.mark.parametrize("damage", ["dropped cell", "narrow line", "no tail", "levels"])
def test_damaged_budget_certificates_are_refused(damage):
    distribution = POSITIVE["zipf"]
    name, spec = "precision-floor", HeadSpec(4, float_format="fp8-e4m3")
    if damage == "levels":
        name, spec = "range-floor", HeadSpec(4, logit_range=1.0)
    bound = catalogue[name](distribution, spec)
    assert bound.value > 0
    assert verify(bound, distribution, spec).ok
    changes = {}
    if damage == "levels":
        changes["levels"] = bound.certificate["levels"] + 0.1
    else:
        low, high, tail = bound.certificate["cells"][0]
        worst = int(np.argmax((low <= 3) & (high >= 3)))
        kept = {
            "dropped cell": np.arange(len(low)) != worst,
            "narrow line": high < high[~tail].max(),
            "no tail": ~tail,
        }[damage]
        changes["cells"] = [(low[kept], high[kept], tail[kept]), *bound.certificate["cells"][1:]]
    verdict = verify(replace(bound, certificate={**bound.certificate, **changes}), distribution, spec)
    assert not verdict.ok


# ---------------------------------------------------------------------- surfaces


def test_the_surface_shows_when_rank_binds_and_when_the_range_does():
    distribution = families.all_k_subsets(7, 2)
    ranges = (2.0, 16.0, 1e4)
    cells = budget_surface(distribution, [4, 1, 2], [{"logit_range": B} for B in ranges])
    assert [(c.spec.dim, c.budget["logit_range"]) for c in cells] == [(d, B) for B in ranges for d in (1, 2, 4)]
    assert all(c.lower.value <= c.upper.value + c.sandwich.slack for c in cells)
    assert [c.binds for c in cells[:3]] == ["budget"] * 3
    assert [c.binds for c in cells[6:]] == ["rank", "rank", "neither"]
    assert cells[-1].upper.value <= WITNESS  # the moment curve fits its logits into the largest range
    assert {"dim", "logit_range", "lower", "upper", "binds"} <= set(cells[0].row())
    uppers = [c.upper.value for c in cells if c.spec.dim == 4]
    assert uppers == sorted(uppers, reverse=True)


def test_the_surface_shows_when_precision_binds():
    distribution = POSITIVE["zipf"]
    budgets = [{"float_format": "fp8-e4m3"}, {"norm": 8.0, "float_format": "float32"}]
    coarse, fine = budget_surface(distribution, [1], budgets)
    assert (coarse.binds, coarse.lower.name) == ("budget", "precision-floor")
    assert (fine.binds, fine.lower.name) == ("rank", "rounded-floor")
    with pytest.raises(ValueError, match="a budget holds limits among"):
        budget_surface(distribution, [1], [{"range": 1.0}])
