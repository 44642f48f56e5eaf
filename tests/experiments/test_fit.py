"""Fits against reference floors, exact values, each other, and the second-order law at the optimum."""

from __future__ import annotations

import itertools

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from experiments.heads import FitStatus, Objective, Options, fit, ladder
from experiments.heads.solver import HEAT
from experiments.heads.starts import random_start
from synth import ContextualDistribution, families, moves, strategies
from synth._array import like, to_numpy
from tests.tolerances import KNOWN_FLOOR, LIBRARIES, UNATTAINED, identity, rounding
from theory import Head, HeadSpec, truncation

SMALL = families.zipf(contexts=40, vocab=20, rank=12, scale=1.5, seed=3)


@pytest.mark.parametrize("bias", [False, True])
def test_a_certified_fit_is_a_minimum(bias):
    """An independent minimiser started at the fit finds no more than the certified excess."""
    result = fit(SMALL, HeadSpec(4, bias))
    assert result.status is FitStatus.CONVERGED
    objective = Objective(SMALL, result.spec)
    polished = minimize(
        lambda x: ((at := objective.evaluate(x)).gap, at.gradient),
        objective.pack(result.head), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-14},
    )  # fmt: skip
    assert result.gap - polished.fun <= 2 * result.certified_excess + rounding(1, 800)
    assert result.certified_excess <= 1e-7


@pytest.mark.parametrize("family", ["zipf", "low_rank", "near_unigram"])
def test_the_gap_grows_as_the_square_of_a_perturbation(family):
    """At the optimum the first order vanishes: exponent 2.00 +- 0.02 (and 1 away from it)."""
    distribution = families.make(family, contexts=30, vocab=20, seed=2)
    objective = Objective(distribution, HeadSpec(3, bias=True))
    result = fit(distribution, objective.spec, Options(tolerance=1e-13))
    x = objective.pack(result.head)
    rng = np.random.default_rng(0)
    H, Wt = objective.split(x)
    v = objective.join(np.zeros_like(H), rng.standard_normal(Wt.shape) * np.abs(Wt).mean())
    steps = np.geomspace(3e-4, 3e-3, 6)

    def exponent(base, direction):
        rises = [0.5 * (objective.value(base + h * direction) + objective.value(base - h * direction)) for h in steps]
        forward = [objective.value(base + h * direction) - objective.value(base) for h in steps]
        return np.polyfit(np.log(steps), np.log(np.abs(forward)), 1)[0], rises

    slope, _ = exponent(x, v)
    away, _ = exponent(x + 0.3 * v, v)
    assert abs(slope - 2) <= 0.02
    assert abs(away - 1) <= 0.1


REFERENCE = {  # (V, k): upper bounds on the floors at d = 1, 2, ..., seen with bounded logits; none at d = 2k
    (7, 2): (0.894, 0.542, 0.169),
    (10, 3): (1.02, 0.795, 0.544, 0.291, 0.0841),
}


@pytest.mark.parametrize("case", sorted(REFERENCE))
def test_subset_floors(case):
    """All k-subsets, no bias: at or below the reference, positive until d = 2k, and zero (not attained) there."""
    vocab, k = case
    distribution = families.all_k_subsets(vocab=vocab, k=k)
    fits = ladder(distribution, list(range(1, 2 * k + 1)))
    least = float(distribution.weights.min()) * np.log(2) / k
    for result, reference in zip(fits, REFERENCE[case], strict=False):
        assert least <= result.gap <= reference + 0.002
        assert result.status is FitStatus.UNATTAINED
    assert fits[-1].gap <= UNATTAINED
    assert fits[-1].status is FitStatus.UNATTAINED


