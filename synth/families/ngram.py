"""Empirical next-token laws of a token stream: real text in, distribution out."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from synth._check import integer
from synth.distribution import ContextualDistribution
from synth.known import Known


def ngram(tokens: Any, order: int, vocab: int, min_count: int = 1) -> ContextualDistribution:
    """Maximum-likelihood n-gram conditionals of ``tokens`` (N,): a sparse table, weights in proportion to counts.

    ``order`` is 1 to 5; the contexts are the histories of ``order - 1`` tokens that are followed by a token at least
    ``min_count`` times, in lexicographic order (order 1 has the single empty history).  The parameters of ``known``
    tell the ``contexts_kept`` of ``contexts_total``, the ``coverage`` (share of the predicted tokens whose history
    was kept), and the length and SHA-256 of the stream.  O(N log N) time, O(N) memory.

    Raises ``ValueError`` for an empty or non-integer stream, tokens outside ``0..vocab - 1``, a stream shorter than
    ``order``, and a ``min_count`` that no history reaches.
    """
    from scipy.sparse import csr_array

    stream = _stream(tokens, integer("vocab", vocab, 1))
    integer("order", order, 1, 5, "longer histories of a text are seen once")
    integer("min_count", min_count, 1)
    if len(stream) < order:
        raise ValueError(f"the stream has {len(stream)} tokens, an n-gram of order {order} needs {order}; lower order")
    history = _histories(stream, order, vocab)
    following = stream[order - 1 :]
    counts = np.bincount(history)
    kept = counts >= min_count
    if not kept.any():
        raise ValueError(f"no history occurs {min_count} times, the largest count is {counts.max()}; lower min_count")
    row = np.cumsum(kept) - 1
    inside = kept[history]
    table = csr_array(
        (np.ones(int(inside.sum())), (row[history[inside]], following[inside])), shape=(int(kept.sum()), vocab)
    )
    parameters = {
        "order": order,
        "vocab": vocab,
        "min_count": min_count,
        "contexts_kept": int(kept.sum()),
        "contexts_total": len(counts),
        "coverage": float(inside.mean()),
        "tokens": len(stream),
        "tokens_sha256": hashlib.sha256(stream.tobytes()).hexdigest(),
    }
    return ContextualDistribution.from_counts(table, known=Known("ngram", parameters))


def _stream(tokens: Any, vocab: int) -> np.ndarray:
    stream = np.asarray(tokens)
    if stream.ndim != 1 or len(stream) == 0:
        raise ValueError(f"tokens have shape {stream.shape}; a non-empty one-dimensional stream is needed")
    if stream.dtype.kind not in "iu":
        raise ValueError(f"tokens have dtype {stream.dtype}; integer token numbers are needed")
    if stream.min() < 0 or stream.max() >= vocab:
        bad = stream.min() if stream.min() < 0 else stream.max()
        raise ValueError(f"token {bad} lies outside 0..{vocab - 1}; raise vocab or map the stream to token numbers")
    return np.ascontiguousarray(stream, dtype=np.int64)


def _histories(stream: np.ndarray, order: int, vocab: int) -> np.ndarray:
    """Number of the history before each predicted token (N - order + 1,), histories in lexicographic order.

    Built a token at a time: numbers stay below N, so ``number * vocab + token`` never overflows.
    """
    size = len(stream) - order + 1
    number = np.zeros(size, dtype=np.int64)
    for place in range(order - 1):
        number = np.unique(number * vocab + stream[place : place + size], return_inverse=True)[1]
    return number
