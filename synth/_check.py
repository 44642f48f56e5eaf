"""Checks of plain parameters: each says what was found, what is needed and what to do about it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np


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


def generator(seed: object) -> np.random.Generator:
    """The NumPy generator of an integer seed >= 0; ``None`` is refused, since nothing could be drawn again."""
    return np.random.default_rng(integer("seed", seed, 0))


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``parameters`` with NumPy scalars as Python numbers, fit to be stored and read back."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in parameters.items()}
