"""An independent re-check of bounds for frozen features, from features, full head, witness and certificate alone.

Nothing here imports ``theory.frozen``.  Everything runs on the host in float64; a witness has to be a head *on these
features*: hidden states linear in X, no more of them than the rank allows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import null_space
from scipy.special import log_softmax, xlogy

from synth._array import to_numpy
from theory.bound import Bound, Side, Status
from theory.head import Head
from theory.recheck.table import Mismatch, Verdict

WITNESS = 1e-10
"""Absolute agreement (relative above 1) asked of a witness's gap, nats."""

LINEAR = 1e-6
"""Part of the hidden states, relative to their size, that may lie outside the span of the features."""

ROWS = 2**18
"""Logits formed at once."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features ``X`` (N, D), full head ``W`` (V, D), bias ``b`` (V,) or ``None``, weights (N,) summing to one."""

    X: Any
    W: Any
    b: Any
    weights: Any

    def host(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All of it as float64 arrays of NumPy; a missing bias is zero."""
        X, W, weights = (to_numpy(part).astype(np.float64) for part in (self.X, self.W, self.weights))
        b = np.zeros(len(W)) if self.b is None else to_numpy(self.b).astype(np.float64)
        return X, W, b, weights


def verify_frozen(bound: Bound, features: Features, rank: int, curvature: float | None = None) -> Verdict:
    """Re-check ``bound`` for heads of this ``rank`` on these features, a lower side for heads of this ``curvature``."""
    if math.isnan(bound.value):
        return Verdict(False, "the value is not a number")
    if bound.status is Status.NOT_APPLICABLE:
        empty = bound.value == (0.0 if bound.side is Side.LOWER else math.inf)
        return Verdict(empty, "claims nothing" if empty else "a value is claimed that does not apply")
    try:
        if bound.side is Side.UPPER:
            return Verdict(True, "verified", _upper(bound, features, rank))
        if bound.value <= 0:
            return Verdict(True, "verified")
        found = _lower(bound.certificate, features, rank, curvature)
    except Mismatch as why:
        return Verdict(False, str(why))
    ok = bound.value <= found * (1 + 1e-6) + 1e-12
    return Verdict(ok, "verified" if ok else f"the certificate proves {found:.9g}, not {bound.value:.9g}", found)


# ---------------------------------------------------------------------- upper sides


def _upper(bound: Bound, features: Features, rank: int) -> float:
    """The witness's gap against the full head, by the textbook route ``sum p (log p - log q)``."""
    if bound.witness is None:
        raise Mismatch("an upper bound on frozen features needs a witness head")
    H, A, c = _witness(bound.witness, features, rank)
    X, W, b, weights = features.host()
    total, step = [], max(1, ROWS // len(W))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        log_p, log_q = log_softmax(X[rows] @ W.T + b, axis=1), log_softmax(H[rows] @ A.T + c, axis=1)
        p = np.exp(log_p)
        total.append(float(weights[rows] @ np.sum(xlogy(p, p) - p * log_q, axis=1)))
    gap = math.fsum(total)
    if math.isnan(gap):
        raise Mismatch("the logits of the witness overflow float64")
    slack = WITNESS * max(1.0, abs(bound.value))
    if gap > bound.value + slack:
        raise Mismatch(f"the witness has gap {gap:.12g}, above the value {bound.value:.12g}")
    if gap < bound.value - slack and not bound.certificate.get("dominates", False):
        raise Mismatch(f"the witness has gap {gap:.12g}, not the value {bound.value:.12g}")
    return gap


def _witness(head: Head, features: Features, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden states, unembedding and bias of a head on these features; raises ``Mismatch`` for any other."""
    X, W, _, _ = features.host()
    H, A = to_numpy(head.H).astype(np.float64), to_numpy(head.W).astype(np.float64)
    if H.shape != (len(X), A.shape[1]) or len(A) != len(W):
        raise Mismatch(f"the witness has shapes {H.shape} and {A.shape} for {len(X)} rows and {len(W)} tokens")
    if A.shape[1] > rank:
        raise Mismatch(f"the witness has dimension {A.shape[1]}, the rank allows {rank}")
    if head.b is not None and features.b is None:
        raise Mismatch("the witness has a bias that the class does not allow")
    c = np.zeros(len(A)) if head.b is None else to_numpy(head.b).astype(np.float64)
    if not all(np.all(np.isfinite(part)) for part in (H, A, c)):
        raise Mismatch("the witness holds NaN or infinite entries")
    scale = np.linalg.norm(X, axis=0)
    unit = X / np.where(scale > 0, scale, 1.0)
    left = np.linalg.norm(H - unit @ np.linalg.lstsq(unit, H, rcond=None)[0], axis=0)
    if np.any(left > LINEAR * np.linalg.norm(H, axis=0)):
        raise Mismatch("the hidden states of the witness are not linear in the features")
    return H, A, c


# ---------------------------------------------------------------------- lower sides


def _lower(certificate: Mapping[str, Any], features: Features, rank: int, curvature: float | None) -> float:
    """``c`` times the sum over disjoint blocks of ``gamma tail_r``."""
    if certificate.get("kind") != "frozen-loewner" or curvature is None:
        raise Mismatch("a lower bound needs a curvature and a certificate of kind 'frozen-loewner'")
    X, W, b, weights = features.host()
    blocks = certificate["blocks"]
    every = np.concatenate([block["rows"] for block in blocks])
    if len(np.unique(every)) != len(every) or every.min() < 0 or every.max() >= len(X):
        raise Mismatch("the blocks of the certificate are not disjoint sets of rows")
    total = 0.0
    for block in blocks:
        rows, tokens = block["rows"], block["tokens"]
        if len(np.unique(tokens)) != len(tokens):
            raise Mismatch("the certificate names a token twice")
        p = np.exp(log_softmax(X[rows] @ W.T + b, axis=1))
        a = _below(p, tokens, block["clip"]) * weights[rows, None] * np.asarray(block["used"], dtype=bool)
        total += _block(a, X[rows], W[tokens], block, (rank, features.b is not None))
    return curvature * total


def _below(laws: np.ndarray, tokens: np.ndarray, clip: Any) -> np.ndarray:
    """The weights of some tokens that the clip names, checked to lie between 0 and p."""
    rest, likeliest = 1 - laws, laws.argmax(axis=1)
    for n, top in enumerate(likeliest):  # 1 - p of a nearly certain token is what the others add up to
        rest[n, top] = np.delete(laws[n], top).sum()
    p, a = laws[:, tokens], (laws if clip is None else laws * rest)[:, tokens]
    if clip not in (None, "spread"):
        a = np.minimum(a, float(clip) * a.sum(axis=1, keepdims=True) * a.sum(axis=0) / a.sum())
    if np.any(a < 0) or np.any(a > p):
        raise Mismatch("the weights of the certificate leave the range from 0 to p")
    return a


def _block(a: np.ndarray, X: np.ndarray, W: np.ndarray, block: Mapping[str, Any], shape: tuple[int, bool]) -> float:
    """``gamma tail_r`` of one block, after Loewner's order and the coupling have been checked against ``a``."""
    rank, bias = shape
    G, s, gamma = np.asarray(block["G"]), np.asarray(block["s"]), float(block["gamma"])
    if not np.any(s > 0) or gamma <= 0:
        return 0.0
    if np.any(s < 0) or gamma > 1:
        raise Mismatch("the certificate holds negative weights or a coupling above 1")
    mean = a.sum(axis=1) @ X / a.sum() if bias else 0.0
    values, vectors = np.linalg.eigh(G)
    if not values[0] > 0:
        raise Mismatch("the metric of the certificate is not positive definite")
    Z = (X - mean) @ (vectors / np.sqrt(values))
    kept = s > 0
    for weight, least in zip(a.T[kept], s[kept], strict=True):
        centred = Z - weight @ Z / weight.sum() if bias else Z
        if np.linalg.eigvalsh(centred.T @ (weight[:, None] * centred))[0] < least * (1 - 1e-6):
            raise Mismatch("a token's second moment is not above its share of the metric")
    used = np.asarray(block["used"], dtype=bool)
    if np.any(kept & ~used):
        raise Mismatch("the certificate gives weight to a token that it does not use")
    _check_coupling(np.hstack([Z, np.ones((len(Z), 1))]) if bias else Z, a[:, used], gamma)
    centred = W[kept] - s[kept] @ W[kept] / s[kept].sum()
    M = np.sqrt(s[kept])[:, None] * (centred @ (vectors * np.sqrt(values)))
    return gamma * float(np.sum(np.linalg.svd(M, compute_uv=False)[rank:] ** 2))


def _check_coupling(lifted: np.ndarray, a: np.ndarray, gamma: float) -> None:
    """``|x|^2 - |T x|^2 >= gamma |x|^2`` off the gauge, T written by QR factors of each token's weighted features.

    Each factor ``D_a^{1/2} Z = Q R`` has ``C_v = R'R``; the coupling of two rows is ``sum_v sqrt(a_nv a_mv) Q_n Q_m'``
    over the roots of their sums.  The gauge is the span of the roots times the features: there T is an isometry.
    """
    root = np.sqrt(a.sum(axis=1))
    scale = np.where(root > 0, root, 1.0)
    gram = np.zeros((len(a), len(a)))
    for weight in a.T:
        side = (np.sqrt(weight) / scale)[:, None] * np.linalg.qr(np.sqrt(weight)[:, None] * lifted)[0]
        gram += side @ side.T
    off = null_space((root[:, None] * lifted).T)
    worst = np.linalg.eigvalsh(off.T @ gram @ off)[-1]
    if 1 - worst < gamma * (1 - 1e-6) - 1e-9:
        raise Mismatch(f"the coupling leaves {1 - worst:.6g} of the loss, the certificate claims {gamma:.6g}")
