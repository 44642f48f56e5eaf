"""What a fit is: a head with its loss, how it ended, and how far from a minimum it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from theory import Bound, Head, HeadSpec
from theory.sandwich import OPTIMAL


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """How a fit of any kind of head ended; ``gap`` and ``loss`` are nats per token, evaluated in float64.

    ``gap`` is always a valid upper bound on the floor.  ``certified_excess`` bounds, to leading order, the distance of
    what was minimised to the *nearest* minimum (``nan`` where no certificate was reached); because a floor is never
    negative it is at most ``gap``.  ``decrement`` is the stopping quantity of the last descent, ``trend`` the fall of
    the gap over the last tenth of the evaluations.  ``spread`` is the difference between the worst and the best of
    those of the ``starts`` starting points that were followed to the end; ``start`` and ``metric`` say which starting
    point won and which metric served it.
    """

    gap: float
    loss: float
    status: FitStatus
    certified_excess: float = math.nan
    decrement: float = math.nan
    evaluations: float = 0.0
    seconds: float = 0.0
    trend: float = 0.0
    start: str
    metric: str = "none"
    starts: int = 1
    spread: float = 0.0

    @property
    def outcome(self) -> dict[str, Any]:
        """These fields by name, for a fit of another kind that ends like this one."""
        return {field.name: getattr(self, field.name) for field in fields(Outcome)}


@dataclass(frozen=True, eq=False)
class Fit(Outcome):
    """A head fitted to the floor g(d) of its class.

    ``lower`` is a proved lower bound on the floor of the class, where one was sought (``experiments.heads.certified``),
    and ``in_class`` says whether the head respects the limits of ``spec``: fitting does not impose them.
    """

    spec: HeadSpec
    head: Head
    lower: Bound | None = None
    in_class: bool = True

    @property
    def dim(self) -> int:
        """Dimension d of the head."""
        return self.spec.dim

    @property
    def globally_optimal(self) -> bool:
        """Whether the head is in its class and proved to be within ``OPTIMAL`` of the floor, relatively."""
        return self.lower is not None and self.in_class and self.gap <= (1 + OPTIMAL) * self.lower.value

    def __str__(self) -> str:
        proved = "" if self.lower is None else f"; no head of the class is below {self.lower.value:.6g}"
        verdict = "; globally optimal in its class" if self.globally_optimal else ""
        return f"gap {self.gap:.6g} at d = {self.dim} ({self.status}){proved}{verdict}"