@pytest.mark.parametrize("case", sorted(REFERENCE))
def test_the_solver_finds_the_zero_without_being_shown_it(case):
    """From random factors alone the fit at d = 2k falls below 1e-3."""
    vocab, k = case
    distribution = families.all_k_subsets(vocab=vocab, k=k)
    spec = HeadSpec(2 * k)
    objective = Objective(distribution, spec)
    from experiments.heads.solver import Search

    gaps = [
        Search(distribution, spec, Options(), None).run("random", random_start(objective, seed), True).gap
        for seed in range(4)
    ]
    assert min(gaps) <= 1e-3


def test_the_ladder_never_rises():
    fits = ladder(SMALL, [0, 1, 2, 3, 5, 8, 13], bias=True)
    gaps = [result.gap for result in fits]
    assert all(later <= earlier + rounding(1, 800) for earlier, later in itertools.pairwise(gaps))
    assert fits[-1].gap <= KNOWN_FLOOR  # 13 >= the rank


def test_the_ladder_is_never_above_independent_fits_and_lower_on_a_peaky_law():
    """Nor does it cost more than 1.1 times their evaluations, unless the downward sweep found something lower."""
    dims = [1, 2, 4]
    peaky = families.low_rank(40, 20, 19, spectrum=np.arange(1, 20) ** -0.8, scale=8.0, seed=8)
    for distribution, falls in ((SMALL, [False] * 3), (peaky, [True, False, False])):
        alone = [fit(distribution, HeadSpec(dim)) for dim in dims]
        together = ladder(distribution, dims)
        for one, other, lower in zip(together, alone, falls, strict=True):
            assert one.gap <= other.gap + KNOWN_FLOOR
            assert (one.gap < other.gap - 0.1) == lower
            assert lower or one.evaluations <= 1.1 * other.evaluations + 10


def test_bias_is_worth_at_most_one_dimension():
    """g(d+1) <= g_b(d) <= g(d), each side fitted from the other's witness."""
    d = 3
    free = fit(SMALL, HeadSpec(d))
    biased = fit(SMALL, HeadSpec(d, bias=True), start=free.head)
    ones = np.ones((SMALL.contexts, 1))
    lifted = Head(np.hstack([biased.head.H, ones]), np.hstack([biased.head.W, biased.head.b[:, None]]))
    wider = fit(SMALL, HeadSpec(d + 1), start=lifted)
    assert biased.gap <= free.gap + identity()
    assert wider.gap <= biased.gap + identity()


