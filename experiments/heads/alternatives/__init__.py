"""Heads beside softmax in the same arena: mixtures, sigsoftmax, learnt increasing functions of the logits."""

from experiments.heads.alternatives.blocks import ScoreBlocks
from experiments.heads.alternatives.catalogue import alternatives, make_kind
from experiments.heads.alternatives.fit import AlternativeFit, fit_alternative
from experiments.heads.alternatives.kind import Containment, Kind
from experiments.heads.alternatives.objective import AlternativeHead, AlternativeObjective
from experiments.heads.alternatives.parts import Parts

__all__ = [
    "AlternativeFit",
    "AlternativeHead",
    "AlternativeObjective",
    "Containment",
    "Kind",
    "Parts",
    "ScoreBlocks",
    "alternatives",
    "fit_alternative",
    "make_kind",
]
