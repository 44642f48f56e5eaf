"""A published claim: what it says, where, and a check that recomputes the evidence and judges it.

A check returns a ``Finding``: comparisons of numbers that the statement as written implies, and, where there is one,
those that its correction implies.  The verdict is read off the comparisons; it is stored nowhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

RELATIONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


class Verdict(Enum):
    """How a claim fares when recomputed."""

    HOLDS = "holds"
    CORRECTED = "fails as written, holds when corrected"
    FAILS = "fails as written"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Comparison:
    """``left relation right``: a number found against what the statement asks of it."""

    what: str
    left: float
    relation: str
    right: float

    @property
    def holds(self) -> bool:
        """Whether the relation is true; NaN is in no relation."""
        return bool(RELATIONS[self.relation](self.left, self.right))

    def __str__(self) -> str:
        mark = "yes" if self.holds else "NO"
        return f"{self.what}: {self.left:.4g} {self.relation} {self.right:.4g}  {mark}"


@dataclass(frozen=True)
class Finding:
    """What a check found: comparisons for the statement as written and for its correction, also put in words."""

    as_written: tuple[Comparison, ...]
    corrected: tuple[Comparison, ...] = ()
    correction: str = ""

    @property
    def verdict(self) -> Verdict:
        """Read off the comparisons."""
        if all(one.holds for one in self.as_written):
            return Verdict.HOLDS
        if self.corrected and all(one.holds for one in self.corrected):
            return Verdict.CORRECTED
        return Verdict.FAILS


Check = Callable[[], Finding]


@dataclass(frozen=True)
class PublishedClaim:
    """A claim with its name, source (authors, year, place in the paper), statement in our words, and check."""

    name: str
    source: str
    statement: str
    check: Check

    @property
    def verdict(self) -> Verdict:
        """The verdict, recomputed."""
        return self.check().verdict

    def account(self) -> str:
        """Verdict, statement and numbers as lines of text; runs the check."""
        finding = self.check()
        lines = [f"{self.name}: {finding.verdict}", f"  {self.source}: {self.statement}"]
        lines += [f"    {one}" for one in finding.as_written]
        if finding.correction:
            lines.append(f"  {finding.correction}")
        lines += [f"    {one}" for one in finding.corrected]
        return "\n".join(lines) + "\n"


class Gallery:
    """Every registered claim, in order; iterates, and looks up by name."""

    def __init__(self) -> None:
        self._claims: dict[str, PublishedClaim] = {}

    def register(self, claim: PublishedClaim) -> None:
        """Add a claim; a name can be used once."""
        if claim.name in self._claims:
            raise ValueError(f"a claim named {claim.name!r} is registered already; choose another name")
        self._claims[claim.name] = claim

    def __iter__(self) -> Iterator[PublishedClaim]:
        return iter(self._claims.values())

    def __len__(self) -> int:
        return len(self._claims)

    def __getitem__(self, name: str) -> PublishedClaim:
        if name not in self._claims:
            raise ValueError(f"no published claim is named {name!r}; the gallery holds {', '.join(self._claims)}")
        return self._claims[name]


gallery = Gallery()
"""All claims of ``theory.gallery``."""


def published(name: str, source: str, statement: str) -> Callable[[Check], PublishedClaim]:
    """Decorator: register a check under ``name``."""

    def enter(check: Check) -> PublishedClaim:
        claim = PublishedClaim(name, source, statement, check)
        gallery.register(claim)
        return claim

    return enter
