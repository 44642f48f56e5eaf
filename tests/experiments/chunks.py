"""Chunks of logits and the laws they are held against, for the tests of kernels."""

from __future__ import annotations

import numpy as np

from synth import ContextualDistribution, families, logspace
from tests.tolerances import EPS

SCALES = [0.1, 10.0, 1e4]
"""Standard deviations of logits: near uniform, peaky, far beyond the range of ``exp``."""


def formulas(logits, P):
    """``KL(p || q)`` of each row and ``Q - P``, in float64 from the definitions."""
    log_q = logspace.log_softmax(logits.astype(np.float64))
    return logspace.divergence(logspace.log(P), log_q), np.exp(log_q) - P


def draw_logits(shape, scale, seed=0):
    return scale * np.random.default_rng(seed).standard_normal(shape) + scale


def stored(distribution, sparse, dtype=np.float64):
    """The same law in either storage and precision, as (table, its probabilities in float64)."""
    build = ContextualDistribution.from_counts if sparse else ContextualDistribution.from_probabilities
    table = build(distribution.p).on(np.zeros(1, dtype=dtype)).table
    P = np.zeros(table.shape)
    if sparse:
        P[table.rows, table.columns] = table.p
    else:
        P[:] = table.p
    return table, P


def errors(costs, R, logits, P):
    """Largest errors of the costs, relative to the logits' size, and of the residual."""
    wanted, residual = formulas(logits, P)
    return np.abs(costs - wanted).max() / (1 + np.abs(logits).max()), np.abs(R - residual).max()


def slack(dtype):
    """Rounding of residuals, and of costs whose exponentials were taken in ``dtype``."""
    return 100 * EPS if dtype == np.float64 else 4 * float(np.finfo(np.float32).eps)


WORLD = families.sparse(contexts=7, vocab=40, k=3, seed=2)
