"""Heads of rank r on frozen features: bounds, and a prediction of the whole curve without training any."""

from theory.frozen import lower, uppers
from theory.frozen.catalogue import FrozenSpec, frozen_catalogue
from theory.frozen.clustered import clustered_tails, clusters
from theory.frozen.heads import Excess, FrozenHead, excess, gap
from theory.frozen.metrics import METRICS, Metric
from theory.frozen.newton import Step, newton_step
from theory.frozen.predict import Effort, FrozenCurve, FrozenPoint, HeldOut, predict_curve, predict_points
from theory.frozen.problem import FrozenProblem, Passes
from theory.frozen.sample import Estimate, cross_validated, optimism
from theory.frozen.uppers import best_truncation

__all__ = [
    "METRICS",
    "Effort",
    "Estimate",
    "Excess",
    "FrozenCurve",
    "FrozenHead",
    "FrozenPoint",
    "FrozenProblem",
    "FrozenSpec",
    "HeldOut",
    "Metric",
    "Passes",
    "Step",
    "best_truncation",
    "clustered_tails",
    "clusters",
    "cross_validated",
    "excess",
    "frozen_catalogue",
    "gap",
    "newton_step",
    "optimism",
    "predict_curve",
    "predict_points",
]
