"""Floors that are zero only as an infimum: explicit heads that approach them as their logits diverge."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import families, logspace, strategies
from tests.tolerances import KNOWN_FLOOR, ORDER


def gap(distribution, logits):
    """``sum_c pi_c KL(p_c || softmax(A_c))``, nats."""
    return float(distribution.weights @ logspace.divergence(distribution.log_p, logspace.log_softmax(logits)))


def line_head(distribution, M):
    """The head of ``2k - 1`` dimensions and a bias from the docstring of ``synth.families.sparse``: H, W, b."""
    t = np.linspace(-1, 1, distribution.vocab)
    k = int(distribution.support_sizes.max())
    powers = t[:, None] ** np.arange(2 * k + 1)
    H = np.zeros((distribution.contexts, 2 * k + 1))
    for c, log_p in enumerate(distribution.log_p):
        inside = np.flatnonzero(np.isfinite(log_p))
        roots = np.concatenate([t[inside], np.full(k - len(inside), t[inside[0]])])
        H[c] = -M * np.polynomial.polynomial.polyfromroots(np.concatenate([roots, roots]))
        H[c, : len(inside)] += np.linalg.solve(powers[np.ix_(inside, range(len(inside)))], log_p[inside])
    return H[:, 1:-1], powers[:, 1:-1], -M * powers[:, -1]


@given(
    st.one_of(strategies.sparse(4, 5), strategies.all_k_subsets(5, 5), strategies.one_hot(6, 6)).filter(
        lambda distribution: distribution.support_sizes.max() <= 2
    )
)
@settings(max_examples=60)
def test_sparse_supports_need_one_dimension_less_with_a_bias(distribution):
    k = int(distribution.support_sizes.max())
    assert distribution.known_floor(SimpleNamespace(dim=2 * k - 1, bias=True)) == 0
    H, W, b = line_head(distribution, M=1e5)
    assert H.shape[1] == 2 * k - 1
    assert gap(distribution, H @ W.T + b) <= KNOWN_FLOOR


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_staircase_is_the_limit_of_one_dimension(exponent):
    """The gap falls in proportion to M^-2 and stays positive: a zero that no finite head attains."""
    distribution = families.staircase(6, exponent)
    v = np.arange(6)
    M = np.array([1e2, 1e3, 1e4])
    gaps = [gap(distribution, np.outer(-(m ** -(2.0 * v + 1)), m ** (2.0 * v)) - exponent * np.log(v + 1)) for m in M]
    slope = np.polyfit(np.log(M), np.log(gaps), 1)[0]
    assert abs(slope + 2) <= ORDER
    assert min(gaps) > 0
    assert distribution.known.floors[1, True] == 0
    assert ((1, False) in distribution.known.floors) == (exponent == 0)
