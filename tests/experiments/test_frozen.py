"""Heads on frozen features against convex optima, SciPy on the raw problem, closed forms, and each other."""

from __future__ import annotations

import itertools

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from experiments.heads import FitStatus, Options
from experiments.heads.descent import certified_descent
from experiments.heads.frozen import Labels, fit_frozen, fit_full, frozen_curve
from experiments.heads.frozen.problem import FrozenProblem
from experiments.heads.frozen.starts import random_start, truncated
from synth import ContextualDistribution, logspace
from synth._array import to_numpy
from tests.tolerances import KNOWN_FLOOR, LIBRARIES, ORDER, identity, rounding

N, V, D = 60, 9, 5
RNG = np.random.default_rng(7)
CLEAN = RNG.standard_normal((N, D))
MIX = RNG.standard_normal((D, D)) * np.geomspace(1e-2, 1e2, D)
FEATURES = CLEAN @ MIX + 10 * RNG.standard_normal(D)  # badly scaled, off centre
SOFT = ContextualDistribution.from_logits(
    CLEAN @ RNG.standard_normal((D, V)) + RNG.standard_normal((N, V)), np.arange(1.0, N + 1) / (N * (N + 1) / 2)
)
LABELS = Labels(RNG.integers(0, V, N), vocab=V, ridge=1e-3)
TARGETS = {"soft": SOFT, "labels": LABELS}
TIGHT = Options(tolerance=1e-10)


def raw_loss(target, bias):
    """The raw problem, written down once more: parameters [W, b] on the raw features, gradient included."""
    P = SOFT.p if target is SOFT else np.eye(V)[LABELS.y]
    weights = SOFT.weights if target is SOFT else np.full(N, 1 / N)
    ridge = 0.0 if target is SOFT else LABELS.ridge
    X = np.hstack([FEATURES, np.ones((N, int(bias)))])

    def loss(flat):
        W = flat.reshape(V, -1)
        log_q = logspace.log_softmax(X @ W.T)
        free = W * (np.arange(W.shape[1]) < D)
        value = -weights @ np.sum(P * log_q, axis=1) + 0.5 * ridge * np.sum(free**2)
        return value, ((weights[:, None] * (np.exp(log_q) - P)).T @ X + ridge * free).ravel()

    return loss, V * X.shape[1]


