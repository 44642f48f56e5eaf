"""What a conjugate certificate proves, recomputed with every rounding on the safe side.

The certificate holds targets ``z`` (K, C, V) and weights ``r`` (K, C), ``s`` (K, V), perhaps a shift ``t`` (C,) and a
``cap``.  Its value is, with ``rho(E) = e^E - 1 - E``,

    sum_k sum_{j > d} min(sigma_j(X_k)^2, cap / K) - sum_cv T_cv - sum_c pi_c rho(t_c),
    X_k = [Pi_r] D_r^{1/2} (L + z_k) D_s^{1/2} Pi_s,    q(E) = sum_k r_kc s_kv (E - z_kcv)^2,
    T_cv = max over low + t_c <= E <= -L_cv + t_c of  min(q(E), cap) - w rho(E).

``Pi_r`` stands there for a class with a bias.  The tail is rounded down by Mirsky's inequality.  For the
maximum: the derivative of ``q - w rho`` is concave, so right of the inflection the function is concave and a bracket
``[a, b]`` of its peak, found by bisection, bounds it by ``phi(a) + phi'(a) (b - a)``; left of the inflection it is
convex and largest at an end.  The sum over the entries is exact (``math.fsum``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from synth import ContextualDistribution
from theory.head import HeadSpec
from theory.recheck.rounding import widest_range
from theory.recheck.table import Mismatch, index_set, positive_table

BISECTIONS = 80
"""Halvings of a bracket: from any width of interest to the last bit."""

ROUNDINGS = 32
"""Rounding errors allowed in one entry's maximum, in units of the sum of its terms' sizes."""

EPS = float(np.finfo(np.float64).eps)


class Parts(NamedTuple):
    """A certificate's ``z`` (K, C, V), ``omega`` (K, C, V), ``r`` (K, C), ``s`` (K, V), ``t`` (C,), and its cap."""

    z: np.ndarray
    omega: np.ndarray
    r: np.ndarray
    s: np.ndarray
    t: np.ndarray
    cap: float


def conjugate(certificate: Mapping[str, Any], distribution: ContextualDistribution, spec: HeadSpec) -> float:
    """The lower bound that the certificate proves for the class ``spec``; ``Mismatch`` when it proves none."""
    if spec.float_format is not None:
        raise Mismatch("a conjugate certificate speaks of logits that are not rounded")
    contexts, tokens, whole = _block(certificate, distribution)
    L, weights = positive_table(distribution, contexts, tokens)
    parts = _parts(certificate, L.shape)
    low = _lowest(L, spec, distribution.vocab, whole)
    if parts.cap == math.inf and not np.all(np.isfinite(low)):
        raise Mismatch("a certificate without a cap needs heads with a limit")
    tail = math.fsum(_tail(L, parts, k, spec) for k in range(len(parts.z)))
    return tail - _price(L, weights, parts, low) - _toll(weights, parts.t)


def _block(
    certificate: Mapping[str, Any], distribution: ContextualDistribution
) -> tuple[np.ndarray | None, np.ndarray | None, bool]:
    """The contexts and tokens the certificate speaks of, and whether these are all the tokens."""
    if certificate.get("contexts") is None and certificate.get("tokens") is None:
        return None, None, True
    contexts = index_set(certificate.get("contexts"), distribution.contexts, "contexts")
    tokens = index_set(certificate.get("tokens"), distribution.vocab, "tokens")
    return contexts, tokens, len(tokens) == distribution.vocab


def _parts(certificate: Mapping[str, Any], shape: tuple[int, int]) -> Parts:
    """The arrays, their shapes and signs checked."""
    z, r, s = (np.asarray(certificate.get(name), dtype=np.float64) for name in ("z", "r", "s"))
    count = z.shape[0] if z.ndim == 3 else 0
    if count == 0 or z.shape[1:] != shape or r.shape != (count, shape[0]) or s.shape != (count, shape[1]):
        raise Mismatch(f"the certificate has shapes z {z.shape}, r {r.shape}, s {s.shape} on a block {shape}")
    t = np.asarray(certificate.get("t", np.zeros(shape[0])), dtype=np.float64)
    if t.shape != shape[:1]:
        raise Mismatch(f"the certificate has a shift t of shape {t.shape} on {shape[0]} contexts")
    if not all(np.all(np.isfinite(part)) for part in (z, r, s, t)):
        raise Mismatch("the certificate holds NaN or infinite entries")
    if np.any(r < 0) or np.any(s < 0) or np.any(s.sum(axis=1) <= 0) or np.any(r.sum(axis=1) <= 0):
        raise Mismatch("the weights r and s of a certificate must be >= 0, and some of each > 0")
    cap = float(certificate.get("cap", math.inf))
    if not cap > 0:
        raise Mismatch(f"the cap must be > 0, found {cap}")
    return Parts(z, r[:, :, None] * s[:, None, :], r, s, t, cap)


