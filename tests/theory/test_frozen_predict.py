"""The predicted curve: curvature against dense forms, corrections against their laws, values against fits."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from experiments.heads import Options
from experiments.heads.frozen import frozen_curve
from synth import ContextualDistribution
from synth._array import to_numpy
from tests.bench.frozen_sets import SETS
from tests.theory.frozen_worlds import problem, random_head
from tests.tolerances import LIBRARIES, ORDER, identity
from theory.frozen import (
    METRICS,
    Effort,
    Estimate,
    FrozenHead,
    FrozenProblem,
    Passes,
    cross_validated,
    excess,
    newton_step,
    optimism,
    predict_curve,
    predict_points,
)
from theory.frozen import problem as problem_module
from theory.frozen.chart import Chart, combine, inner
from theory.frozen.curvature import Curvature, loss_at
from theory.frozen.newton import solve
from theory.frozen.sample import extrapolated
from theory.frozen.uppers import best_truncation

WORLD = problem(5, rows=50, width=4, vocab=6, scale=0.7)
QUICK = Effort(folds=0, floor=False)
TRAINED = 1e-7
"""Certified local excess asked of the fits, nats."""


def curvature_at(world, rank=2, seed=1, nearness=0.3):
    chart = Chart(world, METRICS["information"](world))
    return Curvature(chart, chart.enter(random_head(world, rank, seed, nearness)))


def direction_of(point, seed):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(part.shape) for part in point)


def dense(curvature, damping=0.0):
    """The matrix of the secant curvature column by column."""
    point = curvature.point
    sizes = [part.size for part in point]
    columns = []
    for unit in np.eye(sum(sizes)):
        parts = np.split(unit, np.cumsum(sizes)[:-1])
        direction = tuple(part.reshape(like.shape) for part, like in zip(parts, point, strict=True))
        columns.append(np.concatenate([part.ravel() for part in curvature.product(direction, damping)]))
    return np.array(columns).T


def logarithmic_mean(world, head):
    """``(p - q) / (log p - log q)`` (N, V) by its definition."""
    log_p = log_softmax(world.X @ world.W.T + world.full_bias, axis=1)
    log_q = log_softmax(head.logits(world.X), axis=1)
    return (np.exp(log_p) - np.exp(log_q)) / (log_p - log_q)


def flat(triple):
    return np.concatenate([part.ravel() for part in triple])


def test_the_gradient_converges_at_its_order():
    at = curvature_at(WORLD)
    direction, steps = direction_of(at.point, 2), np.array([1e-2, 5e-3, 2.5e-3])
    for factor, order in ((1.0, 2), (1.01, 1)):
        errors = [
            abs(
                Curvature(at.chart, combine(at.point, h, direction)).gap
                - at.gap
                - factor * h * inner(at.gradient, direction)
            )
            for h in (steps if factor == 1 else steps / 1000)
        ]
        assert abs(np.polyfit(np.log(steps), np.log(errors), 1)[0] - order) <= ORDER


@pytest.mark.parametrize("bias", [False, True])
def test_curvature_is_the_variance_of_logits_under_secant_weights_and_symmetric(bias):
    world = problem(6, rows=30, width=3, vocab=5, bias=bias)
    at = curvature_at(world)
    direction = direction_of(at.point, 3)
    if not bias:
        direction = (*direction[:2], 0 * direction[2])
    h = 1e-6
    before, after = (at.chart.leave(combine(at.point, side * h, direction)).logits(world.X) for side in (-1, 1))
    delta, w = (after - before) / (2 * h), logarithmic_mean(world, at.chart.leave(at.point))
    variance = np.sum(w * delta**2, axis=1) - np.sum(w * delta, axis=1) ** 2 / np.sum(w, axis=1)
    assert inner(direction, at.product(direction)) == pytest.approx(world.weights @ variance, rel=identity(), abs=0)
    H = dense(at) if bias else dense(at)[:-5, :-5]  # without a bias its directions are none
    assert np.abs(H - H.T).max() <= identity() * np.abs(H).max()
    assert np.linalg.eigvalsh(H)[0] >= -identity() * np.abs(H).max()


@pytest.mark.parametrize("bias", [False, True])
def test_the_loss_at_a_point_is_that_of_its_head(bias):
    at = curvature_at(problem(6, rows=30, width=3, vocab=5, bias=bias))
    world, found = at.chart.problem, loss_at(at.chart, at.point)
    assert found == pytest.approx(excess(world, at.chart.leave(at.point)).gap, rel=identity(), abs=0)
    assert found == pytest.approx(at.gap, rel=identity(), abs=0)
    assert abs(loss_at(at.chart, combine(at.point, 0.1, at.point)) - found) > identity()


@pytest.mark.parametrize("bias", [False, True])
def test_the_preconditioner_inverts_the_averaged_curvature(bias):
    at = curvature_at(problem(6, rows=30, width=3, vocab=5, bias=bias))
    direction = direction_of(at.point, 4)
    if not bias:
        direction = (*direction[:2], 0 * direction[2])
    back = at.precondition(at.averaged(direction))
    assert flat(back) == pytest.approx(flat(direction), rel=0, abs=identity() * np.linalg.norm(flat(direction)))


def test_conjugate_gradients_solve_the_damped_system():
    at, damping = curvature_at(WORLD), 0.3
    x, half = solve(at, at.gradient, damping, 200)
    expected = -np.linalg.lstsq(dense(at, damping), flat(at.gradient), rcond=1e-10)[0]
    found = dense(at, damping) @ flat(x) + flat(at.gradient)
    assert np.linalg.norm(found) <= 1e-3 * np.linalg.norm(flat(at.gradient))
    assert half == pytest.approx(-flat(at.gradient) @ expected / 2, rel=1e-6, abs=0)


def test_random_signs_estimate_the_trace():
    """``tr(J^-1 I) / N`` written out, and an error that falls as the root of the draws."""
    at = curvature_at(WORLD)
    rows = [flat(at.signed_gradient(unit)) for unit in np.eye(WORLD.rows)]
    inverse = np.linalg.pinv(dense(at), rcond=1e-10)
    exact = sum(row @ inverse @ row for row in rows)
    few, many = (optimism(at, draws, seed=0, iterations=100) for draws in (16, 256))
    assert abs(many.value - exact) <= 5 * many.error
    assert abs(many.value - 2 * exact) > 5 * many.error
    assert few.error / many.error == pytest.approx(4, rel=0.5, abs=0)


@pytest.mark.parametrize("folds", [2, 5])
def test_splits_extrapolate_exactly_under_their_law(folds):
    G, c = 0.7, 0.05
    split = Estimate(G + c * folds / (folds - 1), 0.01)
    found = extrapolated(G - c, split, folds)
    assert found.value == pytest.approx(G + c, rel=identity(), abs=0)
    assert found.error < split.error


def test_splits_evaluate_every_row_by_a_head_that_has_not_seen_it():
    seen = []

    def fit(part):
        seen.append({tuple(row) for row in part.X})
        return random_head(WORLD, 1, len(seen), 0.1)

    found = cross_validated(WORLD, fit, 5)
    assert all(len(rows) == 40 for rows in seen)
    assert set.intersection(*seen) == set()
    losses = [excess(WORLD, random_head(WORLD, 1, k + 1, 0.1)).by_row for k in range(5)]
    own = sum(
        weight * losses[next(k for k in range(5) if tuple(x) not in seen[k])][n]
        for n, (x, weight) in enumerate(zip(WORLD.X, WORLD.weights, strict=True))
    )
    assert found.value == pytest.approx(own, rel=identity(), abs=0)


def test_rows_that_come_in_runs_count_as_one():
    """A sample written down three times over says what it said, if the copies are named; taken apart, they leak."""
    copies = np.repeat(np.arange(WORLD.rows), 3)
    thrice = WORLD.subset(copies)

    def fit(part):
        return best_truncation(part, 2)[0]

    once, named, leaking = cross_validated(WORLD, fit, 4), *(cross_validated(thrice, fit, 4, 0, run) for run in (3, 1))
    assert (named.value, named.error) == pytest.approx((once.value, once.error), rel=LIBRARIES, abs=0)
    assert leaking.value < 0.9 * once.value
    alone, together, apart = (
        optimism(curvature_at(world), 64, iterations=100, run=run)
        for world, run in ((WORLD, 1), (thrice, 3), (thrice, 1))
    )
    assert (together.value, together.error) == pytest.approx((alone.value, alone.error), rel=1e-3, abs=0)
    assert apart.value + 5 * apart.error < alone.value


@pytest.mark.parametrize("name", SETS)
def test_the_curve_is_predicted_without_training(name):
    """Within 20 % to a quarter of the features and within 2x beyond; intervals hold the fits, in and out of sample."""
    world, unseen = SETS[name](400, rows_unseen=4000, width=12, vocab=60)
    ranks = [1, 2, 3, 6, 9, 11]
    target = ContextualDistribution.from_logits(world.X @ world.W.T + world.b, world.weights)
    fits = frozen_curve(world.X, target, ranks, options=Options(tolerance=TRAINED, max_evaluations=600))
    for point, fit in zip(predict_curve(world, ranks), fits, strict=True):
        trained = FrozenHead(fit.A, fit.B, fit.b)
        factor = 1.2 if point.rank <= 3 else 2.0
        assert fit.gap / factor <= point.predicted <= fit.gap * factor
        assert point.low <= fit.gap <= point.upper + 10 * TRAINED
        assert 1e-3 * fit.gap < point.lower <= fit.gap
        assert point.upper - point.low < fit.gap  # neither interval is empty talk
        assert excess(world, trained).curvature >= point.curvature
        outside = excess(unseen, trained).gap
        assert point.held_out.low <= outside <= point.held_out.high
        factor = 1.25 if point.rank <= 3 else 1.5
        assert outside / factor <= point.held_out.predicted <= outside * factor


def test_predictions_and_bounds_never_rise_with_the_rank():
    curve = predict_curve(WORLD, [0, 1, 2, 3, 4], QUICK)
    uppers, points = [point.upper for point in curve], [point.predicted for point in curve]
    assert len(curve) == 5
    assert uppers == sorted(uppers, reverse=True)
    assert points == sorted(points, reverse=True)
    assert uppers[0] == pytest.approx(WORLD.moments.mutual_information, rel=identity(), abs=0)
    assert curve[4].predicted <= identity()
    assert all(point.low <= point.predicted <= point.upper for point in curve)


def test_second_and_third_order_agree_with_the_gap_at_their_order():
    head, errors, steps = random_head(WORLD, 4, 0, 0.0), [], np.array([0.1, 0.05, 0.025])
    shake = np.random.default_rng(0).standard_normal(head.A.shape)
    for step in steps:
        found = excess(WORLD, FrozenHead(head.A + step * shake, head.B, head.b))
        errors.append(abs(found.gap - found.second - found.third))
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 4 - ORDER
    assert found.curvature == pytest.approx(0.5, rel=0.05, abs=0)


def test_blocks_of_rows_change_nothing(monkeypatch):
    metric = METRICS["information"]
    whole = newton_step(WORLD, metric(WORLD).truncation(1), metric(WORLD))
    monkeypatch.setattr(problem_module, "CHUNK_ENTRIES", 40)
    monkeypatch.setattr(problem_module, "LEAST_ROWS", 1)
    monkeypatch.setattr(problem_module, "KEPT_ENTRIES", 0)
    other = FrozenProblem.of(WORLD.X, WORLD.W, WORLD.b, WORLD.weights)
    split = newton_step(other, metric(other).truncation(1), metric(other))
    assert len(list(other.blocks())) > 1
    assert split.gap == pytest.approx(whole.gap, rel=LIBRARIES, abs=0)
    assert split.left == pytest.approx(whole.left, rel=identity(), abs=0)


@pytest.mark.parametrize("kept", [0, None], ids=["streamed", "kept"])
def test_passes_in_float32_predict_the_same_and_prove_in_float64(kept):
    single = FrozenProblem.of(WORLD.X, WORLD.W, WORLD.b, WORLD.weights, Passes("float32", kept))
    assert next(iter(single.blocks())).log_p.dtype == np.float32
    effort = Effort(folds=2, draws=2)
    for a, b in zip(predict_curve(WORLD, [1, 2], effort), predict_curve(single, [1, 2], effort), strict=True):
        assert b.predicted == pytest.approx(a.predicted, rel=identity(np.float32), abs=0)
        assert b.held_out.predicted == pytest.approx(a.held_out.predicted, rel=identity(np.float32), abs=0)
        assert excess(WORLD, b.witness).gap == pytest.approx(b.upper, rel=LIBRARIES, abs=0)
        assert abs(b.upper / a.upper - 1) <= identity(np.float32)
        assert abs(b.upper / a.upper - 1) > 0  # sabotage twin: the passes really were in another precision
    with pytest.raises(ValueError, match="no precision of the tables is named 'float16'"):
        Passes("float16")


def test_points_come_one_at_a_time():
    points = predict_points(WORLD, [1, 2], Effort(folds=0))
    assert [point.upper for point in points] == [point.upper for point in predict_curve(WORLD, [1, 2], Effort(folds=0))]


@pytest.mark.parametrize("convert", [torch.from_numpy, array_api_strict.asarray], ids=["torch", "strict"])
def test_another_library_gives_the_same_curve(convert):
    arrays = [convert(np.asarray(part)) for part in (WORLD.X, WORLD.W, WORLD.b, WORLD.weights)]
    here = predict_curve(WORLD, [1, 2], Effort(folds=2))
    there = predict_curve(FrozenProblem.of(*arrays), [1, 2], Effort(folds=2))
    for a, b in zip(here, there, strict=True):
        assert (b.predicted, b.lower) == pytest.approx((a.predicted, a.lower), rel=identity(), abs=0)
        assert b.held_out.predicted == pytest.approx(a.held_out.predicted, rel=identity(), abs=0)
        assert isinstance(b.witness.A, type(arrays[0]))
        back = FrozenHead(*map(to_numpy, (b.witness.A, b.witness.B, b.witness.b)))
        assert excess(WORLD, back).gap == pytest.approx(b.upper, rel=LIBRARIES, abs=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: predict_curve(WORLD, [2, 1]), "increasing"),
        (lambda: predict_curve(WORLD, [9]), "between 0 and min"),
        (lambda: Effort(steps=0), "must be >= 1"),
        (lambda: Effort(run=0), "must be >= 1"),
        (lambda: cross_validated(WORLD, lambda part: None, 1), "folds"),
        (lambda: cross_validated(WORLD, lambda part: None, 3, run=25), "number of runs 2"),
        (lambda: optimism(curvature_at(WORLD), 1), "at least 2"),
    ],
)
def test_bad_input_says_what_was_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
