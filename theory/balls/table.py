"""A table of probabilities as real numbers: the float64 logarithms stored, normalised exactly.

``log_p`` holds float64 numbers ``l_cv``; the probabilities meant are ``e^{l_cv} / sum_v e^{l_cv}``, so that rows sum to
one exactly, and the weights meant are the float64 weights over their exact sum.  ``None`` stands for ``log 0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.balls.arithmetic import Ball, ball, balls, total
from theory.recheck.table import Mismatch

ENTRIES = 2**14
"""Entries of the largest table that is written out in balls."""


@dataclass(frozen=True, eq=False)
class BallTable:
    """Log-probabilities (C lists of V balls or ``None``) and weights (C balls)."""

    log_p: list[list[Ball | None]]
    weights: list[Ball]

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return len(self.log_p[0])

    def p(self, c: int, v: int) -> Ball:
        """One probability."""
        entry = self.log_p[c][v]
        return ball(0.0) if entry is None else entry.exp()

    def positive(
        self, contexts: Sequence[int] | None = None, tokens: Sequence[int] | None = None
    ) -> tuple[list[list[Ball]], list[Ball]]:
        """Log-probabilities and weights of a block, which must be positive throughout."""
        rows = range(len(self.log_p)) if contexts is None else contexts
        columns = range(self.vocab) if tokens is None else tokens
        block = [[self.log_p[c][v] for v in columns] for c in rows]
        if any(entry is None for row in block for entry in row):
            raise Mismatch("the certificate needs a block of positive probabilities, but some are zero")
        return [[entry for entry in row if entry is not None] for row in block], [self.weights[c] for c in rows]

    def conditioned(self, tokens: Sequence[int]) -> tuple[BallTable, Ball]:
        """The table given that the token is one of ``tokens``, and the probability of that."""
        rows, joint = list[list[Ball | None]](), list[Ball]()
        for c, row in enumerate(self.log_p):
            kept = [row[v] for v in tokens]
            if all(entry is None for entry in kept):
                continue
            mass = total(entry.exp() for entry in kept if entry is not None)
            rows.append([None if entry is None else entry - mass.log() for entry in kept])
            joint.append(self.weights[c] * mass)
        mass = total(joint)
        return BallTable(rows, [weight / mass for weight in joint]), mass


def ball_table(distribution: ContextualDistribution) -> BallTable:
    """The table of ``distribution``; ``ValueError`` beyond 2^14 entries."""
    if distribution.contexts * distribution.vocab > ENTRIES:
        raise ValueError(
            f"{distribution.contexts} x {distribution.vocab} entries exceed {ENTRIES}; ball arithmetic is for small "
            "tables: restrict contexts and tokens first (synth.moves)"
        )
    rows = to_numpy(distribution.table.block(0, distribution.contexts)).astype(np.float64)
    weights = balls(to_numpy(distribution.weights).astype(np.float64))
    whole = total(weights)
    log_p = list[list[Ball | None]]()
    for row in rows:
        entries = [ball(x) if np.isfinite(x) else None for x in row]
        norm = total(x.exp() for x in entries if x is not None).log()
        log_p.append([None if x is None else x - norm for x in entries])
    return BallTable(log_p, [weight / whole for weight in weights])