def _lowest(L: np.ndarray, spec: HeadSpec, vocab: int, whole: bool) -> np.ndarray:
    """The least log error of each entry in the class, rounded down; 0 where it cannot be negative."""
    least = np.full(L.shape, -math.inf if spec.max_underestimate is None else -spec.max_underestimate)
    B = widest_range(spec)
    if not math.isinf(B):
        largest = np.logaddexp(0.0, math.log(vocab - 1) + B) if vocab > 1 else 0.0
        least = np.maximum(least, -(largest + L))
        if whole:
            least = np.maximum(least, -(B + L.max(axis=1) - L.min(axis=1))[:, None])
    return np.minimum(least - 8 * EPS * np.abs(least, where=np.isfinite(least), out=np.zeros_like(L)), 0.0)


def _tail(L: np.ndarray, parts: Parts, k: int, spec: HeadSpec) -> float:
    """Capped tail energy of one metric, rounded down.

    An error D in X moves the singular values, as a vector, by at most ``|D|_F`` (Mirsky), and capping them does not
    increase that.
    """
    r, s, z = parts.r[k], parts.s[k], parts.z[k]
    X = np.sqrt(r)[:, None] * (L + z) * np.sqrt(s)
    X = X - np.outer(X @ _unit(s), _unit(s))
    if spec.bias:
        X = X - np.outer(_unit(r), _unit(r) @ X)
    size = math.sqrt(float(np.sum(parts.omega[k] * (np.abs(L) + np.abs(z)) ** 2)))
    sigma = np.linalg.svd(X, compute_uv=False)[spec.dim :]
    counted = float(np.linalg.norm(np.minimum(sigma, math.sqrt(parts.cap / len(parts.z)))))
    return max(counted - 16 * EPS * math.sqrt(max(L.shape)) * size, 0.0) ** 2


def _unit(weights: np.ndarray) -> np.ndarray:
    """The square roots of the weights, of norm 1."""
    root = np.sqrt(weights / weights.max())
    return root / np.linalg.norm(root)


def _toll(weights: np.ndarray, t: np.ndarray) -> float:
    """``sum_c pi_c rho(t_c)``, rounded up."""
    growth = np.expm1(t)
    terms = weights * (growth - t + 8 * EPS * (np.abs(growth) + np.abs(t)))
    return math.fsum(terms.tolist()) * (1 + 2 * EPS)


def _price(L: np.ndarray, weights: np.ndarray, parts: Parts, low: np.ndarray) -> float:
    """``sum_cv T_cv``, rounded up."""
    w, t = weights[:, None] * np.exp(L), parts.t[:, None]
    low = low + t - 2 * EPS * (np.abs(np.where(np.isfinite(low), low, 0.0)) + np.abs(t))
    high = -L + t + 2 * EPS * (np.abs(L) + np.abs(t))
    nearest = np.clip(0.0, low, high)
    total = parts.omega.sum(axis=0)
    safe = np.where(total > 0, total, 1.0)
    centre = (parts.omega * parts.z).sum(axis=0) / safe
    if parts.cap < math.inf:
        spread = (parts.omega * (parts.z - centre) ** 2).sum(axis=0)
        reach = np.sqrt(np.maximum(parts.cap - spread, 0.0) / safe)
        pad = 64 * EPS * (np.abs(centre) + reach + np.abs(parts.z).max(axis=0)) + 1e-300
        left, right = np.maximum(low, centre - reach - pad), np.minimum(high, centre + reach + pad)
        quadratic = (total > 0) & (left <= right)
        low, high = np.where(quadratic, left, nearest), np.where(quadratic, right, nearest)
    peak = _highest(parts, w, low, high)
    if parts.cap < math.inf:
        value, error = _phi(parts, w, nearest)
        loss = w * (np.expm1(nearest) - nearest)
        beyond = np.minimum(value, parts.cap - loss) + error
        peak = np.minimum(np.where(quadratic, np.maximum(peak, beyond), beyond), parts.cap)
    return math.fsum(peak.ravel().tolist()) * (1 + 2 * EPS)


def _highest(parts: Parts, w: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """An upper bound on the maximum of ``q - w rho`` over ``low .. high``."""
    curvature = 2 * parts.omega.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inflection = np.log(curvature / w)
    left = np.clip(inflection, low, high)
    right = high.copy()
    for _ in range(BISECTIONS):
        middle = (left + right) / 2
        rising = _slope(parts, w, middle) > 0
        left, right = np.where(rising, middle, left), np.where(rising, right, middle)
    ends, end_error = _phi(parts, w, low)
    peak, error = _phi(parts, w, left)
    slope = np.maximum(_slope(parts, w, left), 0.0) * (right - left)
    return np.maximum(ends + end_error, peak + error + slope)


def _slope(parts: Parts, w: np.ndarray, E: np.ndarray) -> np.ndarray:
    """The derivative of ``q - w rho``."""
    return 2 * (parts.omega * (E - parts.z)).sum(axis=0) - w * np.expm1(E)


def _phi(parts: Parts, w: np.ndarray, E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``q - w rho`` and a bound on its rounding error."""
    square = parts.omega * (E - parts.z) ** 2
    blur = parts.omega * (np.abs(E) + np.abs(parts.z)) ** 2
    value = square.sum(axis=0) - w * (np.expm1(E) - E)
    return value, ROUNDINGS * EPS * (blur.sum(axis=0) + w * (np.abs(np.expm1(E)) + np.abs(E)))
