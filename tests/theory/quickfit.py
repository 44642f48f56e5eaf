"""A small, slow, obvious fit of a softmax head, for tests to hold bounds against: dense L-BFGS from several starts."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from synth import ContextualDistribution
from theory import Head, HeadSpec
from theory.truncation import unigram_truncation


def fitted_gap(distribution: ContextualDistribution, spec: HeadSpec, starts: int = 2, iterations: int = 300) -> float:
    """The lowest gap found from the smoothed truncation and ``starts`` random heads: an upper bound on the floor."""
    return min(head.gap(distribution) for head in _fits(distribution, spec, starts, iterations))


def _fits(distribution: ContextualDistribution, spec: HeadSpec, starts: int, iterations: int) -> list[Head]:
    C, V, d = distribution.contexts, distribution.vocab, spec.dim
    P, pi = np.asarray(distribution.p), np.asarray(distribution.weights)
    split = np.cumsum([C * d, V * d])

    def unpack(x: np.ndarray) -> Head:
        H, W, b = np.split(x, split)
        return Head(H.reshape(C, d), W.reshape(V, d), b if spec.bias else None)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        head = unpack(x)
        A = head.logits()
        log_z = logsumexp(A, axis=1)
        G = pi[:, None] * (np.exp(A - log_z[:, None]) - P)
        parts = [(G @ head.W).ravel(), (G.T @ head.H).ravel()] + ([G.sum(axis=0)] if spec.bias else [])
        return float(pi @ (log_z - (P * A).sum(axis=1))), np.concatenate(parts)

    first = unigram_truncation(distribution, d, spec.bias, share=0.2)
    points = [np.concatenate([first.H.ravel(), first.W.ravel()] + ([first.b] if spec.bias else []))]
    rng = np.random.default_rng(0)
    points += [rng.standard_normal(len(points[0])) for _ in range(starts)]
    options = {"maxiter": iterations, "gtol": 1e-9, "ftol": 1e-14}
    return [unpack(minimize(loss, x, jac=True, method="L-BFGS-B", options=options).x) for x in points]
