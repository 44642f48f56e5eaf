"""How far the head is aligned with token frequency.

y_v is the logarithm of the count of token v in the text; tokens that the text does not hold are left out.  The measures
are the correlation of y with the top left singular vector of W, centred or not, and the share of the variance of y that
all D directions of W explain together.  The null is a random assignment of counts to these n tokens: the mean of the
squared correlation is 1 / (n - 1), that of the share D / (n - 1), both exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.lm.measure.head import CENTRED, RAW
from experiments.lm.measure.row import NONE, Row
from theory.nulls import permuted_share
from theory.triangle import triangle

CORRELATION = "|correlation| of u₁ with log frequency"
EXPLAINED = "share of log frequency in the span of W"
SHUFFLED = "counts permuted among tokens"


@dataclass(frozen=True, eq=False)
class Alignment:
    """``tokens`` (n,) of the text, ``counts`` (n,), and entries of the top left singular vectors (n,) on them.

    Vectors have the sign that correlates positively with the logarithm of the counts.
    """

    tokens: np.ndarray
    counts: np.ndarray
    raw: np.ndarray
    centred: np.ndarray
    explained: float
    rank: int

    def rows(self) -> list[Row]:
        """The correlations and the share explained, beside random assignment."""
        n = len(self.tokens)
        found = [
            Row(CORRELATION, name, self.correlation(u), NONE, permuted_share(1, n) ** 0.5, NONE, SHUFFLED + " (rms)")
            for name, u in ((RAW, self.raw), (CENTRED, self.centred))
        ]
        return [*found, Row(EXPLAINED, CENTRED, self.explained, NONE, permuted_share(self.rank, n), NONE, SHUFFLED)]

    def correlation(self, u: np.ndarray) -> float:
        """Absolute correlation of a vector on the tokens with the logarithm of their counts."""
        return abs(_correlation(u, np.log(self.counts)))


def alignment(W: np.ndarray, tokens: np.ndarray) -> Alignment:
    """Alignment of the head W (V, D) with the counts of ``tokens`` (n,), the numbers of a text.

    Raises ``ValueError`` where fewer than D + 2 different tokens occur, or all equally often.  Cost: O(V D^2).
    """
    counts = np.bincount(tokens, minlength=len(W))
    seen = np.flatnonzero(counts)
    if len(seen) < W.shape[1] + 2 or len(set(counts[seen].tolist())) < 2:
        raise ValueError(
            f"the text has {len(seen)} different tokens, at least {W.shape[1] + 2} of different frequency are needed "
            "to see an alignment; give a longer text"
        )
    y = np.log(counts[seen])
    raw, centred = (_top(W, seen, shift, y) for shift in (None, W.mean(axis=0, dtype=np.float64)))
    augmented = np.column_stack([W[seen].astype(np.float64), y])
    R = triangle(augmented, augmented.mean(axis=0))
    residual = float(R[-1, -1] ** 2 / np.sum(R[:, -1] ** 2))
    return Alignment(seen, counts[seen], raw, centred, 1 - residual, W.shape[1])


def _top(W: np.ndarray, seen: np.ndarray, shift: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    """Entries of the top left singular vector of ``W - 1 shift'`` on the tokens seen, its sign that of y."""
    _, sigma, Vt = np.linalg.svd(triangle(W, shift))
    rows = W[seen].astype(np.float64)
    u = (rows if shift is None else rows - shift) @ Vt[0] / sigma[0]
    return u if _correlation(u, y) >= 0 else -u


def _correlation(u: np.ndarray, y: np.ndarray) -> float:
    a, b = u - u.mean(), y - y.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale > 0 else 0.0
