"""Softmax heads fitted to their loss floor: objective, metrics, solver, certificate, ladder."""

from experiments.heads.fit import Fit, FitStatus
from experiments.heads.ladder import FitStore, ladder
from experiments.heads.objective import Objective
from experiments.heads.solver import Options, fit

__all__ = ["Fit", "FitStatus", "FitStore", "Objective", "Options", "fit", "ladder"]
