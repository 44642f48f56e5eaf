"""Worlds whose rank we control: contextual distributions, the families that make them, the moves that change them."""

from synth import families, moves, spectra
from synth.distribution import ContextualDistribution
from synth.known import Known

__all__ = ["ContextualDistribution", "Known", "families", "moves", "spectra"]