def reference(target, bias):
    """SciPy on the raw problem, restarted until it moves no more."""
    loss, size = raw_loss(target, bias)
    x = np.zeros(size)
    for _ in range(6):
        options = {"maxiter": 20000, "maxfun": 40000, "ftol": 0, "gtol": 1e-13, "maxcor": 60}
        x = minimize(loss, x, jac=True, method="L-BFGS-B", options=options).x
    return loss(x)[0]


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rank", [3, None])
def test_gradient_and_curvature_converge_at_their_order(rank, bias, ridge):
    """Taylor remainders fall as h^2: the value with its gradient, the gradient with the Hessian product."""
    problem = FrozenProblem.of(FEATURES, Labels(LABELS.y, V, ridge), bias, Options(chunk_entries=100))
    objective = problem.full() if rank is None else problem.factored(rank)
    rng = np.random.default_rng(1)
    x, v = rng.standard_normal((2, objective.size))
    at, product = objective.evaluate(x), objective.hessian_product(x, v)
    steps = np.array([1e-2, 5e-3, 2.5e-3, 1.25e-3])
    first = [abs(objective.value(x + h * v) - at.gap - h * at.gradient @ v) for h in steps]
    second = [np.linalg.norm(objective.evaluate(x + h * v).gradient - at.gradient - h * product) for h in steps]
    wrong = [abs(objective.value(x + h * v) - at.gap - 1.01 * h * at.gradient @ v) for h in steps / 1000]
    slopes = [np.polyfit(np.log(steps), np.log(errors), 1)[0] for errors in (first, second, wrong)]
    assert abs(slopes[0] - 2) <= ORDER
    assert abs(slopes[1] - 2) <= ORDER
    assert abs(slopes[2] - 1) <= ORDER  # sabotage twin: a gradient off by a hundredth is of first order


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_full_head_is_the_optimum_of_the_raw_problem(target, bias):
    fit = fit_full(FEATURES, TARGETS[target], bias, TIGHT)
    assert fit.status is FitStatus.CONVERGED
    best = reference(TARGETS[target], bias)
    assert abs(fit.loss + fit.penalty - best) <= KNOWN_FLOOR
    flat = fit.W if fit.b is None else np.hstack([fit.W, fit.b[:, None]])
    assert abs(raw_loss(TARGETS[target], bias)[0](flat.ravel())[0] - fit.loss - fit.penalty) <= identity()


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_full_rank_is_the_convex_optimum(target):
    """Both as ``fit_frozen`` gives it and from random factors through the factored problem."""
    full = fit_full(FEATURES, TARGETS[target], options=TIGHT)
    fit = fit_frozen(FEATURES, TARGETS[target], D, options=TIGHT)
    assert (fit.A.shape, fit.B.shape) == ((V, D), (D, D))
    assert abs(fit.objective - full.objective) <= KNOWN_FLOOR
    problem = FrozenProblem.of(FEATURES, TARGETS[target], True, TIGHT)
    objective = problem.factored(D)
    trace, excess, _ = certified_descent(objective, random_start(problem, objective, 0), TIGHT, None)
    assert excess <= TIGHT.tolerance
    assert abs(trace.at.gap - full.objective) <= KNOWN_FLOOR


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_realisable_targets_are_reached(rank, bias):
    rng = np.random.default_rng(rank)
    W = rng.standard_normal((V, rank)) @ rng.standard_normal((rank, D))
    target = ContextualDistribution.from_logits(CLEAN @ W.T + (rng.standard_normal(V) if bias else 0))
    fit = fit_frozen(CLEAN @ MIX, target, rank, bias)
    assert fit.gap <= KNOWN_FLOOR
    assert fit.status is FitStatus.CONVERGED


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_curve_never_rises_and_lies_below_its_closed_forms(target, bias):
    full = fit_full(FEATURES, TARGETS[target], bias)
    fits = frozen_curve(FEATURES, TARGETS[target], list(range(D + 1)), bias, start=full)
    assert [fit.rank for fit in fits] == list(range(D + 1))
    for below, fit in itertools.pairwise(fits):
        assert fit.objective <= below.objective + rounding(1, N * V)
        assert np.linalg.matrix_rank(fit.W) <= fit.rank
    assert abs(fits[-1].objective - full.objective) <= KNOWN_FLOOR
    problem = FrozenProblem.of(FEATURES, TARGETS[target], bias, None)
    for fit in fits[1:-1]:
        objective = problem.factored(fit.rank)
        start = objective.value(objective.pack(truncated(problem, problem.enter(full), fit.rank)))
        assert full.objective - identity() <= fit.objective <= start + identity()


def test_the_start_is_the_closed_form():
    """Truncated SVD of ``Sigma_{X-mu}^{1/2} (W* - 1 base'W*)' D_base^{1/2}``, bias ``b* + W* mu``: NumPy alone."""
    rank, pi = 2, SOFT.weights
    full = fit_full(FEATURES, SOFT, options=TIGHT)
    problem = FrozenProblem.of(FEATURES, SOFT, True, TIGHT)
    base, mu = 0.999 * SOFT.marginal + 0.001 / V, pi @ FEATURES
    values, vectors = np.linalg.eigh((FEATURES - mu).T @ (pi[:, None] * (FEATURES - mu)))
    root = vectors * np.sqrt(values) @ vectors.T
    U, s, Vt = np.linalg.svd(root @ (full.W - base @ full.W).T * np.sqrt(base), full_matrices=False)
    W = (np.linalg.solve(root, U[:, :rank] * s[:rank]) @ Vt[:rank] / np.sqrt(base)).T
    log_q = logspace.log_softmax((FEATURES - mu) @ W.T + full.b + full.W @ mu)
    closed = float(pi @ logspace.divergence(SOFT.log_p, log_q))
    objective = problem.factored(rank)
    start = objective.value(objective.pack(truncated(problem, problem.enter(full), rank)))
    assert abs(start - closed) <= identity()
    assert fit_frozen(FEATURES, SOFT, rank, start=full).gap < closed


