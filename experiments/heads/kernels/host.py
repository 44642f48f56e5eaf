"""The NumPy kernel: every pass in place, over strips of a few rows that stay in the cache between passes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from experiments.heads.kernels.plain import Kernel
from synth import logspace
from synth.table import Table

STRIP_ENTRIES = 2**16
"""Logits of a strip: half a MiB in float64, within the second-level cache."""

CHUNK_ENTRIES, CHUNK_ROWS = 2**18, 256
"""Logits of a chunk, unless that makes fewer rows than a matrix product needs to run at its full rate."""


class HostKernel(Kernel):
    """Chunks of logits in NumPy, overwritten in place."""

    name = "NumPy strips"

    def rows(self, vocab: int, entries: int) -> int:
        """As many as fit the cache, or as a matrix product needs; ``entries`` logits at most."""
        return max(1, min(max(CHUNK_ENTRIES // vocab, CHUNK_ROWS), entries // vocab))

    def product(self, left: np.ndarray, right: np.ndarray, room: np.ndarray | None) -> np.ndarray:
        """``left @ right``, in ``room`` where there is one."""
        return np.matmul(left, right, out=None if room is None else room[: left.shape[0], :])

    def softmax(self, logits: np.ndarray) -> np.ndarray:
        """``Q`` (rows, V), written over the logits."""
        for here in _strips(logits):
            strip = logits[here]
            strip -= np.max(strip, axis=1, keepdims=True)
            np.exp(strip, out=strip)
            strip *= 1 / np.sum(strip, axis=1, keepdims=True)
        return logits

    def constants(self, table: Table) -> np.ndarray:
        """``h_c`` and ``sum_v p_cv`` (C, 2) in float64: rows rounded to float32 do not sum to one."""
        return np.stack([super().constants(table), table.row_sums()], axis=1)

    def costs(self, logits: np.ndarray, table: Table, start: int, stop: int, constants: np.ndarray) -> np.ndarray:
        """``KL(p_c || q_c)`` (rows,) in float64."""
        costs = np.empty(logits.shape[0])
        for here in _strips(logits):
            strip = logits[here].astype(np.float64, copy=False)
            costs[here], _ = _exponentials(strip, table, start + here.start, start + here.stop, constants)
        return costs

    def residual(
        self, logits: np.ndarray, table: Table, start: int, stop: int, constants: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """``KL(p_c || q_c)`` (rows,) in float64, and ``Q - P`` (rows, V), written over the logits."""
        costs = np.empty(logits.shape[0])
        for here in _strips(logits):
            first, last = start + here.start, start + here.stop
            strip = logits[here].astype(np.float64, copy=False)
            costs[here], totals = _exponentials(strip, table, first, last, constants)
            np.multiply(strip, (1 / totals)[:, None], out=logits[here], casting="same_kind")
            table.residual(logits[here], first, last)
        return costs, logits

    def variance(self, Q: np.ndarray, table: Table, start: int, stop: int) -> np.ndarray:
        """``(q (1 - q) + p (1 - p)) / 2`` (rows, V), written over the laws ``Q``."""
        for here in _strips(Q):
            super().variance(Q[here], table, start + here.start, start + here.stop)
        return Q

    def tangent(self, Q: np.ndarray, change: np.ndarray) -> np.ndarray:
        """``Q (dA - Q . dA)``, written over ``change``."""
        for here in _strips(Q):
            strip, q = change[here], Q[here]
            strip -= logspace.row_dots(q, strip)[:, None]
            strip *= q
        return change


def _strips(logits: np.ndarray) -> Iterator[slice]:
    """Runs of rows of at most ``STRIP_ENTRIES`` entries, one row at least."""
    rows, vocab = logits.shape
    step = max(1, STRIP_ENTRIES // vocab)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _exponentials(
    strip: np.ndarray, table: Table, start: int, stop: int, constants: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Costs (rows,) and totals (rows,) of a float64 strip that is left holding ``exp(A - max A)``.

    ``sum_v p_cv (logsumexp(A_c) - A_cv)`` does not change with a constant added to ``A_c``.
    """
    strip -= np.max(strip, axis=1, keepdims=True)
    inner = table.inner(strip, start, stop)
    np.exp(strip, out=strip)
    totals = np.sum(strip, axis=1)
    entropies, masses = constants[start:stop].T
    return masses * np.log(totals) - inner - entropies, totals
