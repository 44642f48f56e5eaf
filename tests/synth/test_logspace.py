"""Sums and entropies in log space, at the edges where naive formulas give NaN."""

from __future__ import annotations

import math

import mpmath
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synth import logspace, strategies
from tests.tolerances import EPS, rounding

INF = math.inf


def test_zero_log_zero_is_zero():
    assert logspace.entropy(np.array([0.0, -INF])) == 0.0
    assert np.array_equal(logspace.log(np.array([0.0, 1.0])), [-INF, 0.0])


def test_sums_of_nothing_and_of_huge_terms():
    assert logspace.logsumexp(np.array([-INF, -INF])) == -INF
    assert logspace.logsumexp(np.array([1000.0, -INF])) == 1000.0
    assert abs(logspace.logsumexp(np.array([1000.0, 1000.0])) - 1000 - math.log(2)) <= rounding(1000, 2)


def test_divergence_is_infinite_exactly_where_support_is_missed():
    p, q = np.log([[0.5, 0.5]]), np.array([[0.0, -INF]])
    assert np.array_equal(logspace.divergence(p, q), [INF])
    assert abs(float(logspace.divergence(q, p)[0]) - math.log(2)) <= rounding(1, 2)


@given(st.floats(-700, 30).filter(lambda x: x == 0 or abs(x) > 1e-100))
def test_rho_keeps_its_digits(x):
    with mpmath.workdps(250):
        exact = mpmath.exp(mpmath.mpf(x)) - 1 - mpmath.mpf(x)
        error = abs(mpmath.mpf(float(logspace.rho(np.array([x]))[0])) - exact)
        assert error <= 64 * EPS * exact


def test_rho_of_minus_infinity_is_infinite():
    assert logspace.rho(np.array([-INF]))[0] == INF


@given(strategies.distributions())
def test_divergence_from_the_unigram_averages_to_the_information(distribution):
    log_q = np.broadcast_to(distribution.log_marginal, distribution.log_p.shape)
    rows = logspace.divergence(distribution.log_p, log_q)
    assert np.all(rows >= 0)
    assert abs(distribution.weights @ rows - distribution.mutual_information) <= 1e-12


@given(strategies.positive_distributions())
def test_divergence_of_a_law_from_itself_is_exactly_zero(distribution):
    assert np.all(logspace.divergence(distribution.log_p, distribution.log_p) == 0)


@given(strategies.positive_distributions(), st.floats(1e-9, 1e-3))
def test_small_divergences_are_not_lost_to_cancellation(distribution, eps):
    """``KL(p || p + eps)`` is half the variance of the change of logits, to third order."""
    direction = np.arange(distribution.vocab, dtype=float)
    log_q = logspace.log_softmax(distribution.log_p + eps * direction)
    mean = distribution.p @ direction
    variance = distribution.p @ direction**2 - mean**2
    rows = logspace.divergence(distribution.log_p, log_q)
    slack = eps**3 * distribution.vocab**3 + EPS * eps * 64 * distribution.vocab
    assert np.max(np.abs(rows - 0.5 * eps**2 * variance)) <= slack
