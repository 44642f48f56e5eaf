"""A head near a fitted one that lies in the class of heads with ``q >= e^-M p``: the class reaches as low as it does.

``experiments.heads.fit`` imposes no limit.  Here the gap plus a penalty on log errors below ``-M`` is descended from
the fitted head, the penalty growing; what is left is scaled down, which moves every row towards the uniform law.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from synth import ContextualDistribution
from theory import Head, HeadSpec

PENALTIES = (0.1, 1.0, 10.0, 100.0)
"""Factors of the penalty, relative to each entry's weight."""

MARGIN = 1e-3
"""The penalty aims at log errors of at least ``-M (1 - MARGIN)``."""

STEPS = 400
"""L-BFGS steps under each penalty."""

SHRINKS = 40
"""Scales tried from 1 downwards at the end."""


def limited(distribution: ContextualDistribution, head: Head, spec: HeadSpec) -> float:
    """The gap of a head of class ``spec``, nats per token; for positive tables and ``max_underestimate``.

    Cost: some thousands of products of (C, d) with (V, d).
    """
    limit = spec.max_underestimate or float("inf")
    L, pi = np.asarray(distribution.log_p), np.asarray(distribution.weights)
    w = pi[:, None] * np.exp(L)
    parts = [np.asarray(part, dtype=np.float64) for part in (head.H, head.W, *([] if head.b is None else [head.b]))]
    ends = np.cumsum([part.size for part in parts])[:-1]

    def unpacked(x: np.ndarray) -> list[np.ndarray]:
        return [piece.reshape(part.shape) for piece, part in zip(np.split(x, ends), parts, strict=True)]

    def penalised(x: np.ndarray, factor: float) -> tuple[float, np.ndarray]:
        H, W, *b = unpacked(x)
        A = H @ W.T + (b[0] if b else 0.0)
        log_q = A - logsumexp(A, axis=1, keepdims=True)
        E, q = log_q - L, np.exp(log_q)
        depth = np.minimum(E + limit * (1 - MARGIN), 0.0)
        pull = 2 * factor * w * depth
        G = pi[:, None] * q - w + pull - q * pull.sum(axis=1, keepdims=True)
        value = -float((w * E).sum()) + factor * float((w * depth**2).sum())
        slopes = [(G @ W).ravel(), (G.T @ H).ravel(), *([G.sum(axis=0)] if b else [])]
        return value, np.concatenate(slopes)

    x = np.concatenate([part.ravel() for part in parts])
    for factor in PENALTIES:
        x = minimize(penalised, x, (factor,), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    H, W, *b = unpacked(x)
    for scale in np.linspace(1.0, 0.0, SHRINKS, endpoint=False):
        witness = Head(scale * H, W, *(scale * part for part in b))
        if witness.belongs_to(spec, distribution):
            return witness.gap(distribution)
    return float("inf")
