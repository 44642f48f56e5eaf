"""The catalogue of frozen-feature bounds: functions of ``(problem, spec)`` with a name, a side and evidence.

They share ``Bound``, ``Claim``, ``Side`` and ``Status`` with ``theory.catalogue``; witnesses are heads on the features,
of hidden states ``X B'``.  ``theory.recheck.frozen.verify_frozen`` re-checks each of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from synth import logspace
from theory.bound import Bound, Claim, NotApplicable, Side, Status
from theory.frozen.problem import FrozenProblem


@dataclass(frozen=True)
class FrozenSpec:
    """The class of heads: rank at most ``rank``, and optionally a limit that lower sides need.

    ``curvature = c`` keeps heads with ``sum_n pi_n KL(p_n || q_n) >= c sum_n pi_n sum_v p_nv (log q_nv - log p_nv)^2``.
    A head with ``q >= e^-M p`` entrywise has ``c >= (e^-M - 1 + M) / M^2``; small errors have ``c`` near 1/2.
    """

    rank: int
    curvature: float | None = None

    def __post_init__(self) -> None:
        if self.curvature is not None and not 0 < self.curvature < math.inf:
            raise ValueError(f"curvature must be a number > 0 or None (no limit), found {self.curvature!r}")

    @classmethod
    def underestimating(cls, rank: int, limit: float) -> FrozenSpec:
        """The class that holds every head with ``q >= e^-limit p`` entrywise: ``c = (e^-M - 1 + M) / M^2``."""
        if not 0 < limit < math.inf:
            raise ValueError(f"the limit on log p - log q must be a number > 0, found {limit!r}")
        return cls(rank, float(logspace.rho(np.array(-limit))) / limit**2)


FrozenFunction = Callable[[FrozenProblem, FrozenSpec], Claim]


@dataclass(frozen=True)
class FrozenEntry:
    """One line: a named bound, callable on ``(problem, spec)``."""

    name: str
    side: Side
    function: FrozenFunction

    def __call__(self, problem: FrozenProblem, spec: FrozenSpec) -> Bound:
        """The bound; an inapplicable statement is a status, not an exception.

        An upper side survives a limit only if its witness respects it; none of these witnesses is checked for that,
        so upper sides speak of heads without limits.
        """
        problem.check_rank(spec.rank)
        try:
            claim = self.function(problem, spec)
        except NotApplicable as why:
            empty = 0.0 if self.side is Side.LOWER else math.inf
            return Bound(empty, self.name, self.side, Status.NOT_APPLICABLE, reason=str(why))
        status = claim.status
        if self.side is Side.LOWER and claim.value <= 0 and status is Status.PROVED:
            status = Status.VACUOUS
        side = claim.side or self.side
        return Bound(claim.value, self.name, side, status, claim.witness, claim.certificate, claim.reason)


class FrozenCatalogue:
    """All frozen-feature bounds by name, in order of registration."""

    def __init__(self) -> None:
        self._entries: dict[str, FrozenEntry] = {}

    def register(self, name: str, side: Side) -> Callable[[FrozenFunction], FrozenEntry]:
        """Decorator: enter a bound under a name that is not taken."""
        if name in self._entries:
            raise ValueError(f"a frozen-feature bound named {name!r} is registered already; choose another name")

        def enter(function: FrozenFunction) -> FrozenEntry:
            self._entries[name] = FrozenEntry(name, side, function)
            return self._entries[name]

        return enter

    def __iter__(self) -> Iterator[FrozenEntry]:
        return iter(self._entries.values())

    def __getitem__(self, name: str) -> FrozenEntry:
        if name not in self._entries:
            raise ValueError(f"no frozen-feature bound is named {name!r}; there are {', '.join(self._entries)}")
        return self._entries[name]


frozen_catalogue = FrozenCatalogue()
"""Every frozen-feature bound of ``theory.frozen.uppers`` and ``theory.frozen.lower``."""