@given(st.integers(0, 2**31))
@settings(max_examples=10)
def test_an_invertible_map_of_the_features_changes_nothing(seed):
    """Also with a shift and a permutation of rows and columns, since a bias is there."""
    rng = np.random.default_rng(seed)
    map_, order = rng.standard_normal((D, D)) + 3 * np.eye(D), rng.permutation(N)
    moved = (CLEAN @ map_ * 10.0 ** rng.integers(-4, 4, D) + rng.standard_normal(D))[order]
    target = ContextualDistribution.from_log_probabilities(SOFT.log_p[order], SOFT.weights[order])
    assert abs(fit_full(moved, target).gap - fit_full(CLEAN, SOFT).gap) <= KNOWN_FLOOR
    assert abs(fit_frozen(moved, target, 2).gap - fit_frozen(CLEAN, SOFT, 2).gap) <= KNOWN_FLOOR


def test_useless_columns_change_nothing():
    """Constant, repeated and mixed columns: dropped, and the fit maps back to all of them."""
    useless = np.hstack(
        [FEATURES, np.full((N, 1), 1e3), FEATURES[:, :1] * 2, FEATURES @ np.ones((D, 1)), np.zeros((N, 1))]
    )
    for rank in (2, D + 2):
        fit = fit_frozen(useless, SOFT, rank)
        assert fit.W.shape == (V, D + 4)
        assert abs(fit.gap - fit_frozen(FEATURES, SOFT, min(rank, D)).gap) <= KNOWN_FLOOR
        assert abs(fit.head(useless).gap(SOFT) - fit.gap) <= identity()


def test_a_bias_is_a_constant_feature():
    """For the full head the same problem; at rank r the bias is free and the column is not."""
    column = np.hstack([FEATURES, np.ones((N, 1))])
    assert abs(fit_full(FEATURES, SOFT).gap - fit_full(column, SOFT, bias=False).gap) <= KNOWN_FLOOR
    biased = fit_frozen(FEATURES, SOFT, 2).gap
    assert biased <= fit_frozen(column, SOFT, 2, bias=False).gap + KNOWN_FLOOR
    assert fit_frozen(column, SOFT, 3, bias=False).gap <= biased + KNOWN_FLOOR


def test_rank_zero_is_the_unigram_law():
    assert abs(fit_frozen(FEATURES, SOFT, 0).gap - SOFT.mutual_information) <= identity()
    assert abs(fit_frozen(FEATURES, SOFT, 0, bias=False).loss - np.log(V)) <= identity()


@pytest.mark.parametrize("convert", [torch.asarray, array_api_strict.asarray], ids=["torch", "strict"])
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_array_libraries_agree(target, convert):
    features = convert(FEATURES)
    here = frozen_curve(FEATURES, TARGETS[target], [2, D], options=TIGHT)
    there = frozen_curve(features, TARGETS[target], [2, D], options=TIGHT)
    for one, other in zip(here, there, strict=True):
        assert type(other.A) is type(features)
        assert other.A.dtype == features.dtype
        assert abs(one.objective - other.objective) <= LIBRARIES * max(1.0, one.objective) + TIGHT.tolerance
        assert to_numpy(other.B).shape == one.B.shape


@pytest.mark.parametrize("entries", [1, 7 * V, N * V])
def test_chunks_change_nothing(entries):
    options = Options(tolerance=1e-10, chunk_entries=entries)
    for rank in (2, D):
        one, other = (fit_frozen(FEATURES, SOFT, rank, options=o) for o in (TIGHT, options))
        assert abs(one.gap - other.gap) <= TIGHT.tolerance


def test_single_precision_is_computed_in_double():
    fit = fit_frozen(CLEAN.astype(np.float32), SOFT, 2)
    assert fit.A.dtype == np.float64
    assert abs(fit.gap - fit_frozen(CLEAN, SOFT, 2).gap) <= identity(np.float32)


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_separable_labels_are_not_attained(rank):
    """Two half-planes, or five sectors of a plane: the infimum is 0, no head reaches it; with a ridge one does."""
    angles = 2 * np.pi * np.arange(5) / 5
    sectors = np.argmax(CLEAN[:, :2] @ np.stack([np.cos(angles), np.sin(angles)]), axis=1)
    y = (CLEAN[:, 0] > 0).astype(int) if rank == 1 else sectors
    fit = fit_frozen(CLEAN, y, rank)
    assert fit.status is FitStatus.UNATTAINED
    assert 0 < fit.gap <= 1e-4
    held = fit_frozen(CLEAN, Labels(y, ridge=1e-2), rank)
    assert held.status is FitStatus.CONVERGED
    assert held.gap > fit.gap


