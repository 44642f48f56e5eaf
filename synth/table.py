"""The two ways a conditional table is stored: every log-probability, or only those of the tokens seen.

Both answer the same few questions, a block of contexts at a time, so the noun above them
(``synth.distribution``) and the fits never ask which one they hold. A sparse table is never densified as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from synth import logspace
from synth._array import Array, bin_sums, device, gather, like, namespace, put, same_place, to_numpy

BLOCK_ENTRIES = 2**24
"""Entries of a dense table that are worked on at once where it is read as a whole."""


@dataclass(frozen=True)
class DenseTable:
    """All log-probabilities ``log p`` of shape (C, V); entries may be ``-inf``."""

    log_p: Array

    @property
    def shape(self) -> tuple[int, int]:
        """(C, V)."""
        return (int(self.log_p.shape[0]), int(self.log_p.shape[1]))

    @property
    def values(self) -> Array:
        """The array that fixes library, device and dtype."""
        return self.log_p

    @cached_property
    def p(self) -> Array:
        """Probabilities (C, V)."""
        return namespace(self.log_p).exp(self.log_p)

    def on(self, reference: Array) -> DenseTable:
        """The same table in the library, device and dtype of ``reference``."""
        return self if same_place(self.log_p, reference) else DenseTable(like(self.log_p, reference))

    def block(self, start: int, stop: int) -> Array:
        """Dense log-probabilities (stop - start, V) of contexts ``start:stop``."""
        return self.log_p[start:stop, :]

    def inner(self, logits: Array, start: int, stop: int) -> Array:
        """``sum_v p_cv A_cv`` for the contexts ``start:stop``, their finite logits A given; shape (stop - start,)."""
        xp = namespace(logits)
        return logspace.row_dots(xp.astype(self.p[start:stop, :], logits.dtype, copy=False), logits)

    def residual(self, q: Array, start: int, stop: int) -> Array:
        """``q - p`` on contexts ``start:stop``, written over ``q`` where the library allows."""
        q -= self.p[start:stop, :]
        return q

    def divergence(self, log_q: Array, start: int, stop: int) -> Array:
        """``KL(p_c || q_c)`` for the contexts ``start:stop`` whose log-probabilities ``log_q`` are given."""
        log_p = namespace(log_q).astype(self.log_p[start:stop, :], log_q.dtype, copy=False)
        return logspace.divergence(log_p, log_q)

    def entropies(self) -> Array:
        """Entropy of each row, nats, shape (C,)."""
        rows = max(1, BLOCK_ENTRIES // self.shape[1])
        starts = range(0, self.shape[0], rows)
        blocks = [logspace.entropy(self.block(start, min(start + rows, self.shape[0]))) for start in starts]
        return namespace(self.log_p).concat(blocks)

    def support_sizes(self) -> np.ndarray:
        """Number of tokens with positive probability in each context (C,), on the host."""
        xp = namespace(self.log_p)
        return to_numpy(xp.count_nonzero(xp.isfinite(self.log_p), axis=1))

    def row_sums(self) -> Array:
        """``sum_v p_cv`` (C,) in float64: one but for rounding."""
        xp, step = namespace(self.log_p), max(1, BLOCK_ENTRIES // self.shape[1])
        starts = range(0, self.shape[0], step)
        return xp.concat([xp.sum(self.p[start : start + step, :], axis=1, dtype=xp.float64) for start in starts])

    def token_mass(self, weights: Array) -> Array:
        """``sum_c weights_c p_cv``, shape (V,)."""
        return weights @ self.p

    def take(self, contexts: Any = None, tokens: Any = None) -> DenseTable:
        """The rows and columns named by host index arrays; rows are *not* renormalised."""
        xp, log_p = namespace(self.log_p), self.log_p
        if contexts is not None:
            log_p = xp.take(log_p, like(np.asarray(contexts, dtype=np.int64), log_p), axis=0)
        if tokens is not None:
            log_p = xp.take(log_p, like(np.asarray(tokens, dtype=np.int64), log_p), axis=1)
        return DenseTable(log_p)


@dataclass(frozen=True)
class SparseTable:
    """Log-probabilities of the tokens seen only (compressed rows); every other probability is zero.

    ``starts`` (C + 1,) on the host, ``rows`` and ``columns`` (nnz,) integer arrays, ``log_p`` (nnz,) finite.
    Columns are distinct and increasing within a row.
    """

    starts: np.ndarray
    rows: Array
    columns: Array
    log_p: Array
    vocab: int

    @property
    def shape(self) -> tuple[int, int]:
        """(C, V)."""
        return (len(self.starts) - 1, self.vocab)

    @property
    def values(self) -> Array:
        """The array that fixes library, device and dtype."""
        return self.log_p

    @cached_property
    def p(self) -> Array:
        """Probabilities of the tokens seen (nnz,)."""
        return namespace(self.log_p).exp(self.log_p)

    def on(self, reference: Array) -> SparseTable:
        """The same table in the library, device and dtype of ``reference``."""
        if same_place(self.log_p, reference):
            return self
        rows, columns = like(self.rows, reference), like(self.columns, reference)
        return SparseTable(self.starts, rows, columns, like(self.log_p, reference), self.vocab)

    @cached_property
    def device_starts(self) -> Array:
        """``starts`` (C + 1,) beside the other arrays."""
        return like(self.starts, self.log_p)

    def _slice(self, start: int, stop: int) -> tuple[slice, Array, Array]:
        """Where contexts ``start:stop`` lie among the nonzeros, their rows counted from ``start``, their columns."""
        where = slice(int(self.starts[start]), int(self.starts[stop]))
        return where, self.rows[where] - start, self.columns[where]

    def _row_sums(self, values: Array, start: int, stop: int) -> Array:
        """Sums of ``values`` (one per nonzero of ``start:stop``) over each row."""
        return bin_sums(values, self._slice(start, stop)[1], stop - start)

    def block(self, start: int, stop: int) -> Array:
        """Dense log-probabilities (stop - start, V) of contexts ``start:stop`` (``-inf`` where unseen)."""
        where, rows, columns = self._slice(start, stop)
        shape, place = (stop - start, self.vocab), self.log_p
        dense = namespace(place).full(shape, -np.inf, dtype=place.dtype, device=device(place))
        return put(dense, rows, columns, place[where])

    def inner(self, logits: Array, start: int, stop: int) -> Array:
        """``sum_v p_cv A_cv`` for the contexts ``start:stop``, their finite logits A given; shape (stop - start,)."""
        where, rows, columns = self._slice(start, stop)
        return self._row_sums(self.p[where] * gather(logits, rows, columns), start, stop)

    def residual(self, q: Array, start: int, stop: int) -> Array:
        """``q - p`` on contexts ``start:stop``, written over ``q`` where the library allows."""
        where, rows, columns = self._slice(start, stop)
        return put(q, rows, columns, gather(q, rows, columns) - self.p[where])

    def divergence(self, log_q: Array, start: int, stop: int) -> Array:
        """``KL(p_c || q_c)`` for the contexts ``start:stop`` whose log-probabilities ``log_q`` are given.

        Only the tokens seen are visited: the others hold ``1 - sum_seen q``, and cost just that.
        """
        xp = namespace(log_q)
        where, rows, columns = self._slice(start, stop)
        seen = gather(log_q, rows, columns)
        log_p = xp.astype(self.log_p[where], log_q.dtype, copy=False)
        cost = self._row_sums(logspace.divergence_terms(log_p, seen), start, stop)
        return cost + xp.clip(1.0 - self._row_sums(xp.exp(seen), start, stop), 0.0, None)

    def entropies(self) -> Array:
        """Entropy of each row, nats, shape (C,)."""
        return -self._row_sums(self.p * self.log_p, 0, self.shape[0])

    def support_sizes(self) -> np.ndarray:
        """Number of tokens with positive probability in each context (C,), on the host."""
        return np.diff(self.starts)

    def row_sums(self) -> Array:
        """``sum_v p_cv`` (C,) in float64: one but for rounding."""
        xp = namespace(self.log_p)
        return self._row_sums(xp.astype(self.p, xp.float64, copy=False), 0, self.shape[0])

    def token_mass(self, weights: Array) -> Array:
        """``sum_c weights_c p_cv``, shape (V,)."""
        return bin_sums(namespace(weights).take(weights, self.rows) * self.p, self.columns, self.vocab)

    def to_csr(self, values: Array | None = None) -> Any:
        """Host ``scipy.sparse.csr_array`` (C, V) of ``values`` per nonzero (default: the probabilities)."""
        from scipy.sparse import csr_array

        data = self.p if values is None else values
        return csr_array((to_numpy(data), to_numpy(self.columns), self.starts), shape=self.shape)

    def take(self, contexts: Any = None, tokens: Any = None) -> SparseTable:
        """The rows and columns named by host index arrays; rows are *not* renormalised."""
        places = self.to_csr(np.arange(1, self.log_p.shape[0] + 1))  # where each nonzero stands, from 1: never a zero
        if contexts is not None:
            places = places[np.asarray(contexts, dtype=np.int64), :]
        if tokens is not None:
            places = places[:, np.asarray(tokens, dtype=np.int64)]
        return sparse_table(places, to_numpy(self.log_p)[places.data - 1], self.log_p)


def sparse_table(pattern: Any, log_p: np.ndarray, reference: Array) -> SparseTable:
    """A ``SparseTable`` on the host pattern ``pattern`` (``csr_array``) with one log-probability per nonzero."""
    rows = np.repeat(np.arange(pattern.shape[0], dtype=np.int64), np.diff(pattern.indptr))
    return SparseTable(
        starts=np.asarray(pattern.indptr, dtype=np.int64),
        rows=like(rows, reference),
        columns=like(np.asarray(pattern.indices, dtype=np.int64), reference),
        log_p=like(log_p, reference),
        vocab=int(pattern.shape[1]),
    )


Table = DenseTable | SparseTable
"""Either storage."""
