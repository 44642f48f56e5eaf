"""What a fit is: a head with its loss, how it ended, and how far from a minimum it may be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from theory import Head, HeadSpec


class FitStatus(Enum):
    """How a fit ended; each member explains itself."""

    CONVERGED = "converged: the excess over the nearest minimum is certified to be within the tolerance"
    UNATTAINED = (
        "infimum not attained: some probabilities are zero and the logits grow without end while the loss falls"
    )
    LIMIT = "stopped at the limit on evaluations before the tolerance was certified"
    STALLED = "stalled: no decrease could be resolved in this precision before the tolerance was certified"

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Fit:
    """A head fitted to its floor; ``gap`` and ``loss`` are nats per token, evaluated in float64.

    ``gap`` is always a valid upper bound on the floor g(d).  ``certified_excess`` bounds, to leading order, the
    distance to the *nearest* minimum (``nan`` where no certificate was reached); because a floor is never negative it
    is at most ``gap``.  ``decrement`` is the stopping quantity of the last descent, ``trend`` the fall of the gap over
    the last tenth of the evaluations.  ``spread`` is the difference between the worst and the best of those of the
    ``starts`` starting points that were followed to the end; ``start`` and ``metric`` say which starting point won and
    which metric served it.
    """

    spec: HeadSpec
    head: Head
    gap: float
    loss: float
    status: FitStatus
    certified_excess: float
    decrement: float
    evaluations: float
    seconds: float
    trend: float
    start: str
    metric: str
    starts: int = 1
    spread: float = 0.0

    @property
    def dim(self) -> int:
        """Dimension d of the head."""
        return self.spec.dim
