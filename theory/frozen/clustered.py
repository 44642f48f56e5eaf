"""Clustered Fisher weights: contexts of like laws share a metric, and what every cluster must lose adds up.

The curvature ``diag(p_n) - p_n p_n'`` differs between contexts, and one rank-one table of weights cannot follow it.
Within a cluster of contexts it differs less.  For any partition into clusters, and any head, the quadratic loss is the
sum over clusters, and each cluster loses at least what its own best matrix of rank r would lose:

    min over rank r of sum_k |M|_k^2  >=  sum_k tail_r(metric of cluster k).

With more clusters the metrics are truer and the relaxation is looser: a cluster of n contexts loses nothing from r = n.
"""

from __future__ import annotations

import numpy as np

from synth._array import to_numpy
from theory.frozen.metrics import information, whitened
from theory.frozen.problem import FrozenProblem

ROUNDS = 20


def clusters(problem: FrozenProblem, count: int, seed: int = 0) -> np.ndarray:
    """Labels (N,) of at most ``count`` clusters of contexts: Lloyd's k-means on the logits' own scale.

    Distances are those of ``x' (W' D_s W) x``, ``s`` the unigram law: squared differences of logits.  Seeds are drawn
    with probability proportional to the squared distance from those drawn before (Arthur & Vassilvitskii 2007).
    Empty clusters vanish.  Raises ``ValueError`` unless 1 <= count <= N.
    """
    if not 1 <= count <= problem.rows:
        raise ValueError(f"count must lie between 1 and the number of rows {problem.rows}, found {count}")
    rng = np.random.default_rng(seed)
    metric = whitened(problem)
    points = _points(problem, to_numpy(metric.mean), to_numpy(problem.moments.marginal))
    weights = to_numpy(problem.weights)
    centres = points[rng.choice(len(points), p=weights)][None, :]
    for _ in range(count - 1):
        far = np.min(_distances(points, centres), axis=1) * weights
        if not far.sum() > 0:
            break
        centres = np.vstack([centres, points[rng.choice(len(points), p=far / far.sum())]])
    labels = np.argmin(_distances(points, centres), axis=1)
    for _ in range(ROUNDS):
        present = np.unique(labels)
        centres = np.stack([np.average(points[labels == k], axis=0, weights=weights[labels == k]) for k in present])
        moved = np.argmin(_distances(points, centres), axis=1)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return np.unique(labels, return_inverse=True)[1]


def clustered_tails(problem: FrozenProblem, labels: np.ndarray) -> np.ndarray:
    """``1/2 sum_k mass_k tail_r`` in the information metric of each cluster, for r = 0 ... D, shape (D + 1,).

    A prediction, not a bound: half the quadratic loss, relaxed.  With one cluster it is half the tail of
    ``information``.  Cost: one pass, and O(V D^2 + D^3) for each cluster.
    """
    weights, total = to_numpy(problem.weights), np.zeros(problem.width + 1)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        metric = information(problem.subset(rows))
        energies = to_numpy(metric.sigma) ** 2
        tails = np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]])
        total[: len(tails)] += weights[rows].sum() * tails / 2
    return total


def _points(problem: FrozenProblem, mean: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Features mapped so that squared distances are ``s``-weighted squared differences of logits."""
    W = to_numpy(problem.W)
    W = W - s @ W
    values, vectors = np.linalg.eigh(W.T @ (s[:, None] * W))
    return (to_numpy(problem.X) - mean) @ (vectors * np.sqrt(np.maximum(values, 0)))


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (N, K)."""
    square = np.sum(points**2, axis=1)[:, None] + np.sum(centres**2, axis=1)[None, :] - 2 * points @ centres.T
    return np.maximum(square, 0.0)
