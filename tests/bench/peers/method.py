"""What a method is: a name, the package it needs, and the variants among which the best is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.problems import Problem
from tests.bench.recorder import Recorder

Run = Callable[[Recorder], None]
"""Starts from ``recorder.begin()``, evaluates through the recorder, and returns or is stopped by it."""

KINDS = ("head", "frozen", "full")


@dataclass(frozen=True)
class Method:
    """``package`` is the module it imports, ``variants(problem)`` are the settings tried, by name.

    ``patience``: evaluations without progress that end a run.  ``kinds``: of problems that it solves.  ``capped``:
    whether the recorder must end it.
    """

    name: str
    package: str
    variants: Callable[[Problem], dict[str, Run]]
    patience: float = 150.0
    kinds: tuple[str, ...] = KINDS
    capped: bool = True
