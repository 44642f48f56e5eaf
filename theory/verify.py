"""An independent re-check of any bound: its witness is evaluated anew, its certificate recomputed from the table.

Nothing here imports a file of ``theory.bounds`` or a helper of theirs.  Everything runs on the host in float64, and
divergences are taken by the textbook route ``sum p (log p - log q)``, not by the one that ``Head.gap`` uses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import logsumexp

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.bound import Bound, Side, Status
from theory.head import Head, HeadSpec
from theory.recheck import Mismatch, Verdict, floor_from_certificate, prediction, zero_infimum
from theory.recheck.rounding import nearest

__all__ = ["Verdict", "verify"]

WITNESS = 1e-10
"""Absolute agreement (relative above 1) asked of a witness's gap, nats."""

ROWS = 2**18
"""Logits formed at once."""


def verify(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> Verdict:
    """Re-check ``bound`` on ``distribution`` for the class ``spec`` from its witness and certificate alone.

    An upper side needs a witness of the class whose gap is the value (at most the value where the certificate says
    ``dominates``), or one of the infima that are zero by the shape of the table.  A lower side needs a certificate
    that yields the value.  A bound that does not apply must claim nothing.
    """
    if math.isnan(bound.value):
        return Verdict(False, "the value is not a number")
    if bound.status is Status.NOT_APPLICABLE:
        empty = bound.value == (0.0 if bound.side is Side.LOWER else math.inf)
        return Verdict(empty, "claims nothing" if empty else "a value is claimed by a bound that does not apply")
    try:
        if bound.side is Side.ASYMPTOTIC:
            return _agree(prediction(bound, distribution, spec), bound.value, 1e-9, "prediction")
        found = None
        if bound.side.is_upper:
            found = _check_upper(bound, distribution, spec)
        if bound.side.is_lower and bound.value > 0:
            found = floor_from_certificate(bound.certificate, distribution, spec)
            return _agree(found, bound.value, 1e-9, "certificate")
        return Verdict(True, "verified", found)
    except Mismatch as why:
        return Verdict(False, str(why))


def _agree(found: float, value: float, relative: float, what: str) -> Verdict:
    """Agreement up to ``relative`` and the rounding of sums near zero."""
    ok = abs(found - value) <= relative * abs(value) + 1e-12
    return Verdict(ok, "verified" if ok else f"the {what} gives {found:.12g}, the bound claims {value:.12g}", found)


def _check_upper(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The gap of the witness (0 for an infimum); raises ``Mismatch`` when it does not support the value."""
    if bound.witness is None:
        if bound.value == math.inf:
            return math.inf
        return zero_infimum(bound, distribution, spec)
    head = bound.witness
    _check_class(head, distribution, spec)
    gap, underestimate, spread = _evaluate(head, distribution)
    if spec.max_underestimate is not None and underestimate > spec.max_underestimate * (1 + 1e-12) + 1e-12:
        raise Mismatch(f"the witness underestimates by {underestimate:.6g}, the class allows {spec.max_underestimate}")
    if spec.logit_range is not None and spread > spec.logit_range * (1 + 1e-12) + 1e-12:
        raise Mismatch(f"the witness has logits of range {spread:.6g}, the class allows {spec.logit_range}")
    _check_norm(head, spec)
    slack = WITNESS * max(1.0, abs(bound.value))
    if gap > bound.value + slack:
        raise Mismatch(f"the witness has gap {gap:.12g}, above the value {bound.value:.12g}")
    if gap < bound.value - slack and not bound.certificate.get("dominates", False):
        raise Mismatch(f"the witness has gap {gap:.12g}, not the value {bound.value:.12g}")
    return gap


def _check_class(head: Head, distribution: ContextualDistribution, spec: HeadSpec) -> None:
    """Shapes, dimension and bias."""
    H, W = tuple(head.H.shape), tuple(head.W.shape)
    if len(H) != 2 or len(W) != 2 or H[1] != W[1] or (H[0], W[0]) != distribution.table.shape:
        raise Mismatch(f"the witness has shapes {H} and {W}, the table {distribution.table.shape}")
    if head.b is not None and (not spec.bias or tuple(head.b.shape) != (distribution.vocab,)):
        raise Mismatch("the witness has a bias that the class does not allow")
    if W[1] > spec.dim:
        raise Mismatch(f"the witness has dimension {W[1]}, the class allows {spec.dim}")
    if head.float_format != spec.float_format:
        raise Mismatch(f"the witness rounds its logits to {head.float_format}, the class to {spec.float_format}")


def _check_norm(head: Head, spec: HeadSpec) -> None:
    """The largest hidden state times the largest token, plus the largest bias."""
    if spec.norm is None:
        return
    H, W = to_numpy(head.H).astype(np.float64), to_numpy(head.W).astype(np.float64)
    b = 0.0 if head.b is None else float(np.abs(to_numpy(head.b)).max())
    size = math.sqrt(float((H**2).sum(axis=1).max()) * float((W**2).sum(axis=1).max())) + b
    if size > spec.norm * (1 + 1e-12):
        raise Mismatch(f"the witness has norm {size:.6g}, the class allows {spec.norm}")


def _evaluate(head: Head, distribution: ContextualDistribution) -> tuple[float, float, float]:
    """Gap, largest underestimate ``max(log p - log q)`` and largest range of logits of the head."""
    H, W = to_numpy(head.H).astype(np.float64), to_numpy(head.W).astype(np.float64)
    b = np.zeros(len(W)) if head.b is None else to_numpy(head.b).astype(np.float64)
    if not all(np.all(np.isfinite(part)) for part in (H, W, b)):
        raise Mismatch("the witness holds NaN or infinite entries")
    gaps, worst, spread = [], 0.0, 0.0
    for start, log_p, weights in _rows(distribution):
        logits = H[start : start + len(log_p)] @ W.T + b
        logits = logits if head.float_format is None else nearest(logits, head.float_format)
        if not np.all(np.isfinite(logits)):
            raise Mismatch("the logits of the witness overflow float64")
        logits = logits - logits.max(axis=1, keepdims=True)  # first, so that huge ones keep the digits they differ in
        log_q = logits - logsumexp(logits, axis=1, keepdims=True)
        inside = np.isfinite(log_p)
        excess = np.where(inside, np.where(inside, log_p, 0.0) - log_q, 0.0)
        gaps.append(float(weights @ np.sum(np.exp(log_p) * excess, axis=1)))
        worst = max(worst, float(excess.max()))
        spread = max(spread, float(np.ptp(logits, axis=1).max()))
    return math.fsum(gaps), worst, spread


def _rows(distribution: ContextualDistribution) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """First context, log-probabilities and weights of one block of contexts after another."""
    weights = to_numpy(distribution.weights).astype(np.float64)
    step = max(1, ROWS // distribution.vocab)
    for start in range(0, distribution.contexts, step):
        stop = min(start + step, distribution.contexts)
        yield start, to_numpy(distribution.table.block(start, stop)).astype(np.float64), weights[start:stop]
