"""Heads of rank r on frozen features, the full-rank convex fit above them, and the curve between."""

from experiments.heads.frozen.fitted import FrozenFit
from experiments.heads.frozen.solver import fit_frozen, fit_full, frozen_curve
from experiments.heads.frozen.target import Labels

__all__ = ["FrozenFit", "Labels", "fit_frozen", "fit_full", "frozen_curve"]
