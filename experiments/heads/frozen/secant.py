"""The first part of a descent on soft targets: the secant steps of ``theory.frozen.newton``, while they win much.

Where a head of this rank comes near the target they reach in a few tens of passes what L-BFGS needs hundreds of
evaluations for; where it does not, L-BFGS soon does as well.  The rows of the target are read where they lie; the
secant weights, a second table of that size, are kept between passes where memory allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from experiments.heads.frozen.objective import FrozenObjective
from experiments.heads.frozen.problem import FrozenProblem
from synth._array import Array, namespace
from theory.frozen import FrozenHead, Passes, newton_step
from theory.frozen.problem import LEAST_ROWS, Block
from theory.head import CHUNK_ENTRIES

LEAST_GAIN = 0.2
"""Share of the gap that a step must win for another to follow: for its price L-BFGS would win less than that."""

PRODUCTS = 4
"""Products of size N x V x r in one pass."""


@dataclass(frozen=True, eq=False)
class TableRows:
    """A positive target and its features as ``theory.frozen.chart.Target``."""

    problem: FrozenProblem

    @property
    def passes(self) -> Passes:
        """In the precision of the target."""
        single = self.problem.distribution.weights.dtype == namespace(self.problem.X).float32
        return Passes("float32" if single else "float64")

    @property
    def rows(self) -> int:
        """Number N of contexts."""
        return int(self.problem.X.shape[0])

    @property
    def keeps(self) -> bool:
        """Whether the secant weights fit into the memory allowed."""
        size = 4 if self.passes.precision == "float32" else 8
        return size * self.rows * self.problem.distribution.vocab <= self.problem.options.memory

    @property
    def bias(self) -> bool:
        """Whether the heads have a bias."""
        return self.problem.bias

    @property
    def full_bias(self) -> Array:
        """Zeros (V,) in float64."""
        return 0.0 * namespace(self.problem.X).astype(self.problem.distribution.marginal, self.problem.X.dtype)

    def blocks(self) -> Iterator[Block]:
        """The rows of the table."""
        distribution, X = self.problem.distribution, self.problem.X
        weights = namespace(X).astype(distribution.weights, X.dtype, copy=False)
        step = max(LEAST_ROWS, CHUNK_ENTRIES // distribution.vocab)
        for start in range(0, self.rows, step):
            stop = min(start + step, self.rows)
            yield Block(start, stop, X[start:stop, :], weights[start:stop], distribution.table.block(start, stop))


def secant_steps(problem: FrozenProblem, objective: FrozenObjective, x: Array) -> Array:
    """Steps from ``x`` (n,) until one wins less than ``LEAST_GAIN`` of the gap or the evaluations are spent."""
    rows, damping = TableRows(problem), 0.0
    head = FrozenHead(*problem.leave(objective.factors(x)))
    while objective.evaluations < problem.options.max_evaluations:
        step = newton_step(rows, head, problem.white, last=damping)
        objective.heads.work += PRODUCTS * step.passes
        head, damping = step.head, step.damping
        if step.before - step.gap < LEAST_GAIN * step.before or step.gap <= problem.options.tolerance:
            break
    return objective.pack(problem.enter(head))
