"""What every entry of the catalogue owes, checked on drawn and named distributions; a new bound inherits all of it."""

from __future__ import annotations

import doctest
import itertools
import math
import re
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import ContextualDistribution, moves, strategies
from synth._array import like, to_numpy
from tests.theory.worlds import ALL, POSITIVE, dirichlet
from tests.tolerances import LIBRARIES, WITNESS, identity, rounding
from theory import Bound, HeadSpec, Side, Status, catalogue, sandwich, verify

PAGES = Path(__file__).parents[2] / "docs" / "theorems"
NAMES = [entry.name for entry in catalogue]
SECTIONS = ("Setting:", "Statement:", "Side:", "Tight when:", "Assumes:", "Units:", "Cost:", "Fails as:", "Reference:")
TIED = {"one-hot", "pairs"}
"""Worlds with equal singular values, where each library truncates to another, equally good, subspace."""

SPLIT_SENSITIVE = {"majorization", "high-mass", "probability-floor", "fisher-range-lower", "conjugate-certificate"}
"""Their cost is concave in a context's energy, their minorant averages over contexts, or an ascent stops elsewhere."""

BIAS_SHARP = {"conjugate-certificate"}
"""They gain more from the knowledge that a bias is the same for all contexts; their own tests compare."""

LIMITS = [
    *([{}] * 5),
    {"max_underestimate": 2.0},
    {"logit_range": 5.0},
    {"norm": 2.0},
    {"float_format": "fp8-e4m3"},
    {"norm": 4.0, "float_format": "float32"},
]
"""Limits of the classes drawn: half of them have none."""

