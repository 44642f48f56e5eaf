"""Verdicts, and how tables and certificates are read with suspicion: blocks, index sets, minorants, tail values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy

ROWS = 2**18
"""Entries of a table written out at once."""


@dataclass(frozen=True)
class Verdict:
    """Whether a bound survived, why not if it did not, and the value found anew (``None`` where none was needed)."""

    ok: bool
    message: str
    recomputed: float | None = None

    def __bool__(self) -> bool:
        return self.ok


class Mismatch(Exception):
    """A certificate or witness that does not support its value; the message says where."""


def index_set(values: Any, size: int, what: str) -> np.ndarray:
    """Distinct indices below ``size``."""
    index = np.asarray([] if values is None else values)
    if index.ndim != 1 or index.dtype.kind not in "iu" or len(index) == 0 or len(np.unique(index)) != len(index):
        raise Mismatch(f"the certificate names no set of {what}")
    if index.min() < 0 or index.max() >= size:
        raise Mismatch(f"the certificate names {what} that do not exist")
    return index


def rows_of(distribution: ContextualDistribution) -> Iterator[np.ndarray]:
    """Log-probabilities (V,) of one context after another, on the host."""
    step = max(1, ROWS // distribution.vocab)
    for start in range(0, distribution.contexts, step):
        block = distribution.table.block(start, min(start + step, distribution.contexts))
        yield from to_numpy(block).astype(np.float64)


def block_of(distribution: ContextualDistribution, contexts: Any = None, tokens: Any = None) -> np.ndarray:
    """Dense host log-probabilities of a block."""
    table = distribution.table.take(contexts, tokens)
    return to_numpy(table.block(0, table.shape[0])).astype(np.float64)


def positive_table(
    distribution: ContextualDistribution, contexts: Any = None, tokens: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities and weights of a block, which must be positive throughout."""
    L, weights = block_of(distribution, contexts, tokens), to_numpy(distribution.weights).astype(np.float64)
    if not np.all(np.isfinite(L)):
        raise Mismatch("the certificate needs a block of positive probabilities, but some are zero")
    return L, weights if contexts is None else weights[contexts]


def minorant(certificate: Mapping[str, Any], log_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair ``(r, s)`` of the certificate, non-negative and below the weights ``exp(log_w)`` entrywise."""
    r, s = np.asarray(certificate.get("r"), dtype=np.float64), np.asarray(certificate.get("s"), dtype=np.float64)
    if (r.shape, s.shape) != ((log_w.shape[0],), (log_w.shape[1],)):
        raise Mismatch(f"the minorant has shapes {r.shape} and {s.shape} on a block {log_w.shape}")
    if not (np.all(np.isfinite(r)) and np.all(np.isfinite(s)) and np.all(r >= 0) and np.all(s >= 0)):
        raise Mismatch("the minorant must be finite and >= 0")
    if np.any(np.outer(r, s) > np.exp(log_w) * (1 + 1e-12)):
        raise Mismatch("the minorant exceeds the weights it must stay below")
    return r, s


def tail_values(L: np.ndarray, r: np.ndarray, s: np.ndarray, rank: int) -> np.ndarray:
    """Singular values beyond ``rank`` of ``D_r^{1/2} L D_s^{1/2} Pi_s``, the projector written out."""
    root = np.sqrt(s)
    unit = root / np.linalg.norm(root)
    X = np.sqrt(r)[:, None] * L * root
    return np.linalg.svd(X - np.outer(X @ unit, unit), compute_uv=False)[rank:]


def entropy(p: np.ndarray) -> float:
    """Entropy of a vector of probabilities, nats."""
    positive = p[p > 0]
    return -float(positive @ np.log(positive))
