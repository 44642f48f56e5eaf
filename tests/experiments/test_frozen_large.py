"""Frozen features where blocks of tokens do not fit: the information metric, secant steps, targets in float32."""

from __future__ import annotations

from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.heads import FitStatus, Options
from experiments.heads import descent as descent_module
from experiments.heads import lbfgs as lbfgs_module
from experiments.heads.frozen import Labels, fit_frozen, fit_full
from experiments.heads.frozen.information import FrozenInformation
from experiments.heads.frozen.metric import FrozenAveraged
from experiments.heads.frozen.problem import FrozenProblem
from experiments.heads.frozen.secant import secant_steps
from experiments.heads.metric import Metrics
from synth import ContextualDistribution
from synth._array import to_numpy
from tests.tolerances import identity, rounding
from theory import Head
from theory.frozen import FrozenHead
from theory.frozen.secant import NEAR, secants, widening

TIGHT = 1
"""Bytes for the solver: too few for blocks."""


def world(peak, rows=80, width=6, vocab=40, seed=0):
    """Features with a mean, and the laws of a full head; ``peak`` scales its logits."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, width)) + 0.5
    logits = peak * (X @ rng.standard_normal((width, vocab))) - np.log(np.arange(1, vocab + 1))
    return X, ContextualDistribution.from_logits(logits)


def objective_at(bias=True, ridge=0.0, rank=2, seed=1):
    """A small problem with a ridge or without, and a random point."""
    X, target = world(1.0, rows=30, width=4, vocab=7)
    problem = replace(FrozenProblem.of(X, target, bias, Options(memory=TIGHT)), ridge=ridge)
    objective = problem.factored(rank)
    return objective, np.random.default_rng(seed).standard_normal(objective.size)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_information_metric_inverts_its_form(bias, ridge):
    """The form written out from its definition, with NumPy alone."""
    objective, x = objective_at(bias, ridge)
    metric = FrozenInformation(objective, x, objective.evaluate(x))
    B, At = objective.split(x)
    A, Z, pi, p = At[:, :2], objective.white.Z, objective.heads.pi, objective.distribution.p
    logits = Z @ B.T @ A.T + (At[:, 2] if bias else 0)
    q = np.exp(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    f = pi[:, None] * (q * (1 - q) + p * (1 - p)) / 2
    r, s = f.sum(axis=1), f.sum(axis=0)
    H = np.hstack([Z @ B.T, np.ones((30, int(bias)))])
    K = np.zeros((2 + bias, 2 + bias))
    K[:2, :2] = B * objective.white.stiffness @ B.T
    HH, ZZ = H.T @ (r[:, None] * H) / r.sum(), Z.T @ (r[:, None] * Z) / r.sum()
    M = A.T @ (s[:, None] * A) - np.outer(s @ A, s @ A) / s.sum()
    wide = (1 + np.sqrt((2 + bias) * (f**2).sum(axis=0) / s**2)) ** 2
    deep = (1 + np.sqrt(4 * (r**2).sum() / r.sum() ** 2)) ** 2
    dB, dA = objective.split(np.random.default_rng(2).standard_normal(objective.size))
    form = objective.join(
        deep * M @ dB @ ZZ + ridge * A.T @ A @ dB * objective.white.stiffness,
        (wide * s)[:, None] * (dA @ HH) + ridge * dA @ K,
    )
    error = np.abs(metric.solve(form) - objective.join(dB, dA)).max()
    assert error <= 1e-4  # F is lifted by the root of eps before it is inverted
    assert np.abs(metric.solve(1.01 * form) - objective.join(dB, dA)).max() > 1e-3


def test_information_is_summed_alike_over_rows_tokens_and_libraries():
    X, target = world(1.0, rows=30, width=4, vocab=7)
    rng = np.random.default_rng(1)
    head = rng.standard_normal((7, 2)), rng.standard_normal((2, 4)), rng.standard_normal(7)

    def found_by(convert):
        problem = FrozenProblem.of(convert(X), target.on(convert(X)), True, Options())
        objective = problem.factored(2)
        return objective.information(objective.pack(problem.enter(FrozenHead(*map(convert, head)))))

    found = found_by(np.asarray)
    assert float(found[0].sum()) == pytest.approx(float(found[1].sum()), rel=identity(), abs=0)
    for convert in (torch.asarray, array_api_strict.asarray):
        for ours, theirs in zip(found, found_by(convert), strict=True):
            assert to_numpy(theirs) == pytest.approx(ours, rel=identity(), abs=identity())


@given(arrays(np.float64, (3, 5), elements=st.floats(-30, 30)), arrays(np.float64, (3, 5), elements=st.floats(-30, 30)))
def test_the_logarithmic_mean_is_a_mean_and_a_secant(left, right):
    log_p = left - np.log(np.exp(left - left.max(1, keepdims=True)).sum(1, keepdims=True)) - left.max(1, keepdims=True)
    residual, w, mass, loss, jeffreys = secants(log_p, right)
    p, q = np.exp(log_p), np.exp(log_p) + residual
    slack = rounding(1.0, 64)
    assert np.all(w >= np.minimum(p, q) * (1 - NEAR) - slack)
    assert np.all(w <= np.maximum(p, q) * (1 + NEAR) + slack)
    assert np.abs(w.sum(axis=1) - mass).max() <= slack
    assert np.all(loss >= -slack)
    assert np.all(jeffreys >= loss - 100 * slack)  # KL(p || q) + KL(q || p)


def test_widening_runs_from_one_context_to_many():
    one = widening(np.array([0.3]), np.array([0.09]), 24)
    assert one == pytest.approx([(1 + np.sqrt(24)) ** 2], rel=identity(), abs=0)
    assert widening(np.ones(1), np.array([1e-12]), 24) == pytest.approx([1.0], rel=1e-4, abs=0)
    assert widening(np.zeros(1), np.zeros(1), 24)[0] == 1.0


@pytest.mark.parametrize("bias", [False, True])
def test_without_memory_for_blocks_the_same_minimum_is_reached(bias):
    X, target = world(0.5)
    roomy = fit_frozen(X, target, 2, bias, Options(tolerance=1e-9))
    tight = fit_frozen(X, target, 2, bias, Options(tolerance=1e-9, memory=TIGHT))
    assert (roomy.metric, tight.metric) == ("blocks", "information")
    assert tight.status is FitStatus.CONVERGED
    assert tight.gap == pytest.approx(roomy.gap, rel=1e-4, abs=0)
    assert tight.gap < 0.99 * fit_frozen(X, target, 2, bias, Options(max_evaluations=1)).gap


@given(st.floats(0.1, 6.0), st.integers(1, 5), st.booleans(), st.integers(0, 99))
def test_secant_steps_only_descend(peak, rank, bias, seed):
    X, target = world(peak, rows=30, width=6, vocab=9, seed=seed)
    problem = FrozenProblem.of(X, target, bias, Options(memory=TIGHT, max_evaluations=60))
    objective = problem.factored(rank)
    x = 0.3 * np.random.default_rng(seed).standard_normal(objective.size)
    before, after = objective.value(x), objective.value(secant_steps(problem, objective, x))
    assert after <= before * (1 + identity())


def test_peaked_laws_are_fitted_further_than_by_the_averaged_metric(monkeypatch):
    """Sixty evaluations from one start, where the averaged metric makes every step too long."""
    X, target = world(3.0, rows=200, width=12, vocab=300)
    start, few = fit_full(X, target), Options(memory=TIGHT, max_evaluations=60)
    fit = fit_frozen(X, target, 10, options=few, start=start)
    monkeypatch.setattr(descent_module, "metrics_of", lambda objective: Metrics(FrozenAveraged))
    monkeypatch.setattr(lbfgs_module, "metrics_of", lambda objective: Metrics(FrozenAveraged))
    averaged = fit_frozen(X, target, 10, options=few, start=start)
    assert (fit.metric, averaged.metric) == ("information", "averaged")
    assert fit.gap < 0.7 * averaged.gap


@pytest.mark.parametrize("convert", [np.asarray, torch.asarray], ids=["numpy", "torch"])
def test_a_target_in_float32_is_fitted_in_it_and_reported_in_float64(convert):
    X, target = world(0.5)
    single = target.on(convert(np.zeros(1, dtype=np.float32)))
    fit = fit_frozen(convert(X), single, 2, options=Options(tolerance=1e-6, memory=TIGHT))
    double = fit_frozen(X, target, 2, options=Options(tolerance=1e-9))
    assert str(fit.A.dtype).endswith("float64")
    A, B, b = (to_numpy(part) for part in (fit.A, fit.B, fit.b))
    assert fit.gap == pytest.approx(Head(X @ B.T, A, b).gap(target), rel=1e-5, abs=0)
    assert fit.gap == pytest.approx(double.gap, rel=1e-3, abs=0)


def test_a_ridge_or_labels_take_no_secant_steps_and_still_converge():
    X, _ = world(0.5)
    y = np.random.default_rng(0).permutation(np.arange(len(X)) % 40)  # every token occurs
    tight, roomy = (
        fit_frozen(X, Labels(y, 40, ridge=0.05), 2, options=Options(tolerance=1e-8, **memory))
        for memory in ({"memory": TIGHT}, {})
    )
    assert tight.status is FitStatus.CONVERGED
    assert tight.objective == pytest.approx(roomy.objective, rel=1e-4, abs=0)
