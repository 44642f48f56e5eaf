"""What a certificate shows of upper sides: infima that are zero by the shape of the table, and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synth import ContextualDistribution
from theory.bound import Bound
from theory.head import HeadSpec
from theory.recheck.table import Mismatch, positive_table, rows_of


def zero_infimum(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """0 where the shape or the supports of the table make it the floor of unbounded heads."""
    kind = bound.certificate.get("kind")
    if bound.value != 0 or not spec.is_unbounded:
        raise Mismatch("an upper bound without witness must be the value 0 for unbounded heads")
    if kind == "full-dimension" and spec.dim >= min(distribution.vocab - 1, distribution.contexts - int(spec.bias)):
        return 0.0
    if kind == "support":
        largest = max(int(np.isfinite(row).sum()) for row in rows_of(distribution))
        if largest == bound.certificate.get("max_support") and spec.rank >= 2 * largest:
            return 0.0
        raise Mismatch(f"the largest support has {largest} tokens; 0 is the floor from rank {2 * largest} on")
    if kind == "nested":
        _check_nested(bound.certificate, distribution, spec)
        return 0.0
    raise Mismatch(f"nothing shows that the floor is 0 at d = {spec.dim} (certificate of kind {kind!r})")


def _check_nested(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> None:
    """Every support must be a level set of the token levels, every row the same law up to a constant on it."""
    levels = np.asarray(certificate.get("levels"))
    if levels.shape != (distribution.vocab,) or levels.dtype.kind not in "iu":
        raise Mismatch("the certificate gives no integer level to each token")
    base = max(rows_of(distribution), key=lambda row: np.count_nonzero(np.isfinite(row)))
    seen = np.isfinite(base)
    tolerance = 1e-12 * max(1.0, float(np.abs(base[seen]).max()))
    steps = set()
    for c, row in enumerate(rows_of(distribution)):
        inside = np.isfinite(row)
        steps.add(int(levels[inside].max()))
        if not np.array_equal(inside, levels <= max(levels[inside])) or np.any(inside & ~seen):
            raise Mismatch(f"the support of context {c} is not the set of tokens up to one level")
        if np.ptp(row[inside] - base[inside]) > tolerance:
            raise Mismatch(f"the law of context {c} is not the base law conditioned on its support")
    free = spec.bias or len(steps) == 1 or np.ptp(base[seen]) <= tolerance
    if spec.dim < (1 if free else 2):
        raise Mismatch(f"nested supports of this base law show nothing at d = {spec.dim}")


def prediction(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """Half the tail energy around the geometric mean of the rows, from the eigenvalues of the token covariance."""
    if bound.certificate.get("kind") != "near-unigram" or not spec.bias:
        raise Mismatch("only 'near-unigram' with a bias is a known prediction")
    L, weights = positive_table(distribution)
    mean = weights @ L
    base = np.exp(mean - mean.max())
    base /= base.sum()
    M = L - mean
    M = (M - (M @ base)[:, None]) * np.sqrt(base)
    energies = np.linalg.eigvalsh(M.T @ (weights[:, None] * M))[::-1]
    return max(0.0, float(energies[spec.dim :].sum()) / 2)
