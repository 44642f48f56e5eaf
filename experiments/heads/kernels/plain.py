"""The kernel that any array library can run, and the interface of the others.

For a chunk of logits A (rows, V), contexts ``start:stop`` of a table P, with ``Q = softmax(A)``:

    cost_c = logsumexp(A_c) - sum_v p_cv A_cv - H(p_c) = KL(p_c || q_c),        R = Q - P

In float64 the cost is computed just so.  In lower precision its terms would cancel, and the separable identity's sum
of non-negative terms takes their place, added up in float64.
"""

from __future__ import annotations

from synth import logspace
from synth._array import Array, namespace
from synth.table import Table


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
        """What ``costs`` and ``residual`` subtract from each context's cross-entropy, (C,): ``H(p_c)``, nats."""
        return table.entropies()

    def costs(self, logits: Array, table: Table, start: int, stop: int, constants: Array) -> Array:
        """``KL(p_c || q_c)`` (rows,) in float64, the ``constants`` (C,) of the whole table given."""
        return self._costs(logspace.log_softmax(logits), table, start, stop, constants)

    def residual(self, logits: Array, table: Table, start: int, stop: int, constants: Array) -> tuple[Array, Array]:
        """``KL(p_c || q_c)`` (rows,) in float64, and ``Q - P`` (rows, V)."""
        log_q = logspace.log_softmax(logits)
        costs = self._costs(log_q, table, start, stop, constants)
        return costs, table.residual(namespace(logits).exp(log_q), start, stop)

    def tangent(self, Q: Array, change: Array) -> Array:
        """``Q (dA - Q . dA)``: the change (rows, V) of Q for a ``change`` dA of the logits, which is overwritten."""
        xp = namespace(Q)
        change -= xp.sum(Q * change, axis=1, keepdims=True)
        change *= Q
        return change

    def _costs(self, log_q: Array, table: Table, start: int, stop: int, constants: Array) -> Array:
        xp = namespace(log_q)
        if log_q.dtype == xp.float64:
            return -table.inner(log_q, start, stop) - constants[start:stop]
        return xp.astype(table.divergence(log_q, start, stop), xp.float64)
