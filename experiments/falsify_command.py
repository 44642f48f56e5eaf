"""``rankfloor falsify``: find the function, hunt, print one sentence, leave one file."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from theory import Side, catalogue
from theory.falsify import Function, Options, Outcome, falsify

INTERRUPTED = 130
"""Exit code of a hunt stopped by hand before anything was found."""


@dataclass(frozen=True)
class FalsifyConfig:
    """A bound to break and how long to try."""

    target: Annotated[str, tyro.conf.Positional]
    """module:function, imported from the current directory, or the name of a bound of the catalogue"""
    side: Literal["lower", "upper"] | None = None
    """which way it claims to hold; default: lower, or the side of the catalogue's bound"""
    seconds: float = 60.0
    """time for the hunt"""
    seed: int = 0
    """of the draws"""
    limits: bool = False
    """try classes of heads with limits too (max_underestimate, logit_range, norm)"""
    formats: bool = False
    """try classes of heads whose logits are rounded (float_format)"""
    problems: str | None = None
    """module:strategy, a Hypothesis strategy of (distribution, spec) pairs to draw from instead"""
    out: Path = Path("runs/counterexample.json")
    """where a counterexample is written"""


def run(config: FalsifyConfig) -> int:
    """Hunt and report; returns 0 when nothing was found, 1 when the claim is broken, 130 when stopped before that.

    Raises ``ValueError`` when the function or the strategy cannot be found or misbehaves.
    """
    function, side = _resolve(config.target, config.side)
    watch = _Line().show if sys.stderr.isatty() else None
    problems = None if config.problems is None else _strategy(config.problems)
    options = Options(config.target, config.limits, config.formats, watch, problems)
    outcome = falsify(function, side, config.seconds, config.seed, options=options)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    print(outcome.sentence)
    if outcome.counterexample is not None:
        print(f"counterexample: {outcome.counterexample.save(config.out)}  ({_effort(outcome)})")
        return 1
    return INTERRUPTED if outcome.interrupted else 0


def _effort(outcome: Outcome) -> str:
    return f"problem {outcome.examples}, {outcome.seconds:.1f} s with shrinking"


def _resolve(target: str, side: str | None) -> tuple[Function, str]:
    """The function named on the command line, and its side."""
    if ":" not in target:
        entry = catalogue[target]
        if entry.side is Side.ASYMPTOTIC:
            raise ValueError(f"{target} is a prediction and claims no side; choose a bound, or module:function")
        return entry, side or ("lower" if entry.side.is_lower else "upper")
    function = _attribute(target, "function")
    if not callable(function):
        raise ValueError(f"{target} is not a function, found {function!r}")
    return function, side or "lower"


def _strategy(target: str) -> Any:
    """The strategy named on the command line."""
    if ":" not in target:
        raise ValueError(f"--problems must be module:strategy, found {target!r}")
    return _attribute(target, "strategy")


def _attribute(target: str, kind: str) -> Any:
    """What ``module:name`` names, the module imported from the current directory."""
    module_name, _, name = target.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as why:  # whatever a user's file may raise, said in one line
        raise ValueError(f"cannot import {module_name} from {os.getcwd()}: {type(why).__name__}: {why}") from why
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        public = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
        raise ValueError(f"{module_name} has no {kind} {name!r}; it has {', '.join(public) or 'none'}")
    return getattr(module, name)


class _Line:
    """One line of progress on a terminal, renewed five times a second."""

    def __init__(self) -> None:
        self.last = 0.0

    def show(self, tried: int, nearest: float, seconds: float) -> None:
        """Problems tried, seconds, and the ratio nearest to breaking."""
        if time.monotonic() - self.last > 0.2:
            self.last = time.monotonic()
            ratio = "nothing claimed yet" if math.isnan(nearest) else f"nearest claim / truth {nearest:.4g}"
            print(f"\r\x1b[K{tried} problems, {seconds:.0f} s, {ratio}", end="", file=sys.stderr, flush=True)
