"""Random sets tested by the state of least norm: against the exact law of Gaussian heads, and against verdicts."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from theory.reach import Reach, argmaxable, top_m
from theory.reach import least_norm as module
from theory.reach.least_norm import least_norm_state, selected_share
from theory.reach.points import points
from theory.reach.proof import proves_win
from theory.reach.random_head import selected_by_least_norm


def test_the_example_runs():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted == 2


@pytest.mark.parametrize("m", [2, 3, 4])
def test_a_gaussian_head_selects_as_often_as_the_exact_law_says(m):
    """Centring and whitening change the law by terms of order d / V, below the standard error here."""
    W = np.random.default_rng(0).standard_normal((800, 30)) @ np.diag(np.geomspace(1, 30, 30)) + 7.0
    found, exact = selected_share(W, m, draws=1200, seed=1), selected_by_least_norm(800, 30, m)
    assert abs(found.value - exact) <= 5 * found.standard_error + 30 / 800
    wrong = selected_by_least_norm(800, 18, m)
    assert abs(found.value - wrong) > 5 * found.standard_error + 30 / 800


def test_a_success_is_a_proof_and_the_share_is_a_lower_bound():
    W, rng = np.random.default_rng(2).standard_normal((60, 5)), np.random.default_rng(3)
    prepared, successes = points(W), 0
    for _ in range(40):
        tokens = np.sort(rng.choice(60, 2, replace=False))
        won = proves_win(prepared, tokens, least_norm_state(prepared, tokens))
        successes += won
        assert not won or top_m(W, tokens).status is Reach.REACHABLE
    assert 0 < successes < 40
    inner = np.vstack([W, W.mean(axis=0)])  # a token inside the hull is never selected
    assert not proves_win(points(inner), np.array([60]), least_norm_state(points(inner), np.array([60])))


def test_a_bias_is_ignored_and_bad_sizes_are_refused():
    W = np.random.default_rng(4).standard_normal((50, 6))
    b = 9 * np.random.default_rng(5).standard_normal(50)
    assert selected_share(points(W, b), 2, 100) == selected_share(W, 2, 100)
    with pytest.raises(ValueError, match="some token must stay outside"):
        selected_share(W, 50, 10)
    with pytest.raises(ValueError, match="draws"):
        selected_share(W, 2, 1)


def test_verdicts_on_some_tokens_are_those_on_all():
    W = np.random.default_rng(6).standard_normal((60, 4))
    W[0], W[1] = W[2:].mean(axis=0), W[2]
    every, asked = argmaxable(W), [0, 1, 5, 40]
    some = argmaxable(W, tokens=asked)
    assert [some.status[v] for v in asked] == [every.status[v] for v in asked]
    assert {some.status[v] for v in set(range(60)) - {*asked, 2}} == {Reach.UNDECIDED}
    with pytest.raises(ValueError, match=r"some of 0\.\.59"):
        argmaxable(W, tokens=[60])
