"""Hunting for counterexamples to a claimed bound: draw, climb, shrink, and leave a file that anyone can re-check."""

from theory.falsify.claim import Conjecture, Function, conjecture
from theory.falsify.hunt import Options, Outcome, falsify
from theory.falsify.report import Counterexample, load_counterexample

__all__ = [
    "Conjecture",
    "Counterexample",
    "Function",
    "Options",
    "Outcome",
    "conjecture",
    "falsify",
    "load_counterexample",
]
