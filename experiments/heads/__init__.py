"""Softmax heads fitted to their loss floor: objective, metrics, solver, certificate, ladder."""

from experiments.heads.blocks import ContextBlocks, ExactBlocks
from experiments.heads.certified import certified
from experiments.heads.curve import FitStore, climb, come_down, ladder
from experiments.heads.descent import Options
from experiments.heads.fitted import Fit, FitStatus
from experiments.heads.limited import fit_limited
from experiments.heads.objective import Objective
from experiments.heads.solver import fit

__all__ = [
    "ContextBlocks",
    "ExactBlocks",
    "Fit",
    "FitStatus",
    "FitStore",
    "Objective",
    "Options",
    "certified",
    "climb",
    "come_down",
    "fit",
    "fit_limited",
    "ladder",
]
