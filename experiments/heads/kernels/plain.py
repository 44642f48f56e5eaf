"""The kernel that any array library can run, and the interface of the others.

For a chunk of logits A (rows, V), contexts ``start:stop`` of a table P, with ``Q = softmax(A)``:

    cost_c = sum_v p_cv (logsumexp(A_c) - A_cv) - h_c = KL(p_c || q_c),        h_c = sum_v p_cv (1 - log p_cv) - 1
    R = Q - P

``h_c`` is the entropy of p_c, less what rows rounded to float32 lack of summing to one.  Costs are computed in float64
whatever the precision of the logits: in less, their terms would cancel.
"""

from __future__ import annotations

from synth import logspace
from synth._array import Array, bin_sums, namespace
from synth.table import BLOCK_ENTRIES, DenseTable, Table


class Kernel:
    """Chunks of logits in array-API terms.  Logits handed in are spent: they may be overwritten."""

    name = "array API"

    def rows(self, vocab: int, entries: int) -> int:
        """Contexts to take at once, ``entries`` logits at most."""
        return max(1, entries // vocab)

    def product(self, left: Array, right: Array, room: Array | None) -> Array:
        """``left @ right``, in ``room`` (an earlier product of as many rows or more) where the library allows."""
        return left @ right

    def softmax(self, logits: Array) -> Array:
        """``Q`` (rows, V)."""
        xp = namespace(logits)
        return xp.exp(logspace.log_softmax(logits))

    def constants(self, table: Table) -> Array:
        """``h_c`` (C,) in float64, which ``costs`` and ``residual`` want to be given; some kernels add columns."""
        if not isinstance(table, DenseTable):
            return bin_sums(_information(table.p), table.rows, table.shape[0]) - 1
        xp, parts, step = namespace(table.values), [], max(1, BLOCK_ENTRIES // table.shape[1])
        for start in range(0, table.shape[0], step):
            rows = slice(start, min(start + step, table.shape[0]))
            parts.append(xp.sum(_information(table.p[rows, :]), axis=1) - 1)
        return xp.concat(parts)

    def costs(self, logits: Array, table: Table, start: int, stop: int, constants: Array) -> Array:
        """``KL(p_c || q_c)`` (rows,) in float64, the ``constants`` (C,) of the whole table given."""
        return -table.inner(self._log_q(logits), start, stop) - constants[start:stop]

    def residual(self, logits: Array, table: Table, start: int, stop: int, constants: Array) -> tuple[Array, Array]:
        """``KL(p_c || q_c)`` (rows,) in float64, and ``Q - P`` (rows, V) in the precision of the logits."""
        xp, log_q = namespace(logits), self._log_q(logits)
        costs = -table.inner(log_q, start, stop) - constants[start:stop]
        return costs, xp.astype(table.residual(xp.exp(log_q), start, stop), logits.dtype, copy=False)

    def variance(self, Q: Array, table: Table, start: int, stop: int) -> Array:
        """``(q (1 - q) + p (1 - p)) / 2`` of the contexts ``start:stop``, written over their laws ``Q`` (rows, V)."""
        p = namespace(Q).exp(table.block(start, stop))
        Q *= 1 - Q
        Q += p * (1 - p)
        Q /= 2
        return Q

    def tangent(self, Q: Array, change: Array) -> Array:
        """``Q (dA - Q . dA)``: the change (rows, V) of Q for a ``change`` dA of the logits, which is overwritten."""
        xp = namespace(Q)
        change -= xp.sum(Q * change, axis=1, keepdims=True)
        change *= Q
        return change

    def _log_q(self, logits: Array) -> Array:
        """``log Q`` (rows, V) in float64."""
        xp = namespace(logits)
        return logspace.log_softmax(xp.astype(logits, xp.float64, copy=False))


def _information(p: Array) -> Array:
    """``p (1 - log p)`` in float64, 0 where p = 0."""
    xp = namespace(p)
    p = xp.astype(p, xp.float64, copy=False)
    return p * (1 - xp.log(xp.where(p > 0, p, xp.ones_like(p))))
