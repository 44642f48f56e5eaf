"""What a certificate proves, recomputed from the table: one small function for each kind.

A certificate is read with suspicion: its indices, minorants and token sets are checked against the table, and the
value is computed from them again.  Nothing here is shared with the code that finds certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.head import HeadSpec
from theory.recheck import budget, floors
from theory.recheck.conjugate import conjugate
from theory.recheck.infima import prediction, zero_infimum
from theory.recheck.table import Mismatch, Verdict, block_of, index_set

__all__ = ["KINDS", "Mismatch", "Verdict", "floor_from_certificate", "prediction", "zero_infimum"]


def floor_from_certificate(
    certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec
) -> float:
    """The lower bound that the certificate proves; raises ``Mismatch`` when it proves none."""
    kind = certificate.get("kind")
    if kind not in KINDS:
        raise Mismatch(f"certificates of kind {kind!r} prove no lower bound; known are {', '.join(KINDS)}")
    if spec.float_format is not None and kind not in ROUNDED:
        raise Mismatch(f"a certificate of kind {kind!r} speaks of logits that are not rounded")
    return KINDS[kind](certificate, distribution, spec)


def rounded(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    return budget.value_rounded(certificate, distribution, spec, floor_from_certificate)


def high_mass(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    tokens = index_set(certificate.get("tokens"), distribution.vocab, "tokens")
    weights = to_numpy(distribution.weights).astype(np.float64)
    rows = np.exp(block_of(distribution, None, tokens))
    inside = rows.sum(axis=1)
    kept = inside > 0
    mass = float(weights @ inside)
    joint = (weights * inside)[kept] / mass
    restricted = ContextualDistribution.from_probabilities(rows[kept] / inside[kept, None], joint / joint.sum())
    return mass * floor_from_certificate(certificate["inner"]["certificate"], restricted, spec)


Recheck = Callable[[Mapping[str, Any], ContextualDistribution, HeadSpec], float]

KINDS: dict[str, Recheck] = {
    "unigram": floors.unigram,
    "majorization": floors.majorization,
    "probability-floor": floors.probability_floor,
    "quadratic": floors.quadratic,
    "all-subsets": floors.all_subsets,
    "high-mass": high_mass,
    "conjugate-certificate": conjugate,
    "range": budget.value_range,
    "packing": budget.value_packing,
    "precision": budget.value_precision,
    "rounded": rounded,
}
"""Every kind of certificate that proves a lower bound."""

ROUNDED = {"unigram", "all-subsets", "range", "precision", "rounded"}
"""Kinds that hold for heads whose logits are rounded."""
