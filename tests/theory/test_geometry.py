"""Gauge, metric, curvature and anisotropy against the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest

from synth import logspace
from tests.theory.worlds import dirichlet
from tests.tolerances import ORDER, rounding
from theory import geometry

RNG = np.random.default_rng(0)
M, PI, S = RNG.standard_normal((6, 5)), RNG.dirichlet(np.ones(6)), RNG.dirichlet(np.ones(5))
TINY = {"rtol": 0.0, "atol": rounding(10.0, 30)}


def test_centre_multiplies_by_J():
    np.testing.assert_allclose(geometry.centre(M), M @ (np.eye(5) - np.ones((5, 5)) / 5), **TINY)


def test_centre_contexts_multiplies_by_Q():
    np.testing.assert_allclose(geometry.centre_contexts(M, PI), (np.eye(6) - np.outer(np.ones(6), PI)) @ M, **TINY)


@pytest.mark.parametrize("mass", [1.0, 0.3])
def test_metric_is_the_product_of_its_definition(mass):
    s = mass * S
    unit = np.sqrt(s) / np.linalg.norm(np.sqrt(s))
    expected = np.diag(np.sqrt(PI)) @ M @ np.diag(np.sqrt(s)) @ (np.eye(5) - np.outer(unit, unit))
    np.testing.assert_allclose(geometry.to_metric(M, PI, s), expected, **TINY)


def test_from_metric_inverts_up_to_the_gauge():
    back = geometry.from_metric(geometry.to_metric(M, PI, S), PI, S)
    np.testing.assert_allclose(geometry.centre(back), geometry.centre(M), **TINY)
    np.testing.assert_allclose(back @ S, np.zeros(6), **TINY)


def test_metric_energy_is_twice_the_divergence_to_second_order():
    base = dirichlet(1, 5, seed=1).log_p
    errors = []
    steps = np.array([0.1, 0.05, 0.025, 0.0125])
    for eps in steps:
        log_q = logspace.log_softmax(base + eps * M)
        energy = np.sum(geometry.to_metric(eps * M, PI, np.exp(base[0])) ** 2)
        errors.append(abs(PI @ logspace.divergence(np.repeat(base, 6, axis=0), log_q) - energy / 2))
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - 3) <= ORDER


def test_curvature_and_variance_are_the_hessian_of_logsumexp():
    p = dirichlet(6, 5, seed=2).p
    for row in range(6):
        hessian = np.diag(p[row]) - np.outer(p[row], p[row])
        np.testing.assert_allclose(geometry.curvature_product(p, M)[row], hessian @ M[row], **TINY)
        np.testing.assert_allclose(geometry.variance(p, M)[row], M[row] @ hessian @ M[row], **TINY)


def test_anisotropy_is_the_mean_pairwise_cosine():
    unit = M / np.linalg.norm(M, axis=1, keepdims=True)
    cosines = unit @ unit.T
    assert geometry.anisotropy(M) == pytest.approx(cosines[~np.eye(6, dtype=bool)].mean(), rel=0, abs=rounding(1, 36))
    assert geometry.anisotropy(np.ones((4, 3))) == pytest.approx(1.0, rel=0, abs=rounding(1, 16))


@pytest.mark.parametrize("rows", [np.ones((1, 3)), np.zeros((3, 2))])
def test_anisotropy_refuses_rows_without_direction(rows):
    with pytest.raises(ValueError, match="at least two rows"):
        geometry.anisotropy(rows)
