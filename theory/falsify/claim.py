"""What is put to the test: a function of a distribution and a class of heads, and the side on which it claims to hold.

The function may return a number, a ``Bound`` or a ``Claim``.  It says nothing where it raises ``NotApplicable`` or
returns ``None``, where a claimed lower bound is at most 0, and where a claimed upper bound is +inf.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synth import ContextualDistribution
from theory.bound import Bound, Claim, Entry, NotApplicable, Side
from theory.head import HeadSpec

Function = Callable[[ContextualDistribution, HeadSpec], Any]


@dataclass(frozen=True)
class Conjecture:
    """A claimed bound: ``function(distribution, spec)`` in nats per token, its side (lower or upper) and its name."""

    function: Function
    side: Side
    name: str

    def value(self, distribution: ContextualDistribution, spec: HeadSpec) -> float | None:
        """The value claimed, ``None`` where nothing is.

        Raises ``ValueError``, naming the instance, when the function raises anything but ``NotApplicable`` or returns
        what is not a number.
        """
        where = f"on a table of {distribution.contexts} x {distribution.vocab} with {spec}"
        try:
            answer = self.function(distribution, spec)
        except NotApplicable:
            return None
        except Exception as why:
            raise ValueError(
                f"{self.name} raised {type(why).__name__} ({why}) {where}; "
                "raise theory.NotApplicable, or return None, where the statement does not hold"
            ) from why
        if answer is None or (isinstance(answer, Bound) and not _speaks(answer, self.side)):
            return None
        try:
            value = float(answer.value if isinstance(answer, (Bound, Claim)) else answer)
        except (TypeError, ValueError) as why:
            raise ValueError(f"{self.name} returned {answer!r} {where}; return nats per token, or None") from why
        if math.isnan(value):
            raise ValueError(f"{self.name} returned NaN {where}; return None where the statement does not hold")
        silent = value <= 0 if self.side is Side.LOWER else value == math.inf
        return None if silent else value


def conjecture(function: Function, side: str | Side, name: str | None = None) -> Conjecture:
    """``function`` as a conjecture; raises ``ValueError`` when it cannot be called or the side is neither of both."""
    if not callable(function):
        raise ValueError(f"a function (distribution, spec) -> value is needed, found {function!r}")
    if side not in (Side.LOWER, Side.UPPER, "lower", "upper"):
        raise ValueError(f"side must be 'lower' or 'upper', found {side!r}")
    default = function.name if isinstance(function, Entry) else getattr(function, "__qualname__", repr(function))
    return Conjecture(function, Side(side), name or default)


def _speaks(bound: Bound, side: Side) -> bool:
    """Whether a bound claims anything on the side in question."""
    return bound.applies and (bound.side.is_lower if side is Side.LOWER else bound.side.is_upper)