THIRD = settings(max_examples=max(1, settings.default.max_examples // 3))

MANY = settings(max_examples=5 * settings.default.max_examples)
"""A thousand problems for every bound; ``python -m tests.bench.law`` draws a hundred thousand."""


@st.composite
def problems(draw: st.DrawFn) -> tuple[ContextualDistribution, HeadSpec]:
    """A distribution of any kind with a class of heads, limited or not."""
    distribution = draw(st.one_of(strategies.distributions(), strategies.positive_distributions()))
    dim, bias = draw(strategies.head_specs(distribution.vocab))
    return distribution, HeadSpec(dim, bias, **draw(st.sampled_from(LIMITS)))


def answers(distribution: ContextualDistribution, spec: HeadSpec) -> tuple[Bound, ...]:
    """What every bound says of a problem, each verified, all in keeping with the law."""
    result = sandwich(distribution, spec)
    for bound in result.bounds:
        assert isinstance(bound, Bound)
        assert not math.isnan(bound.value)
        assert bound.value >= 0
        assert bound.reason or bound.status is not Status.NOT_APPLICABLE
        verdict = verify(bound, distribution, spec)
        assert verdict.ok, (bound.name, verdict.message)
    assert result.holds, str(result)
    return result.bounds


@MANY
@given(problems())
def test_every_bound_is_verified_and_the_law_holds(problem):
    assert len(answers(*problem)) == len(catalogue)


@THIRD
@given(problems())
def test_known_floors_lie_between_the_bounds(problem):
    distribution, spec = problem
    known = distribution.known_floor(HeadSpec(spec.dim, spec.bias))
    if known is None:
        known = sandwich(distribution, HeadSpec(distribution.vocab, spec.bias)).upper.value
        assert known <= 1e-9  # as many dimensions as tokens
    else:
        result = sandwich(distribution, HeadSpec(spec.dim, spec.bias))
        assert result.lower.value <= known + 1e-9
        assert known <= result.upper.value + 1e-9


@pytest.mark.parametrize("world", ALL)
@pytest.mark.parametrize("spec", [HeadSpec(0), HeadSpec(0, True), HeadSpec(1), HeadSpec(1, True), HeadSpec(2, True)])
def test_witness_gap_is_the_value(world, spec):
    seen = 0
    for entry in catalogue:
        bound = entry(ALL[world], spec)
        if bound.witness is not None:
            gap = bound.witness.gap(ALL[world])
            slack = WITNESS * max(1.0, bound.value)
            assert gap <= bound.value + slack, bound.name
            assert gap >= bound.value - slack or bound.certificate.get("dominates"), bound.name
            seen += 1
    assert seen >= 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bias", [False, True])
def test_permutations_change_nothing(name, bias):
    distribution, spec = dirichlet(8, 7, seed=5), HeadSpec(2, bias, max_underestimate=3.0)
    rng = np.random.default_rng(0)
    moved = moves.permute_tokens(moves.permute_contexts(distribution, rng.permutation(8)), rng.permutation(7))
    for here in (spec, HeadSpec(2, bias)):
        before, after = catalogue[name](distribution, here), catalogue[name](moved, here)
        assert after.status is before.status
        assert after.value == pytest.approx(before.value, rel=identity(), abs=rounding(1.0, 56))


@pytest.mark.parametrize("name", NAMES)
def test_splitting_a_context_changes_nothing_or_lowers(name):
    distribution, spec = dirichlet(8, 7, seed=6), HeadSpec(2, True, max_underestimate=3.0)
    before = catalogue[name](distribution, spec)
    after = catalogue[name](moves.split_context(distribution, 3, 0.3), spec)
    assert after.status is before.status
    if name in SPLIT_SENSITIVE:
        assert after.value <= sandwich(distribution, HeadSpec(2, True)).upper.value
    else:
        assert after.value == pytest.approx(before.value, rel=identity(), abs=rounding(1.0, 56))


@pytest.mark.parametrize("world", POSITIVE)
@pytest.mark.parametrize("name", sorted({entry.name for entry in catalogue if entry.side is Side.LOWER} - BIAS_SHARP))
def test_lower_bounds_see_a_bias_as_one_dimension(world, name):
    distribution = POSITIVE[world]
    for dim in range(distribution.vocab):
        with_bias = catalogue[name](distribution, HeadSpec(dim, True))
        without = catalogue[name](distribution, HeadSpec(dim + 1))
        assert with_bias.value == pytest.approx(without.value, rel=identity(), abs=rounding(1.0, 100))


@pytest.mark.parametrize("world", POSITIVE)
@pytest.mark.parametrize("name", ["smoothness", "first-order", "majorization", "probability-floor"])
def test_formulas_fall_with_the_dimension_and_with_a_bias(world, name):
    distribution = POSITIVE[world]
    values = [
        [catalogue[name](distribution, HeadSpec(dim, bias)).value for bias in (False, True)]
        for dim in range(distribution.vocab)
    ]
    slack = rounding(max(map(max, values)), 100)
    assert all(
        later <= earlier + slack for a, b in itertools.pairwise(values) for earlier, later in zip(a, b, strict=True)
    )
    assert all(with_bias <= without + slack for without, with_bias in values)


@pytest.mark.parametrize("world", ALL)
@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
def test_other_array_libraries_give_the_same_values(world, library):
    reference = torch.zeros(1, dtype=torch.float64) if library == "torch" else array_api_strict.zeros(1)
    distribution = ALL[world]
    moved = distribution.on(reference)
    spec = HeadSpec(1, True)
    for entry in catalogue:
        here, there = entry(distribution, spec), entry(moved, spec)
        assert there.status is here.status, entry.name
        if not (world in TIED and entry.name == "plug-in-unigram"):
            assert there.value == pytest.approx(here.value, rel=LIBRARIES, abs=rounding(1.0, 100)), entry.name
        assert verify(there, moved, spec).ok, entry.name
        if there.witness is not None:
            assert type(there.witness.H) is type(reference)
            assert to_numpy(there.witness.H).dtype == np.float64


def test_float32_tables_are_bounded_in_float64():
    distribution = POSITIVE["zipf"]
    rounded = distribution.on(like(np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.float32)))
    assert to_numpy(rounded.weights).dtype == np.float32
    for entry in catalogue:
        here, there = entry(distribution, HeadSpec(2, True)), entry(rounded, HeadSpec(2, True))
        assert there.value == pytest.approx(here.value, rel=identity(np.float32), abs=identity(np.float32)), entry.name


@pytest.mark.parametrize("name", NAMES)
def test_docstring_has_every_section_and_a_running_example(name):
    function = catalogue[name].function
    assert function.__doc__ is not None
    assert all(section in function.__doc__ for section in SECTIONS)
    (example,) = doctest.DocTestFinder().find(function, name)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_bound_has_a_page_whose_links_lead_somewhere(name):
    page = PAGES / f"{name}.md"
    text = page.read_text()
    assert text.startswith(f"# {name}\n")
    assert {"**Statement.**", "**Tight when.**", "**Code.**"} <= set(re.findall(r"\*\*[A-Z][a-z ]+\.\*\*", text))
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert all((PAGES / link).exists() for link in links)
    source = catalogue[name].function.__module__.replace(".", "/") + ".py"
    assert f"../../{source}" in links


def test_every_bound_applies_somewhere():
    specs = [HeadSpec(d, bias) for d in (0, 1, 4) for bias in (False, True)] + [HeadSpec(1, max_underestimate=3.0)]
    specs += [HeadSpec(1, norm=2.0), HeadSpec(1, norm=2.0, float_format="bfloat16")]
    reached = {
        b.name
        for world in ALL.values()
        for spec in specs
        if spec.dim <= world.vocab
        for b in sandwich(world, spec).bounds
        if b.status is not Status.NOT_APPLICABLE
    }
    assert reached == set(NAMES)
