"""Random heads, gradient shares and closure ranks: each formula against draws or against what is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import hadamard
from scipy.special import log_ndtr
from scipy.stats import chi2

from synth import ContextualDistribution, families
from tests.theory.worlds import ALL, POSITIVE, dirichlet
from tests.tolerances import LIBRARIES, identity
from theory import HeadSpec, catalogue, unigram_truncation
from theory.reach import (
    basri_jacobs,
    closure_rank,
    finite_rank,
    gradient_share,
    head_gradient_share,
    largest_set,
    selected_by_least_norm,
    sign_rank_floor,
    step_on_logits,
)
from theory.reach.random_head import draw_least_norm, draw_reachable

SIZES = [(30, 10, 2), (40, 12, 3), (60, 20, 3)]


# ---------------------------------------------------------------------- random heads


@pytest.mark.parametrize("size", SIZES)
def test_the_least_norm_formula_is_that_of_draws(size):
    estimate = draw_least_norm(*size, draws=1500, seed=0)
    formula = selected_by_least_norm(*size)
    assert abs(estimate.value - formula) <= 5 * estimate.standard_error
    assert abs(estimate.value - formula * 0.8) > 5 * estimate.standard_error or formula < 0.2


def test_the_standard_error_shrinks_with_the_root_of_the_draws():
    few, many = (draw_least_norm(30, 10, 2, draws=n, seed=1) for n in (100, 1600))
    assert few.standard_error / many.standard_error == pytest.approx(4, rel=0.2, abs=0)


@pytest.mark.parametrize("size", SIZES)
def test_quadrature_agrees_with_adaptive_integration(size):
    vocab, dim, m = size

    def integrand(x):
        return math.exp((vocab - m) * log_ndtr(math.sqrt(x / m))) * chi2.pdf(x, dim - m + 1)

    assert selected_by_least_norm(*size) == pytest.approx(quad(integrand, 0, math.inf)[0], rel=1e-6, abs=0)


def test_the_best_hidden_state_selects_more_than_the_one_of_least_norm():
    reached, least = draw_reachable(30, 10, 2, draws=60, seed=0), selected_by_least_norm(30, 10, 2)
    assert reached.value >= least - 5 * reached.standard_error
    assert reached.value - least > 5 * reached.standard_error  # and the difference is seen
    assert reached.value >= basri_jacobs(30, 10, 2)


def test_formulas_fall_with_the_set_and_vanish_beyond_the_dimension():
    for formula in (basri_jacobs, selected_by_least_norm):
        values = [formula(1000, 40, m) for m in range(1, 45)]
        assert values == sorted(values, reverse=True)
        assert values[0] > 0.9
        assert formula(1000, 40, 41) == 0
    assert largest_set(50257, 768, 0.99) == 26  # the value reported for GPT-2
    assert largest_set(10, 3) == 0
    with pytest.raises(ValueError, match="some token must stay outside"):
        basri_jacobs(10, 4, 10)


# ---------------------------------------------------------------------- gradient shares


def test_the_share_of_isotropic_gradients_has_the_mean_and_spread_of_the_null():
    rng, contexts, vocab, dim = np.random.default_rng(0), 4, 30, 6
    W = rng.standard_normal((vocab, dim)) + 1.0  # not orthogonal to 1
    shares = []
    for _ in range(2000):
        G = rng.standard_normal((contexts, vocab))
        G -= G.mean(axis=1, keepdims=True)
        G *= np.arange(1, contexts + 1)[:, None] / np.linalg.norm(G, axis=1, keepdims=True)
        shares.append(gradient_share(G, W))
    energy = np.array([share.energy for share in shares])
    assert abs(energy.mean() - shares[0].null) <= 5 * energy.std() / math.sqrt(len(energy))
    assert energy.std() == pytest.approx(shares[0].null_spread, rel=0.1, abs=0)
    centred = gradient_share(G, W - W.mean(axis=0))
    assert centred.null == pytest.approx(dim / (vocab - 1), rel=identity(), abs=0)


def test_the_share_is_everything_in_the_column_space_and_nothing_across_it():
    rng = np.random.default_rng(1)
    W = rng.standard_normal((12, 3))
    W -= W.mean(axis=0)
    inside = rng.standard_normal((5, 3)) @ W.T
    whole = gradient_share(inside, W)
    assert whole.energy == pytest.approx(1, rel=identity(), abs=0)
    assert whole.suppressed == pytest.approx(0, rel=0, abs=identity())
    across = rng.standard_normal((5, 12))
    across -= across.mean(axis=1, keepdims=True)
    across -= across @ np.linalg.pinv(W).T @ W.T
    assert gradient_share(across, W).energy <= identity()
    both = gradient_share(inside / np.linalg.norm(inside) + across / np.linalg.norm(across), W)
    assert both.energy == pytest.approx(0.5, rel=identity(), abs=0)
    assert both.norm == pytest.approx(math.sqrt(0.5), rel=identity(), abs=0)
    assert gradient_share(inside, W @ rng.standard_normal((3, 3))).energy == pytest.approx(1, rel=identity(), abs=0)


@pytest.mark.parametrize("world", ["zipf", "sparse"])
def test_the_gradient_of_a_head_is_that_of_its_gap(world):
    """By finite differences of the gap along one logit direction, and against the dense formula."""
    distribution = ALL[world]
    head = unigram_truncation(distribution, 2, True, share=0.3)
    P, pi = np.asarray(distribution.p), np.asarray(distribution.weights)
    G = pi[:, None] * (np.exp(head.log_q()) - P)
    share = head_gradient_share(distribution, head)
    dense = gradient_share(G, head.W)
    assert (share.energy, share.null) == pytest.approx((dense.energy, dense.null), rel=LIBRARIES, abs=0)
    direction, step = np.random.default_rng(0).standard_normal(G.shape), 1e-6

    def gap(A):
        q = np.exp(A - np.log(np.exp(A).sum(axis=1, keepdims=True)))
        return -float((pi[:, None] * P * np.log(q)).sum())

    slope = (gap(head.logits() + step * direction) - gap(head.logits() - step * direction)) / (2 * step)
    assert slope == pytest.approx(float((G * direction).sum()), rel=0, abs=1e-8)


def test_a_step_of_descent_moves_the_logits_by_the_formula():
    rng = np.random.default_rng(2)
    G, H, W = (rng.standard_normal(shape) for shape in ((6, 9), (6, 2), (9, 2)))
    move, steps, errors = -step_on_logits(G, H, W), np.array([1e-2, 1e-3]), []
    for eta in steps:
        errors.append(np.linalg.norm((H - eta * G @ W) @ (W - eta * G.T @ H).T - H @ W.T - eta * move))
    assert np.log(errors[0] / errors[1]) / np.log(10) == pytest.approx(2, rel=0.05, abs=0)
    assert np.linalg.matrix_rank(move) == 4  # 2d


def test_shares_take_any_array_library_and_refuse_what_has_none():
    rng = np.random.default_rng(3)
    G, W = rng.standard_normal((4, 8)), rng.standard_normal((8, 2))
    here, there = gradient_share(G, W), gradient_share(torch.from_numpy(G), torch.from_numpy(W))
    assert there.energy == pytest.approx(here.energy, rel=LIBRARIES, abs=0)
    assert gradient_share(G, np.zeros((8, 0))).energy == 0
    with pytest.raises(ValueError, match="gradient is zero"):
        gradient_share(0 * G, W)
    with pytest.raises(ValueError, match=r"G must be \(C, V\)"):
        gradient_share(G.T, W)


# ---------------------------------------------------------------------- closure ranks


@pytest.mark.parametrize("bias", [False, True])
def test_closure_ranks_of_boundary_families_are_small_and_closed(bias):
    less = int(bias)
    for distribution, expected in (
        (families.one_hot(7), 2 - less),
        (families.all_k_subsets(7, 2), 4 - less),
        (families.staircase(6), 1),
    ):
        found = closure_rank(distribution, bias)
        assert found.exact == expected, found
        assert found.finite is None


def test_the_closure_rank_of_a_positive_table_is_its_finite_rank():
    for world, distribution in POSITIVE.items():
        for bias in (False, True):
            found = closure_rank(distribution, bias)
            assert found.exact == found.finite == finite_rank(distribution, bias), world
            exact = catalogue["full-rank"](distribution, HeadSpec(found.finite, bias))
            assert exact.value == 0
            if found.finite > 0:
                assert not catalogue["full-rank"](distribution, HeadSpec(found.finite - 1, bias)).applies
    assert finite_rank(families.low_rank(contexts=9, vocab=7, rank=3)) == 3


def test_the_bracket_holds_floors_known_otherwise():
    for world, distribution in ALL.items():
        for bias in (False, True):
            found = closure_rank(distribution, bias)
            assert found.least <= found.most, world
            known = [d for d in range(distribution.vocab) if distribution.known_floor(HeadSpec(d, bias)) == 0]
            assert not known or found.least <= min(known), world


def test_forsters_bound_is_that_of_a_hadamard_matrix_and_trivial_for_a_staircase():
    signs = hadamard(16) > 0
    distribution = ContextualDistribution.from_probabilities(signs / signs.sum(axis=1, keepdims=True))
    assert sign_rank_floor(distribution) == 3  # sqrt(16) - 1
    assert sign_rank_floor(distribution, bias=True) == 2
    assert closure_rank(distribution).least >= 3
    assert sign_rank_floor(families.staircase(40)) <= 1
    assert sign_rank_floor(dirichlet(5, 4)) == 0
