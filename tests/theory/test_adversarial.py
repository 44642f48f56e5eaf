"""Lower bounds against fits on many small tables drawn to be hard: no fit may fall below any of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from synth import ContextualDistribution
from tests.theory.quickfit import fitted_gap
from tests.tolerances import rounding
from theory import HeadSpec, Side, catalogue

LOWER = [entry for entry in catalogue if entry.side is Side.LOWER]


def drawn(seed: int) -> ContextualDistribution:
    """A 3 to 5 by 3 to 5 table: near uniform, spread, heavy-tailed or with one extreme entry; uneven weights."""
    rng = np.random.default_rng(seed)
    contexts, vocab = rng.integers(3, 6, size=2)
    logits = rng.standard_normal((contexts, vocab)) * rng.choice([0.1, 0.5, 1.5, 4.0])
    if seed % 3 == 0:
        logits[rng.integers(contexts), rng.integers(vocab)] += rng.choice([-8.0, 8.0])
    return ContextualDistribution.from_logits(logits, rng.dirichlet(np.full(contexts, rng.choice([0.5, 5.0])) + 0.01))


@pytest.mark.parametrize("seed", range(120))
def test_no_fit_falls_below_a_lower_bound(seed):
    distribution = drawn(seed)
    spec = HeadSpec(int(seed % 2), bool(seed % 4 < 2))
    gap = fitted_gap(distribution, spec, starts=1, iterations=120)
    assert gap >= 0
    for entry in LOWER:
        bound = entry(distribution, spec)
        assert bound.value <= gap + rounding(1, 25), entry.name


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("limit", ["max_underestimate", "logit_range"])
def test_no_member_of_a_limited_class_falls_below(seed, limit):
    """Each fitted head is a member of the class its own underestimate (or logit range) defines."""
    distribution = drawn(seed)
    L, pi = np.asarray(distribution.log_p), np.asarray(distribution.weights)
    shape = (len(pi), L.shape[1])

    def loss(x):
        A = np.outer(x[: shape[0]], x[shape[0] :])
        G = pi[:, None] * (np.exp(A - logsumexp(A, axis=1)[:, None]) - np.exp(L))
        return pi @ (logsumexp(A, axis=1) - (np.exp(L) * A).sum(axis=1)), np.concatenate(
            [G @ x[shape[0] :], G.T @ x[: shape[0]]]
        )

    start = np.random.default_rng(seed).standard_normal(sum(shape))
    x = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": int(seed % 20) * 5}).x
    A = np.outer(x[: shape[0]], x[shape[0] :])
    E = A - logsumexp(A, axis=1)[:, None] - L
    size = {"max_underestimate": -E.min(), "logit_range": np.ptp(A, axis=1).max()}[limit]
    gap = float(pi @ (np.exp(L) * -E).sum(axis=1))
    bound = catalogue["fisher-range-lower"](distribution, HeadSpec(1, **{limit: max(float(size), 1e-6)}))
    assert 0 <= bound.value <= gap + rounding(1, 25)


@pytest.mark.parametrize("seed", range(20))
def test_a_sabotaged_concave_cost_would_be_caught(seed):
    """Near uniform the best lower bound is within a factor 4 of a fit: four times as much is refuted."""
    rng = np.random.default_rng(seed)
    distribution = ContextualDistribution.from_logits(0.2 * rng.standard_normal((5, 5)))
    gap = fitted_gap(distribution, HeadSpec(1), starts=1)
    best = max(entry(distribution, HeadSpec(1)).value for entry in LOWER)
    assert best <= gap < 4 * best