@given(strategies.positive_distributions(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_useless_complication_changes_nothing(distribution, random):
    """Permuted contexts and tokens, a context written twice: the same floor (d large enough to be sure of it)."""
    spec = HeadSpec(max(1, distribution.vocab - 2), bias=True)
    contexts, tokens = list(range(distribution.contexts)), list(range(distribution.vocab))
    random.shuffle(contexts)
    random.shuffle(tokens)
    moved = moves.split_context(moves.permute_tokens(moves.permute_contexts(distribution, contexts), tokens), 0, 0.3)
    one = fit(distribution, spec)
    carried = Head(one.head.H[contexts + contexts[:1]], one.head.W[tokens], one.head.b[tokens])
    other = fit(moved, spec, start=carried)
    assert other.gap <= one.gap + identity()
    assert abs(carried.gap(moved) - one.gap) <= identity()


@pytest.mark.parametrize("convert", [torch.asarray, array_api_strict.asarray], ids=["torch", "strict"])
@pytest.mark.parametrize("world", ["zipf", "ngram"])
def test_array_libraries_give_the_same_floor(world, convert):
    """To 1e-10 relative, with dtype and device kept."""
    distribution = (
        families.zipf(contexts=20, vocab=12, rank=6, scale=0.8, seed=4)
        if world == "zipf"
        else families.ngram(np.random.default_rng(1).integers(0, 3, 400), order=3, vocab=3)
    )
    spec, options = HeadSpec(1, bias=True), Options(tolerance=1e-13)
    here = fit(distribution, spec, options)
    reference = convert(np.zeros(1))
    there = fit(distribution.on(reference), spec, options)
    assert type(there.head.W) is type(reference)
    assert there.head.W.dtype == reference.dtype
    assert abs(there.gap - here.gap) <= LIBRARIES * here.gap
    assert to_numpy(there.head.W).shape == here.head.W.shape


def test_float32_is_evaluated_in_float64():
    single = SMALL.on(like(np.zeros(1), np.zeros(1, dtype=np.float32)))
    result = fit(single, HeadSpec(3, bias=True), Options(tolerance=1e-6))
    double = fit(SMALL, HeadSpec(3, bias=True))
    assert result.head.W.dtype == np.float32
    assert (
        abs(result.gap - double.gap) <= identity(np.float32) * 1e-3
    )  # the single-precision law is off by its rounding
    assert result.gap == result.head.gap(single)


def test_a_start_can_only_be_improved_on():
    poor = Head(np.zeros((40, 1)), np.zeros((20, 1)), np.zeros(20))
    assert fit(SMALL, HeadSpec(1, bias=True), start=poor).gap <= poor.gap(SMALL)
    options = Options(max_evaluations=3)
    short = fit(SMALL, HeadSpec(4, bias=True), options)
    assert short.status is FitStatus.LIMIT
    assert np.isnan(short.certified_excess)
    assert fit(SMALL, HeadSpec(4, bias=True), options, start=short.head).gap <= short.gap + identity()


def test_a_tournament_of_random_starts_lowers_a_peaky_law_and_counts_them_all():
    peaky = families.low_rank(60, 40, 39, spectrum=np.arange(1, 40) ** -0.8, scale=15.0, seed=4)
    spec, budget = HeadSpec(3), 150
    alone = fit(peaky, spec, Options(max_evaluations=budget))
    many = fit(peaky, spec, Options(max_evaluations=budget, random_starts=24))
    assert many.starts == 25
    assert many.gap < alone.gap
    assert many.start.startswith("random")
    assert alone.evaluations + 24 * HEAT <= many.evaluations <= alone.evaluations + 24 * (HEAT + 5) + 3 * (budget + 5)
    assert 0 < many.spread < 1


def test_random_starts_report_their_spread():
    result = fit(SMALL, HeadSpec(2), Options(random_starts=2))
    assert result.starts == 3
    assert result.spread >= 0
    assert result.gap <= fit(SMALL, HeadSpec(2)).gap + rounding(1, 800)


def test_no_dense_table_is_formed_from_sparse_counts(monkeypatch):
    """Every request for logits or log-probabilities stays within the chunk."""
    rng = np.random.default_rng(0)
    distribution = families.ngram(rng.integers(0, 30, 4000), order=3, vocab=30, min_count=3)
    assert distribution.is_sparse
    monkeypatch.setattr(truncation, "SPARSE_ENTRIES", 0)
    monkeypatch.setattr(ContextualDistribution, "log_p", property(lambda self: pytest.fail("a dense table was formed")))
    entries = 30 * 64
    result = fit(distribution, HeadSpec(3, bias=True), Options(max_evaluations=20, chunk_entries=entries))
    assert np.isfinite(result.gap)
    assert max(stop - start for start, stop in Objective(distribution, result.spec, 0.0, entries).ranges()) == 64


def test_bad_input_says_what_to_do():
    with pytest.raises(ValueError, match=r"dim = 21 exceeds the vocabulary of 20 tokens"):
        fit(SMALL, HeadSpec(21))
    with pytest.raises(ValueError, match=r"dim must be an integer >= 0, found -1"):
        HeadSpec(-1)
    with pytest.raises(ValueError, match=r"dims must be distinct and increasing, found \[2, 1\]"):
        ladder(SMALL, [2, 1])
    with pytest.raises(ValueError, match=r"tolerance must be > 0"):
        Options(tolerance=0)
    with pytest.raises(ValueError, match=r"the head is for 3 contexts x 20 tokens, the distribution has 40 x 20"):
        fit(SMALL, HeadSpec(1), start=Head(np.zeros((3, 1)), np.zeros((20, 1))))
