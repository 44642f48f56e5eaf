"""Next-token distributions of a linear head at given states, a few rows at a time, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from experiments.lm.model import LanguageModel
from synth._check import integer

ENTRIES = 2**23
"""Entries of a chunk of log-probabilities (64 MiB)."""


class TopK(NamedTuple):
    """The k likeliest tokens of each state, likeliest first, and what is left.

    ``ids`` (N, k) int64, ``log_p`` (N, k) float64, ``log_rest`` (N,) float64 the log-probability of all other tokens
    together (-inf for none).
    """

    ids: np.ndarray
    log_p: np.ndarray
    log_rest: np.ndarray


def conditionals(head: LanguageModel | np.ndarray, X: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """``log softmax(X Wᵀ + b)`` chunk by chunk: the rows of ``X`` (N, D) it belongs to, and (rows, V) float64.

    ``head`` is a model, or a matrix W (V, D) without a bias.  Products are taken in float64, so they differ from a
    model's own logits by what float32 rounds.  Memory: ``ENTRIES`` entries, or one row.  Cost: 2 N V D in all.
    Raises ``ValueError`` for shapes that do not fit.
    """
    W, b = (head.W, head.b) if isinstance(head, LanguageModel) else (np.asarray(head), None)
    X = np.asarray(X)
    if W.ndim != 2 or X.ndim != 2 or X.shape[1] != W.shape[1]:
        raise ValueError(f"W must be (V, D) and X (N, D), found {W.shape} and {X.shape}; give states of this head")
    return _chunks(W.astype(np.float64), b, X)


def _chunks(W: np.ndarray, b: np.ndarray | None, X: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    rows = max(1, ENTRIES // len(W))
    for start in range(0, len(X), rows):
        part = slice(start, min(start + rows, len(X)))
        logits = X[part].astype(np.float64) @ W.T
        if b is not None:
            logits += b
        logits -= logsumexp(logits, axis=1, keepdims=True)
        yield part, logits


def top_k(head: LanguageModel | np.ndarray, X: np.ndarray, k: int) -> TopK:
    """The ``k`` likeliest tokens at each row of ``X`` (N, D); see :func:`conditionals`.

    The rest is summed over its own tokens, not taken from one, so that it keeps its digits where it is small.  Ties
    go to any of the tokens.  Raises ``ValueError`` for k outside 1 .. V.
    """
    V = len(head.W if isinstance(head, LanguageModel) else head)
    k = integer("k", k, 1, V, "the number of tokens")
    found = TopK(np.empty((len(X), k), np.int64), np.empty((len(X), k)), np.empty(len(X)))
    for part, log_p in conditionals(head, X):
        ids = np.argpartition(log_p, V - k, axis=1)[:, V - k :] if k < V else np.tile(np.arange(V), (len(log_p), 1))
        own = np.take_along_axis(log_p, ids, axis=1)
        order = np.argsort(-own, axis=1, kind="stable")
        found.ids[part] = np.take_along_axis(ids, order, axis=1)
        found.log_p[part] = np.take_along_axis(own, order, axis=1)
        np.put_along_axis(log_p, ids, -np.inf, axis=1)
        found.log_rest[part] = logsumexp(log_p, axis=1)
    return found
