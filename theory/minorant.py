"""Rank-one minorants ``r_c s_v <= w_cv``: the price of exchanging entrywise weights for ones Eckart-Young can use.

For a given r the largest s is ``min_c w_cv / r_c``, and conversely; one round of the two ends at a pair that cannot be
raised in any entry alone.  Where it ends depends on where it starts, so several are offered.  All of it on the host,
in log space.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Spectrum = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Singular values, rounded down, and the minorant ``r``, ``s`` in whose metric they were taken."""


def minorants(log_w: np.ndarray, weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs ``(r, s)`` with ``r_c s_v <= w_cv`` (up to rounding, which ``_shave`` takes off), best guesses first.

    ``log_w`` (C, V) finite, ``weights`` (C,) positive.  Starts: ``r = weights``; ``s`` the geometric mean of the
    columns; ``s`` the arithmetic mean of the columns.
    """
    log_r = np.log(weights)
    yield _shave(log_r, np.min(log_w - log_r[:, None], axis=0))
    top = log_w.max(axis=0)
    for log_s in (log_w.mean(axis=0), top + np.log(np.exp(log_w - top).mean(axis=0))):
        log_r = np.min(log_w - log_s[None, :], axis=1)
        yield _shave(log_r, np.min(log_w - log_r[:, None], axis=0))


def minorant_spectra(L: np.ndarray, log_w: np.ndarray, weights: np.ndarray) -> tuple[Spectrum, ...]:
    """For each of the ``minorants``, the singular values of ``D_r^{1/2} L D_s^{1/2} Pi_s``, and ``r`` and ``s``."""
    return tuple((metric_singular_values(L, r, s), r, s) for r, s in minorants(log_w, weights))


def _shave(log_r: np.ndarray, log_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair in linear space, balanced so that both have the same largest entry, lowered by a few roundings."""
    lift = (log_s.max() - log_r.max()) / 2
    slack = 16 * np.finfo(np.float64).eps * (1 + max(np.abs(log_r).max(), np.abs(log_s).max()))
    return np.exp(log_r + lift - slack), np.exp(log_s - lift - slack)


def metric_singular_values(L: np.ndarray, r: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Singular values of ``D_r^{1/2} L D_s^{1/2} Pi_s``, each lowered by a bound on its rounding error, never below 0.

    The entries of L carry relative rounding eps and the decomposition an error of a small multiple of
    ``eps sigma_1``; Weyl's inequality turns both into a shift of every singular value, for which
    ``8 eps sqrt(max(C, V)) (sigma_1 + max|L| sqrt(sum r sum s))`` is allowed.
    """
    centred = L - ((L @ s) / s.sum())[:, None]
    sigma = np.linalg.svd(np.sqrt(r)[:, None] * centred * np.sqrt(s)[None, :], compute_uv=False)
    size = np.sqrt(max(L.shape)) * np.finfo(np.float64).eps
    slack = 8 * size * (sigma[0] + np.abs(L).max() * np.sqrt(r.sum() * s.sum()))
    return np.maximum(sigma - slack, 0.0)
