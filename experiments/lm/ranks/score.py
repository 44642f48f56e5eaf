"""What heads lose on many contexts, against the full head and against the text: one pass, several heads.

For each context the full head's laws ``p`` are formed once, in blocks, never as a table.  Of every head q:

    kl = KL(p || q)        loss = -log q(next token)        excess = loss - (-log p(next token))

with windows of text as clusters in every standard error (tokens of a window share their context).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from experiments.lm.collect import clustered_stderr
from experiments.lm.ranks.contexts import Contexts
from theory.frozen import FrozenHead

BLOCK_ENTRIES = 2**23
"""Logits formed at once."""


@dataclass(frozen=True)
class Score:
    """Means over contexts, nats per token, with their standard errors; ``accuracy``: share of next tokens ranked first.

    An error is NaN where there is one window only.
    """

    kl: float
    kl_stderr: float
    loss: float
    loss_stderr: float
    excess: float
    excess_stderr: float
    accuracy: float


FULL = "full"
"""Name of the full head among the scores."""


def scores(
    heads: Mapping[str, FrozenHead], full: FrozenHead, contexts: Contexts, precision: str = "float32"
) -> dict[str, Score]:
    """Score every head, and ``full`` under the name ``FULL``.

    Cost: one pass of O(N V (D + sum of ranks)).  In float32 a context's divergence is good to about 1e-6 nats, sums
    are taken in float64.
    """
    dtype = np.dtype(precision)
    cast = {name: _cast(head, dtype) for name, head in heads.items()}
    whole, V = _cast(full, dtype), full.A.shape[0]
    costs: dict[str, list[np.ndarray]] = {name: [] for name in (FULL, *heads)}
    step = max(1, BLOCK_ENTRIES // V)
    for start in range(0, len(contexts), step):
        X, y = contexts.X[start : start + step], contexts.y[start : start + step]
        log_p, hits = _log_law(whole, X)
        p = np.exp(log_p)
        costs[FULL].append(_costs(p, log_p, log_p, hits, y))
        for name, head in cast.items():
            costs[name].append(_costs(p, log_p, *_log_law(head, X), y))
    found = {name: np.concatenate(parts, axis=1) for name, parts in costs.items()}
    return {name: _score(rows, found[FULL], contexts.window) for name, rows in found.items()}


def _cast(head: FrozenHead, dtype: np.dtype) -> FrozenHead:
    """A head whose tables are of this precision; its product with the features stays as it is."""
    return FrozenHead(head.A.astype(dtype), head.B, None if head.b is None else head.b.astype(dtype))


def _log_law(head: FrozenHead, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (n, V), worked out in one array, and the most probable tokens (n,).

    Row after row: a row stays in the cache between passes.
    """
    logits = (X.astype(head.B.dtype) @ head.B.T).astype(head.A.dtype) @ head.A.T
    room, best = np.empty_like(logits[0]), np.empty(len(X), dtype=np.int64)
    for number in range(len(X)):
        row = logits[number]
        if head.b is not None:
            row += head.b
        best[number] = row.argmax()
        row -= row[best[number]]
        np.exp(row, out=room)
        row -= np.log(room.sum())
    return logits, best


def _costs(p: np.ndarray, log_p: np.ndarray, log_q: np.ndarray, best: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Divergence, loss and hit of each row, (3, n) in float64."""
    room, divergence = np.empty_like(p[0]), np.empty(len(y))
    for number in range(len(y)):
        np.subtract(log_p[number], log_q[number], out=room)
        divergence[number] = p[number] @ room
    return np.stack([divergence, -log_q[np.arange(len(y)), y], best == y]).astype(np.float64)


def _score(rows: np.ndarray, full: np.ndarray, window: int) -> Score:
    divergence, loss, hit = rows
    excess = loss - full[1]
    means = {"kl": divergence, "loss": loss, "excess": excess}
    errors = {f"{name}_stderr": clustered_stderr(part, window) for name, part in means.items()}
    return Score(**{name: float(part.mean()) for name, part in means.items()}, **errors, accuracy=float(hit.mean()))
