"""The catalogue of trial kinds.  A kind is a function ``(parameters, seed) -> records`` with typed parameters.

``find_trial`` imports only the file of the kind that is asked for: ``experiments/trials/NAME.py`` for a name, or
``module:function`` from the current directory for a kind of the user's own.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from synth._check import member

Record = Mapping[str, Any]
"""One line of a result: names to numbers, strings, booleans, ``None``, or lists of these."""

TrialFunction = Callable[[Any, int], Iterable[Record]]


@dataclass(frozen=True)
class TrialKind:
    """A named trial: the frozen dataclass of its parameters, and the function that yields its records.

    The records must be determined by the parameters and the seed; what is measured about the run (seconds, memory) is
    kept beside them by the sweep.
    """

    name: str
    parameters: type
    function: TrialFunction

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]

    def __call__(self, parameters: Any, seed: int) -> list[Record]:
        """All records of one trial."""
        return list(self.function(parameters, seed))


def trial(name: str) -> Callable[[TrialFunction], TrialKind]:
    """Decorator: make a function ``(parameters: SomeFrozenDataclass, seed: int)`` the trial kind ``name``."""

    def register(function: TrialFunction) -> TrialKind:
        hints = list(get_type_hints(function).values())
        if not hints or not dataclasses.is_dataclass(hints[0]):
            raise ValueError(f"trial {name!r}: annotate the first argument with the dataclass of its parameters")
        return TrialKind(name, hints[0], function)  # type: ignore[arg-type]

    return register


def trial_names() -> list[str]:
    """Names of the kinds that come with the package, from the listing of its files."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(file.name.replace("_", "-") for file in files if file.name != "registry")


def find_trial(name: str) -> TrialKind:
    """The kind of that name, or the one at ``module:function``.  ``ValueError`` when there is none."""
    if ":" in name:
        module, _, function = name.partition(":")
        found = getattr(_import_here(module), function, None)
    else:
        module = f"experiments.trials.{member('trial kind', name, trial_names()).replace('-', '_')}"
        kinds = [value for value in vars(importlib.import_module(module)).values() if isinstance(value, TrialKind)]
        found = next((kind for kind in kinds if kind.name == name), None)
    if not isinstance(found, TrialKind):
        raise ValueError(f"{name} is no trial kind; decorate the function with @trial('a name')")
    return found


def _import_here(module: str) -> Any:
    """A module of the user's, found from the current directory too."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except Exception as why:  # whatever a user's file may raise, said in one line
        raise ValueError(f"cannot import {module} from {here}: {type(why).__name__}: {why}") from why
    finally:
        sys.path.remove(here)
