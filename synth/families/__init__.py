"""Families of contextual distributions, one file each; every member states what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from synth._check import member
from synth.distribution import ContextualDistribution
from synth.families.counts import zipf_counts
from synth.families.lowrank import low_rank
from synth.families.markov import markov
from synth.families.mixture import mixture
from synth.families.ngram import ngram
from synth.families.perturbation import near_unigram
from synth.families.saturating import staircase
from synth.families.sparse import all_k_subsets, one_hot, sparse
from synth.families.topics import topics
from synth.families.zipf import zipf

__all__ = [
    "all_k_subsets",
    "catalogue",
    "low_rank",
    "make",
    "markov",
    "mixture",
    "near_unigram",
    "ngram",
    "one_hot",
    "sparse",
    "staircase",
    "topics",
    "zipf",
    "zipf_counts",
]

catalogue: dict[str, Callable[..., ContextualDistribution]] = {
    "low_rank": low_rank,
    "zipf": zipf,
    "topics": topics,
    "mixture": mixture,
    "sparse": sparse,
    "all_k_subsets": all_k_subsets,
    "one_hot": one_hot,
    "zipf_counts": zipf_counts,
    "markov": markov,
    "near_unigram": near_unigram,
    "staircase": staircase,
}
"""The families that need nothing but keyword parameters, by name (``ngram`` needs a token stream)."""


def make(name: str, **parameters: Any) -> ContextualDistribution:
    """The member of family ``name`` with these parameters; ``make(known.family, **known.parameters)`` regenerates it.

    Raises ``ValueError`` naming the nearest family, or the nearest parameter of the family, when one is unknown.
    """
    family = catalogue[member("family", name, catalogue)]
    for parameter in parameters:
        member(f"parameter of {name}", parameter, signature(family).parameters)
    return family(**parameters)
