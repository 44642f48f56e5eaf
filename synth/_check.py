"""Checks of plain parameters: each says what was found, what is needed and what to do about it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real


def integer(name: str, value: object, least: int, most: float = math.inf, why: str = "") -> int:
    """``value`` as an ``int`` in ``least..most``; ``why`` explains the upper limit.  ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        limit = f"at least {least}" if most == math.inf else f"from {least} to {most:g}"
        reason = f" ({why})" if why else ""
        raise ValueError(f"{name} must be an integer {limit}{reason}, found {value!r}; choose another {name}")
    return int(value)


def positive(name: str, value: object) -> float:
    """``value`` as a finite ``float`` > 0.  ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} must be a finite number > 0, found {value!r}; choose another {name}")
    return float(value)


def nonnegative(name: str, value: object) -> float:
    """``value`` as a finite ``float`` >= 0.  ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{name} must be a finite number >= 0, found {value!r}; choose another {name}")
    return float(value)


def member(what: str, name: str, options: Iterable[str]) -> str:
    """``name`` if it is one of ``options``; otherwise a ``ValueError`` that names the nearest of them."""
    names = list(options)
    if name in names:
        return name
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.0)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"no {what} is named {name!r}; {hint}choose one of: {', '.join(names)}")
