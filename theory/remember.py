"""Results kept beside the distribution they were computed from, so that a ladder of dimensions decomposes once.

A distribution never changes and is compared by identity, so what a function finds on it can be kept for as long as it
lives.  Kept are results that do not depend on the dimension asked for: factorisations, spectra, restrictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from synth import ContextualDistribution
from synth._array import is_array, to_numpy

ROOM = 2**24
"""Array entries that one function may keep for one distribution (128 MiB in float64); beyond, it computes anew."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Function = Callable[Concatenate[ContextualDistribution, Arguments], Result]


def remembered(function: Function[Arguments, Result]) -> Function[Arguments, Result]:
    """Decorator: the second call with the same distribution (the object) and equal arguments returns the first result.

    The other arguments are hashable or host index arrays.  Results are shared between callers, who never write into
    them, and must not refer to the distribution, which they would keep alive.  Exceptions are not kept.
    """
    memory: WeakKeyDictionary[ContextualDistribution, dict[Hashable, Result]] = WeakKeyDictionary()

    @wraps(function)
    def call(distribution: ContextualDistribution, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        shelf = memory.setdefault(distribution, {})
        key = (*map(_key, args), *((name, _key(kwargs[name])) for name in sorted(kwargs)))
        if key in shelf:
            return shelf[key]
        result = function(distribution, *args, **kwargs)
        if sum(map(_entries, shelf.values())) + _entries(result) <= ROOM:
            shelf[key] = result
        return result

    return call


def _key(argument: Any) -> Hashable:
    """The argument itself, or for an index array all that tells it from others."""
    if is_array(argument):
        host = to_numpy(argument)
        return host.dtype.str, host.shape, host.tobytes()
    return argument


def _entries(value: Any) -> int:
    """Array entries held by a result: an array, a tuple or a dataclass of them."""
    if is_array(value):
        return math.prod(value.shape)
    if isinstance(value, tuple):
        return sum(map(_entries, value))
    if is_dataclass(value):
        return sum(_entries(getattr(value, part.name)) for part in fields(value))
    return 0