def test_more_features_than_tokens():
    """With V = 3 a rank of 2 restricts nothing: softmax ignores one direction of the tokens."""
    target = ContextualDistribution.from_logits(RNG.standard_normal((N, 3)))
    full = fit_full(FEATURES, target)
    for rank in (2, 3):
        fit = fit_frozen(FEATURES, target, rank, start=full)
        assert (fit.A.shape, fit.B.shape) == ((3, rank), (rank, D))
        assert abs(fit.gap - full.gap) <= KNOWN_FLOOR
    assert fit_frozen(FEATURES, target, 1, start=full).gap > full.gap + KNOWN_FLOOR


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_a_token_never_seen_is_not_attained(ridge):
    """Its bias falls for ever, ridge or not; without a bias a ridge holds it."""
    unseen = Labels(LABELS.y, V + 1, ridge)
    fit = fit_full(FEATURES, unseen)
    assert fit.status is FitStatus.UNATTAINED
    assert np.isnan(fit.certified_excess)
    assert abs(fit.objective - fit_full(FEATURES, Labels(LABELS.y, V, ridge)).objective) <= KNOWN_FLOOR
    assert fit_full(FEATURES, Labels(LABELS.y, V + 1, 1e-3), bias=False).status is FitStatus.CONVERGED


def test_random_starts_report_their_spread():
    fit = fit_frozen(FEATURES, SOFT, 2, options=Options(random_starts=2))
    assert fit.starts == 3
    assert 0 <= fit.spread <= 1
    short = fit_frozen(FEATURES, SOFT, 2, options=Options(max_evaluations=3))
    assert short.status is FitStatus.LIMIT
    assert fit_frozen(FEATURES, SOFT, 2, start=short).gap <= short.gap


def test_bad_input_says_what_to_do():
    wrong = FEATURES.copy()
    wrong[0, 0] = np.nan
    cases = [
        (FEATURES[:, 0], SOFT, r"features have shape \(60,\); a matrix"),
        (wrong, SOFT, r"features hold 1 NaN or infinite entries; drop"),
        (FEATURES[1:], SOFT, r"features have 59 rows and the target 60"),
        (FEATURES[1:], LABELS, r"60 labels were given for 59 rows"),
        (FEATURES, Labels(LABELS.y, vocab=3), r"labels run from 0 to 8, outside 0 to 2"),
        (FEATURES, -LABELS.y, r"labels run from -8 to 0, outside"),
        (FEATURES, LABELS.y * 1.0, r"labels have shape \(60,\) and dtype float64; one integer per row"),
        (FEATURES, Labels(LABELS.y, ridge=-1.0), r"ridge must be finite and >= 0, found -1"),
    ]
    for features, target, message in cases:
        with pytest.raises(ValueError, match=message):
            fit_full(features, target)
    for rank in (-1, D + 1, 1.5):
        with pytest.raises(ValueError, match=r"rank must be an integer between 0 and min\(V, D\) = 5, found"):
            fit_frozen(FEATURES, SOFT, rank)
    with pytest.raises(ValueError, match=r"ranks must be distinct and increasing, found \[2, 1\]"):
        frozen_curve(FEATURES, SOFT, [2, 1])
    other = fit_frozen(FEATURES[:, :4], SOFT, 1)
    with pytest.raises(ValueError, match=r"the start is for 9 tokens and 4 features, the problem has 9 and 5"):
        fit_frozen(FEATURES, SOFT, 2, start=other)
    with pytest.raises(ValueError, match=r"the start has a bias and the fit asked for has none"):
        fit_frozen(FEATURES, SOFT, 2, bias=False, start=fit_frozen(FEATURES, SOFT, 1))
