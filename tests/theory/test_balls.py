"""Ball arithmetic: enclosures against mpmath and closed forms, floats against enclosures, and hostile tables."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import ContextualDistribution, families, strategies
from tests.theory.worlds import POSITIVE, tilted
from theory import HeadSpec, Status, catalogue, verify
from theory.balls import Proof, certify
from theory.balls.arithmetic import ball, curvature, flint, lower, sharpened, singular_values, underestimate_cost, upper
from theory.balls.certify import KNOWN

NAMES = (
    "unigram",
    "majorization",
    "probability-floor",
    "fisher-range-lower",
    "all-k-subsets",
    "high-mass",
    "range-floor",
)
EVERY = tuple(entry.name for entry in catalogue if entry.name in (*NAMES, "conjugate-certificate"))
"""With the bound that takes a search."""

DIGITS = 60
"""Decimal digits of the independent computations."""

BILLIONTH = 1 + 1e-9
LAST = 1 + 1e-12
"""What a float may exceed its certificate by in its last digits."""


def bounds(distribution, spec, names=NAMES, least=1e-12):
    """The lower bounds that balls know, with a value beyond ``least``: by default the rounding of sums."""
    found = [catalogue[name](distribution, spec) for name in names]
    return [b for b in found if b.status is Status.PROVED and b.side.is_lower and b.value > least]


@st.composite
def problems(draw):
    distribution = draw(st.one_of(strategies.positive_distributions(4, 4), strategies.distributions(4, 4)))
    dim, bias = draw(strategies.head_specs(distribution.vocab))
    limit = draw(st.sampled_from([{}, {"max_underestimate": 2.0}, {"logit_range": 3.0}, {"norm": 1.0}]))
    return distribution, HeadSpec(dim, bias, **limit)


@settings(max_examples=30)
@given(problems())
def test_every_float_is_proved_up_to_its_last_digits(problem):
    distribution, spec = problem
    for bound in bounds(distribution, spec):
        found = certify(bound, distribution, spec)
        assert found.proof is not Proof.REFUTED, (bound.name, bound.value, found)
        assert bound.value <= found.lower * LAST + 1e-15
        assert found.upper - found.lower <= 1e-14 * found.upper
        recomputed = verify(bound, distribution, spec).recomputed
        assert recomputed is not None
        assert abs(recomputed - found.lower) <= 1e-9 * found.upper + 1e-12


@pytest.mark.parametrize("world", ["dirichlet", "peaked", "near uniform"])
@pytest.mark.parametrize("spec", [HeadSpec(0, True), HeadSpec(1, True, max_underestimate=1.0)])
def test_a_value_pushed_up_by_a_billionth_is_refuted(world, spec):
    distribution = POSITIVE[world]
    for bound in bounds(distribution, spec, EVERY):
        found = certify(bound, distribution, spec)
        assert found.proof is not Proof.REFUTED, bound.name
        at_the_end = replace(bound, value=found.lower)
        assert certify(at_the_end, distribution, spec).proof is Proof.PROVED
        pushed = replace(bound, value=found.upper * BILLIONTH)
        assert certify(pushed, distribution, spec).proof is Proof.REFUTED, bound.name


def test_a_value_that_is_only_rounding_is_refuted():
    """One context shares no information with its token; in float64 the difference of entropies is not quite zero."""
    distribution = families.topics(contexts=1, vocab=2, topics=1, mixing=1.0, concentration=0.1, seed=0)
    bound = catalogue["unigram"](distribution, HeadSpec(0, True))
    assert 0 < bound.value < 1e-20
    assert certify(bound, distribution, HeadSpec(0, True)).proof is Proof.REFUTED


@pytest.mark.parametrize("name", ["majorization", "probability-floor"])
def test_enclosures_hold_the_value_found_with_sixty_digits(name):
    distribution, spec = POSITIVE["dirichlet"], HeadSpec(2)
    bound = catalogue[name](distribution, spec)
    found = certify(bound, distribution, spec)
    with mpmath.workdps(DIGITS):
        value = (majorization_by_mpmath if name == "majorization" else probability_floor_by_mpmath)(
            distribution, bound.certificate, spec.rank
        )
        assert mpmath.mpf(found.lower) <= value <= mpmath.mpf(found.upper)
        assert found.upper - found.lower <= 1e-15 * float(value)


def exact_table(distribution):
    """Log-probabilities and weights of a positive table, normalised, in mpmath."""
    L = mpmath.matrix(np.asarray(distribution.log_p).tolist())
    for c in range(L.rows):
        norm = mpmath.log(sum(mpmath.exp(x) for x in L[c, :]))
        for v in range(L.cols):
            L[c, v] -= norm
    weights = [mpmath.mpf(float(x)) for x in distribution.weights]
    whole = sum(weights)
    return L, [w / whole for w in weights]


def singular_by_mpmath(L, r, s):
    mean = [sum(L[c, v] * s[v] for v in range(L.cols)) / sum(s) for c in range(L.rows)]
    X = mpmath.matrix(L.rows, L.cols)
    for c in range(L.rows):
        for v in range(L.cols):
            X[c, v] = mpmath.sqrt(r[c]) * (L[c, v] - mean[c]) * mpmath.sqrt(s[v])
    return sorted(mpmath.svd_r(X, compute_uv=False), reverse=True)


def majorization_by_mpmath(distribution, certificate, rank):
    L, _ = exact_table(distribution)
    contexts, tokens = certificate["contexts"], certificate["tokens"]
    block = mpmath.matrix([[L[int(c), int(v)] for v in tokens] for c in contexts])
    r, s = ([mpmath.mpf(float(x)) for x in certificate[name]] for name in "rs")
    omega = min(r) * min(s)
    t = [x / mpmath.sqrt(omega) for x in singular_by_mpmath(block, r, s)[rank:]]
    return omega * sum(mpmath.exp(-x) - 1 + x for x in t)


def probability_floor_by_mpmath(distribution, certificate, rank):
    L, weights = exact_table(distribution)
    sigma = singular_by_mpmath(L, weights, [mpmath.mpf(1)] * L.cols)[rank:]
    a, m = mpmath.exp(min(L)), min(weights)
    return a / (2 * mpmath.e**2) * sum(min(x**2, mpmath.sqrt(m) * x) for x in sigma)


@pytest.mark.parametrize("bias", [False, True])
def test_closed_forms_lie_in_their_enclosures(bias):
    distribution = families.one_hot(7)
    bound = catalogue["unigram"](distribution, HeadSpec(0, bias))
    found = certify(bound, distribution, HeadSpec(0, bias))
    assert found.lower <= math.log(7) <= found.upper
    assert found.upper - found.lower <= 4 * math.ulp(1.0)
    subsets = catalogue["all-k-subsets"](families.all_k_subsets(6, 2), HeadSpec(3))
    found = certify(subsets, families.all_k_subsets(6, 2), HeadSpec(3))
    assert found.lower <= math.log(2) / 2 / 15 * LAST
    assert found.proof is Proof.PROVED


@pytest.mark.parametrize("seed", range(4))
def test_hostile_weights_and_probabilities_hold(seed):
    """Weights and probabilities over twelve decades: floats lose digits, and what balls prove stays below."""
    rng = np.random.default_rng(seed)
    weights = np.geomspace(1, 1e-12, 6)[rng.permutation(6)]
    logits = rng.uniform(-28, 0, (6, 5)) * rng.integers(0, 2, (6, 5)) + 1e-7 * rng.standard_normal((6, 5))
    distribution = ContextualDistribution.from_logits(logits, weights / weights.sum())
    seen = 0
    for spec in (HeadSpec(0, True), HeadSpec(1), HeadSpec(2, True), HeadSpec(1, max_underestimate=0.1)):
        for bound in bounds(distribution, spec, least=0.0):
            found = certify(bound, distribution, spec)
            assert found.proof is not Proof.REFUTED, (bound.name, bound.value, found)
            assert 0 <= found.lower <= found.upper
            pushed = replace(bound, value=found.upper * BILLIONTH)
            assert certify(pushed, distribution, spec).proof is Proof.REFUTED
            seen += 1
    assert seen >= 4


@pytest.mark.parametrize("kind", ["majorization", "fisher-range-lower"])
def test_a_minorant_above_the_weights_is_refuted_and_one_a_rounding_above_is_lowered(kind):
    distribution, spec = tilted(6, 5, 0.5), HeadSpec(1, max_underestimate=1.0)
    bound = catalogue[kind](distribution, spec)
    r = bound.certificate["r"]
    forged = replace(bound, certificate={**bound.certificate, "r": 1.01 * r})
    assert certify(forged, distribution, spec).proof is Proof.REFUTED
    assert "minorant" in certify(forged, distribution, spec).message
    touching = replace(bound, certificate={**bound.certificate, "r": r * (1 + 1e-13)})
    assert certify(touching, distribution, spec).proof is not Proof.REFUTED


def test_other_tables_ranks_and_kinds_are_told_apart():
    distribution, spec = POSITIVE["zipf"], HeadSpec(1)
    bound = catalogue["majorization"](distribution, spec)
    assert certify(bound, distribution, replace(spec, dim=2)).proof is Proof.REFUTED
    assert certify(bound, POSITIVE["zipf"], replace(spec, norm=2.0, float_format="float32")).proof is Proof.REFUTED
    assert certify(replace(bound, value=0.0), distribution, spec).proof is Proof.PROVED
    assert certify(replace(bound, value=math.nan), distribution, spec).proof is Proof.REFUTED
    upper_bound = catalogue["plug-in-unigram"](distribution, spec)
    with pytest.raises(ValueError, match="only lower bounds"):
        certify(upper_bound, distribution, spec)
    with pytest.raises(ValueError, match="not known in ball arithmetic"):
        certify(replace(bound, certificate={"kind": "hearsay"}), distribution, spec)
    large = families.zipf(contexts=200, vocab=100, rank=3)
    with pytest.raises(ValueError, match="restrict contexts and tokens"):
        certify(replace(bound, value=1.0), large, spec)
    assert {"majorization", "conjugate-certificate"} <= set(KNOWN)


def test_without_python_flint_the_remedy_is_named(monkeypatch):
    bound = catalogue["majorization"](POSITIVE["zipf"], HeadSpec(1))
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ImportError, match=r"pip install rankfloor\[certify\]"):
        certify(bound, POSITIVE["zipf"], HeadSpec(1))


# ---------------------------------------------------------------------- the arithmetic


@given(st.integers(-20000, 40000), st.sampled_from([1e-3, 1e-9, 1e-15]))
def test_costs_and_curvatures_enclose_those_of_mpmath(step, scale):
    t = step * scale
    low, high = sharpened(lambda: (underestimate_cost(ball(t)), underestimate_cost(ball(t))))
    left, right = sharpened(lambda: (curvature(ball(t)), curvature(ball(t))))
    with mpmath.workdps(DIGITS * 2):
        x = mpmath.mpf(t)
        cost = mpmath.exp(-x) - 1 + x
        assert low <= cost <= high
        assert left <= (cost / x**2 if t else mpmath.mpf("0.5")) <= right
    assert right - left <= 1e-14 * right


@given(st.floats(allow_nan=False, allow_infinity=False, width=64))
def test_floats_pass_through_balls_unchanged_and_leave_outwards(x):
    assert lower(ball(x)) == x == upper(ball(x))
    third = ball(x) / 3
    assert 3 * Fraction(lower(third)) <= Fraction(x) <= 3 * Fraction(upper(third))


@pytest.mark.parametrize("values", [[3.0, 2.0, 2.0, 2.0, 0.0], [1.0, 1.0, 1e-9, 0.0, 0.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
@pytest.mark.parametrize("wide", [False, True])
def test_singular_values_are_enclosed_in_clusters_and_at_zero(values, wide):
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    right = np.linalg.qr(rng.standard_normal((7, 7)))[0][:5]
    X = left @ np.diag(values) @ right
    X = X if wide else X.T
    with flint().ctx.workprec(192):
        low, high = singular_values([[ball(x) for x in row] for row in X])
    computed = np.linalg.svd(X, compute_uv=False)
    for a, b, sigma in zip(low, high, computed, strict=True):
        assert lower(a) - 1e-14 <= sigma <= upper(b) + 1e-14
        assert upper(b) - lower(a) <= 1e-12
