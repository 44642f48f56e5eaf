"""The value of a certificate on the safe side: singular values from a full decomposition, roundings taken off."""

from __future__ import annotations

import math

import numpy as np

from synth._array import Array, namespace, to_numpy
from theory.certificate.dual import Dual, Metric, Point

ROUNDINGS = 64
"""Roundings allowed in the sums, in units of the size of their terms."""

PRECISION, LEAST = 2e-10, 2e-13
"""A value that is not known to this relative precision, or to this many nats, is called 0."""

EPS = float(np.finfo(np.float64).eps)


def sound_value(dual: Dual, point: Point) -> float:
    """``sum_k tail - sum T - toll``, lowered by its rounding error; 0 when nothing can be resolved.

    Cost: K singular value decompositions of (C, V), values only.
    """
    tail = math.fsum(_tail(dual, metric, dual.cap / len(point.metrics)) for metric in point.metrics)
    price = dual.price(point)
    total = float(namespace(price.value).sum(price.value)) + dual.toll(point.shift)
    error = ROUNDINGS * EPS * (tail + total + _size(dual, point, price.root))
    value = tail - total - error
    return value if value > LEAST and error <= PRECISION * value + LEAST else 0.0


def _size(dual: Dual, point: Point, root: Array) -> float:
    """Sum of the terms that cancel in the entrywise maxima, at the root and at a finite left end."""
    xp = namespace(root)
    low = dual.box.shifted(point.shift).low
    low = xp.where(xp.isfinite(low), low, root) if dual.cap == math.inf else root
    sizes = 0 * root
    for E in (low, root):
        terms = dual.box.w * (xp.abs(xp.expm1(E)) + xp.abs(E))
        for metric in point.metrics:
            terms = terms + metric.omega * (xp.abs(E) + xp.abs(metric.z)) ** 2
        sizes = xp.maximum(sizes, terms)
    return float(xp.sum(sizes))


def _tail(dual: Dual, metric: Metric, cap: float) -> float:
    """Capped tail energy: as a vector, the singular values move by no more than an error of X (Mirsky)."""
    xp = namespace(metric.z)
    X = to_numpy(dual.scaled(metric))
    size = float(xp.sum(metric.omega * (xp.abs(dual.log_p) + xp.abs(metric.z)) ** 2)) ** 0.5
    sigma = np.linalg.svd(X, compute_uv=False)[dual.dim :]
    error = 16 * EPS * math.sqrt(max(X.shape)) * size
    return max(float(np.linalg.norm(np.minimum(sigma, math.sqrt(cap)))) - error, 0.0) ** 2
