"""A bound: a value in nats per token, a side, a status that explains itself, and what others need to re-check it.

A bound function takes ``(distribution, spec)`` and returns a ``Claim``.  The decorators ``lower``, ``upper``, ``exact``
and ``asymptotic`` enter it in the ``catalogue`` under its name; whatever stands there is picked up by ``sandwich``,
the conformance tests, the tables and the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from synth import ContextualDistribution
from synth._array import namespace
from theory.head import Head, HeadSpec
from theory.remember import remembered


class Side(Enum):
    """Which way a bound holds."""

    LOWER = "lower"
    UPPER = "upper"
    EXACT = "exact"
    ASYMPTOTIC = "asymptotic"

    @property
    def is_lower(self) -> bool:
        """Whether the floor is at least the value."""
        return self in (Side.LOWER, Side.EXACT)

    @property
    def is_upper(self) -> bool:
        """Whether the floor is at most the value."""
        return self in (Side.UPPER, Side.EXACT)


class Status(Enum):
    """How far a bound can be relied upon; each member says so in words."""

    PROVED = "proved: the statement holds for this distribution and this class of heads"
    VACUOUS = "vacuous: true, but no better than 0 (lower) or +inf (upper)"
    NOT_APPLICABLE = "not applicable: an assumption of the statement does not hold here"
    PREDICTED = "predicted: an asymptotic value, not a bound"

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Claim:
    """What a bound function returns: the value and its evidence, before the catalogue stamps name and side on it.

    ``side`` and ``status`` are given only where they differ from those of the catalogue line (a statement that is
    exact at d = 0 and an upper bound above, say).
    """

    value: float
    witness: Head | None = None
    certificate: Mapping[str, Any] = field(default_factory=dict)
    side: Side | None = None
    status: Status = Status.PROVED
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Bound:
    """A value in nats per token above the entropy, with its name, side, status, reason and evidence.

    ``witness`` is a head of the class whose re-evaluated gap is the value, or at most the value when
    ``certificate["dominates"]`` is true.  ``certificate`` holds plain arrays and numbers under a ``"kind"`` that
    ``theory.verify`` re-checks without the code that made it.
    """

    value: float
    name: str
    side: Side
    status: Status = Status.PROVED
    witness: Head | None = None
    certificate: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def applies(self) -> bool:
        """Whether the value binds the floor of the class (proved, perhaps vacuously)."""
        return self.status in (Status.PROVED, Status.VACUOUS)


class NotApplicable(Exception):
    """Raised inside a bound function whose assumption fails; becomes a ``Bound`` with that status and reason."""


def require_positive(distribution: ContextualDistribution, purpose: str) -> None:
    """Raise ``NotApplicable``, remedy included, unless every probability is positive."""
    try:
        distribution.require_positive(purpose)
    except ValueError as why:
        raise NotApplicable(str(why)) from why


def in_double(distribution: ContextualDistribution) -> ContextualDistribution:
    """The same table in float64, where it lives: every bound and every check is evaluated there."""
    weights = distribution.weights
    return distribution if weights.dtype == namespace(weights).float64 else _converted(distribution)


@remembered
def _converted(distribution: ContextualDistribution) -> ContextualDistribution:
    """One copy in float64 for all bounds, which remember what they find on it."""
    weights = distribution.weights
    xp = namespace(weights)
    return distribution.on(xp.astype(weights, xp.float64))


BoundFunction = Callable[[ContextualDistribution, HeadSpec], Claim]


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue: a named bound, callable on ``(distribution, spec)``.

    ``rounded`` says that the statement holds for heads whose logits are rounded too; where it does not, and the class
    has a float format, the bound does not apply.
    """

    name: str
    side: Side
    function: BoundFunction
    rounded: bool = False

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]

    def __call__(self, distribution: ContextualDistribution, spec: HeadSpec) -> Bound:
        """The bound on ``distribution`` for ``spec``; an inapplicable statement is a status, not an exception."""
        spec.check_against(distribution)
        distribution = in_double(distribution)
        try:
            if spec.float_format is not None and not self.rounded:
                raise NotApplicable("speaks of logits that are not rounded; drop float_format from the HeadSpec")
            claim = self.function(distribution, spec)
        except NotApplicable as why:
            value = 0.0 if self.side is Side.LOWER else math.inf
            return Bound(value, self.name, self.side, Status.NOT_APPLICABLE, reason=str(why))
        bound = Bound(
            claim.value,
            self.name,
            claim.side or self.side,
            claim.status,
            claim.witness,
            claim.certificate,
            claim.reason,
        )
        return _mark_vacuous(_within_limits(bound, distribution, spec))


def _within_limits(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> Bound:
    """An upper side survives limits only if its witness respects them; an exact value stays a lower bound.

    The floor of a smaller class is no lower, so an exact value whose witness lies in the class stays exact.
    """
    if spec.is_unbounded or not bound.side.is_upper:
        return bound
    if bound.witness is not None and bound.witness.belongs_to(spec, distribution):
        return bound
    if bound.side is Side.EXACT:
        return replace(bound, side=Side.LOWER, witness=None, reason="exact without limits, so a lower bound with them")
    return replace(bound, value=math.inf, status=Status.NOT_APPLICABLE, reason="its witness leaves the limited class")


def _mark_vacuous(bound: Bound) -> Bound:
    empty = (bound.side is Side.LOWER and bound.value <= 0) or (bound.side is Side.UPPER and bound.value == math.inf)
    return replace(bound, status=Status.VACUOUS) if empty and bound.status is Status.PROVED else bound


class Catalogue:
    """Every registered bound, in order of registration; iterates over ``Entry`` and looks up by name."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def register(self, entry: Entry) -> None:
        """Add an entry; a name can be used once."""
        if entry.name in self._entries:
            raise ValueError(f"a bound named {entry.name!r} is registered already; choose another name")
        self._entries[entry.name] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise ValueError(f"no bound is named {name!r}; the catalogue holds {', '.join(self._entries)}")
        return self._entries[name]


catalogue = Catalogue()
"""All bounds of ``theory.bounds``, and any that a user registers."""


def lower(name: str, rounded: bool = False) -> Callable[[BoundFunction], Entry]:
    """Decorator: register a lower bound on the floor under ``name``; ``rounded`` as in ``Entry``."""
    return _register(name, Side.LOWER, rounded)


def upper(name: str, rounded: bool = False) -> Callable[[BoundFunction], Entry]:
    """Decorator: register an upper bound on the floor under ``name``; ``rounded`` as in ``Entry``."""
    return _register(name, Side.UPPER, rounded)


def exact(name: str, rounded: bool = False) -> Callable[[BoundFunction], Entry]:
    """Decorator: register an exact value of the floor under ``name``; ``rounded`` as in ``Entry``."""
    return _register(name, Side.EXACT, rounded)


def asymptotic(name: str) -> Callable[[BoundFunction], Entry]:
    """Decorator: register a prediction that becomes exact in a limit, and binds nothing, under ``name``."""
    return _register(name, Side.ASYMPTOTIC)


def _register(name: str, side: Side, rounded: bool = False) -> Callable[[BoundFunction], Entry]:
    def enter(function: BoundFunction) -> Entry:
        entry = Entry(name, side, function, rounded)
        catalogue.register(entry)
        return entry

    return enter
