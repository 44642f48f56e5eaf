"""What a head on frozen features is fitted to: soft targets or hard labels, checked against the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synth import ContextualDistribution
from synth._array import Array, is_array, like, namespace, to_numpy


@dataclass(frozen=True, eq=False)
class Labels:
    """One observed token per row of features: ``y`` (N,) integers, in a vocabulary of ``vocab`` tokens.

    ``vocab`` defaults to the largest label plus one, ``weights`` (N,) to equal ones.  ``ridge`` adds
    ``ridge/2 |W|_F^2`` nats to the loss, the bias left free.
    """

    y: Any
    vocab: int | None = None
    ridge: float = 0.0
    weights: Any = None


Target = ContextualDistribution | Labels | Array
"""Soft targets, labels with their options, or a bare integer array of labels."""


def resolve(features: Any, target: Target) -> tuple[Array, ContextualDistribution, float]:
    """Features (N, D) in float64, the target beside them in the precision it came in, and the ridge.

    Raises ``ValueError`` for features that are no finite matrix, rows that do not match, or labels out of range.
    """
    X = _matrix(features)
    if isinstance(target, ContextualDistribution):
        distribution, ridge = target, 0.0
    else:
        labels = target if isinstance(target, Labels) else Labels(target)
        if not labels.ridge >= 0 or labels.ridge == float("inf"):
            raise ValueError(f"ridge must be finite and >= 0, found {labels.ridge}")
        distribution, ridge = _one_per_row(labels, X), float(labels.ridge)
    if distribution.contexts != X.shape[0]:
        raise ValueError(
            f"features have {X.shape[0]} rows and the target {distribution.contexts}; "
            "each row of features needs its own row of the target, in the same order"
        )
    return X, distribution.on(in_precision(X, distribution)), ridge


def in_precision(array: Array, distribution: ContextualDistribution) -> Array:
    """The array in float32 where the distribution is, else in float64."""
    single = distribution.weights.dtype == namespace(distribution.weights).float32
    xp = namespace(array)
    return xp.astype(array, xp.float32 if single else xp.float64, copy=False)


def _matrix(features: Any) -> Array:
    """Finite float64 features (N, D) with both > 0."""
    X = features if is_array(features) else np.asarray(features, dtype=np.float64)
    xp = namespace(X)
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(f"features have shape {tuple(X.shape)}; a matrix (rows, dimensions) with both > 0 is needed")
    X = xp.astype(X, xp.float64)
    bad = int(xp.sum(xp.astype(~xp.isfinite(X), xp.int64)))
    if bad:
        raise ValueError(f"features hold {bad} NaN or infinite entries; drop or repair those rows first")
    return X


def _one_per_row(labels: Labels, X: Array) -> ContextualDistribution:
    """The sparse table that puts each row's whole probability on its label."""
    from scipy.sparse import csr_array

    y = to_numpy(labels.y) if is_array(labels.y) else np.asarray(labels.y)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(
            f"labels have shape {y.shape} and dtype {y.dtype}; one integer per row is needed "
            "(pass soft targets as a ContextualDistribution)"
        )
    if len(y) != X.shape[0]:
        raise ValueError(f"{len(y)} labels were given for {X.shape[0]} rows of features; give one for each row")
    vocab = int(y.max()) + 1 if labels.vocab is None else labels.vocab
    if y.min() < 0 or y.max() >= vocab:
        raise ValueError(
            f"labels run from {y.min()} to {y.max()}, outside 0 to {vocab - 1}; drop unlabelled rows or raise vocab"
        )
    counts = csr_array((np.ones(len(y)), (np.arange(len(y)), y)), shape=(len(y), vocab))
    return ContextualDistribution.from_counts(counts, labels.weights, reference=like(np.zeros(1), X))
