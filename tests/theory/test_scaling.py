"""Scaling laws: exact recovery, equivariance, an independent optimiser, and the digitised figure's two answers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from experiments.lm.scaling import DIGITISED, read_points
from tests.tolerances import identity, rounding
from theory.scaling import GODEY, HOFFMANN, Count, Law, fit_law, leave_one_out, relative_gaps

POINTS = read_points(DIGITISED)
LOSS, TOKENS = POINTS["loss"].to_numpy(), POINTS["tokens"].to_numpy(float)
SHAPES = POINTS[["layers", "width", "vocab"]].to_numpy()
SIZES = {count: np.array([count.parameters(*map(int, shape)) for shape in SHAPES], dtype=float) for count in Count}
LARGE = SIZES[Count.TOTAL] >= 4e8
N, T = np.geomspace(1e7, 1e10, 7), np.full(7, 3e11)
laws = st.builds(lambda A, alpha: replace(HOFFMANN, A=A, alpha=alpha), st.floats(20, 2000), st.floats(0.1, 0.5))


def objective(law, n, t, y):
    return float(np.sum(np.log(law(n, t) / y) ** 2))


def test_counts_are_those_of_the_published_checkpoints():
    published = [14067712, 30494720, 70426624, 162322944, 405334016, 1011781632, 1414647808, 2775208960]
    published += [6857302016, 11846072320]
    assert [int(n) for n in SIZES[Count.TOTAL]] == published
    assert Count.NON_EMBEDDING.parameters(6, 512, 50304) == 12 * 6 * 512**2
    embeddings = SIZES[Count.TOTAL] - SIZES[Count.NON_EMBEDDING] - 2 * SHAPES[:, 1] * SHAPES[:, 2]
    assert np.array_equal(embeddings, (13 * SHAPES[:, 0] + 2) * SHAPES[:, 1])


@given(laws)
def test_a_law_is_recovered_from_its_own_losses(law):
    kept = fit_law(N, T, law(N, T))
    assert abs(kept.A / law.A - 1) <= identity()
    assert abs(kept.alpha - law.alpha) <= identity()
    assert np.max(np.abs(relative_gaps(kept, N, T, law(N, T)))) <= identity()


def test_free_constants_are_recovered():
    t = np.geomspace(1e9, 1e12, 7)[[3, 0, 6, 1, 5, 2, 4]]
    free = fit_law(N, t, HOFFMANN(N, t), keep=None)
    for name in ("A", "alpha", "B", "beta", "E"):
        assert abs(getattr(free, name) / getattr(HOFFMANN, name) - 1) <= 100 * identity()


def test_with_one_budget_its_term_is_part_of_E():
    free = fit_law(N, T, HOFFMANN(N, T), keep=None)
    assert free.B == 0
    assert abs(free.E - HOFFMANN.unlimited(3e11)) <= 100 * identity()
    assert abs(free.alpha - HOFFMANN.alpha) <= 100 * identity()


@given(laws, st.floats(0.01, 100), st.integers(0, 9))
def test_counting_in_other_units_only_rescales_A(law, unit, seed):
    rest = law.unlimited(T)
    y = rest + (law(N, T) - rest) * np.exp(0.1 * np.random.default_rng(seed).standard_normal(len(N)))
    one, other = fit_law(N, T, y), fit_law(unit * N, T, y)
    assert abs(other.alpha - one.alpha) <= identity()
    assert abs(other.A / (one.A * unit**one.alpha) - 1) <= 100 * identity()


@pytest.mark.parametrize("count", Count)
def test_the_fit_is_the_minimum_another_optimiser_finds(count):
    n, t, y = SIZES[count][LARGE], TOKENS[LARGE], LOSS[LARGE]
    law = fit_law(n, t, y)

    def cost(x):
        return objective(replace(HOFFMANN, A=math.exp(x[0]), alpha=x[1]), n, t, y)

    found = minimize(cost, [4.0, 0.2], method="Nelder-Mead", options={"xatol": 1e-12, "fatol": 1e-18, "maxiter": 4000})
    assert abs(math.exp(found.x[0]) / law.A - 1) <= 1e-4
    assert objective(law, n, t, y) <= found.fun + rounding(1e-4, 6)
    for wrong in (replace(law, A=1.001 * law.A), replace(law, alpha=law.alpha - 1e-4)):
        assert objective(wrong, n, t, y) > objective(law, n, t, y)


def test_total_parameters_give_the_papers_constants_and_its_gap():
    law = fit_law(SIZES[Count.TOTAL][LARGE], TOKENS[LARGE], LOSS[LARGE])
    assert 119 <= law.A <= 123.5
    assert 0.245 <= law.alpha <= 0.248
    gaps = relative_gaps(law, SIZES[Count.TOTAL], TOKENS, LOSS)
    assert abs(gaps[~LARGE].mean() - 0.08) <= 0.005
    theirs = relative_gaps(GODEY, SIZES[Count.TOTAL], TOKENS, LOSS)
    assert abs(theirs[~LARGE].mean() - 0.08) <= 0.002


def test_non_embedding_parameters_turn_the_sign():
    n = SIZES[Count.NON_EMBEDDING]
    law = fit_law(n[LARGE], TOKENS[LARGE], LOSS[LARGE])
    gaps = relative_gaps(law, n, TOKENS, LOSS)
    assert abs(gaps[~LARGE].mean() + 0.05) <= 0.005
    total = fit_law(SIZES[Count.TOTAL][LARGE], TOKENS[LARGE], LOSS[LARGE])
    assert objective(law, n[LARGE], TOKENS[LARGE], LOSS[LARGE]) <= objective(
        total, SIZES[Count.TOTAL][LARGE], TOKENS[LARGE], LOSS[LARGE]
    )


@pytest.mark.parametrize("count", Count)
def test_leaving_one_out_keeps_the_sign(count):
    n = SIZES[count]
    refits = leave_one_out(n[LARGE], TOKENS[LARGE], LOSS[LARGE])
    means = [relative_gaps(refit.law, n, TOKENS, LOSS)[~LARGE].mean() for refit in refits]
    assert [refit.index for refit in refits] == list(range(6))
    assert len({mean > 0 for mean in means}) == 1
    rest = np.arange(6) != 2
    again = fit_law(n[LARGE][rest], TOKENS[LARGE][rest], LOSS[LARGE][rest])
    assert refits[2].law == again
    assert refits[2].gap == LOSS[LARGE][2] / again(n[LARGE][2:3], TOKENS[LARGE][2:3])[0] - 1


@pytest.mark.parametrize(
    ("columns", "keep", "message"),
    [
        (([1e8], [1e11], [3.0]), HOFFMANN, "2 constants need as many models"),
        (([1e8, 1e8], [1e11, 1e11], [3.0, 3.1]), HOFFMANN, "2 models of 1 sizes"),
        (([1e8, 1e9], [1e11, 1e11], [3.0, 2.5]), None, "3 constants need as many models"),
        (([1e8, 1e9, 1e9, 1e9], [1e11, 1e12, 1e11, 1e11], [3.0, 2.5, 2.4, 2.4]), None, "5 constants"),
        (([1e8, 1e9], [1e11, 1e11], [3.0, 1.5]), HOFFMANN, "loss 1.5 lies below the kept"),
        (([1e8, -1e9], [1e11, 1e11], [3.0, 2.5]), HOFFMANN, "N must be a finite number > 0"),
        (([1e8, 1e9], [1e11, 1e11], [3.0, math.nan]), HOFFMANN, "loss must be a finite number > 0"),
        (([1e8, 1e9], [1e11], [3.0, 2.0]), HOFFMANN, "one number of each per model"),
    ],
)
def test_bad_models_are_named(columns, keep, message):
    with pytest.raises(ValueError, match=message):
        fit_law(*columns, keep)


def test_a_shape_has_positive_integers():
    with pytest.raises(ValueError, match="width must be an integer"):
        Count.TOTAL.parameters(6, 0, 50304)


def test_prediction_broadcasts():
    assert Law(1.0, 0.5, 2.0, 0.5, 3.0)(np.array([4.0, 16.0]), 4.0).tolist() == [4.5, 4.25]
