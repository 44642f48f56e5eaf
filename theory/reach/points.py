"""The tokens of a head as points: what a separation problem needs of ``W`` and ``b``, prepared once.

Token v with logit ``w_v . h + b_v`` is the point ``w_v`` lifted by ``b_v``.  A constant added to every ``w_v`` or
``b_v`` changes no comparison of tokens, and an invertible map of ``w_v`` is undone by ``h``: linear programmes are
posed in coordinates ``X`` whose columns are orthogonal and of unit mean square, which keeps their numbers near 1.
Certificates are read off in these coordinates and proved in the given ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synth._array import Array, to_numpy

DIRECT_ENTRIES = 2**20
"""Entries (V d) up to which coordinates come from a singular value decomposition, beyond from the d x d moments."""


@dataclass(frozen=True, eq=False)
class Points:
    """``W`` (V, d) and ``b`` (V,) or ``None`` in float64, their coordinates ``X`` (V, k), and ``h = basis @ x``."""

    W: np.ndarray
    b: np.ndarray | None
    X: np.ndarray
    beta: np.ndarray | None
    basis: np.ndarray
    bias_scale: float
    norms: np.ndarray

    @property
    def vocab(self) -> int:
        """Number of tokens V."""
        return len(self.W)

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.W.shape[1]

    def hidden(self, x: np.ndarray, t: float) -> np.ndarray:
        """The hidden state of the coordinates ``x`` and the height ``t > 0`` of the lifted direction."""
        h = self.basis @ x
        return h if self.b is None else h * (self.bias_scale / t)


def points(W: Array, b: Array | None = None) -> Points:
    """Prepare a head; ``ValueError`` for shapes that do not match, or numbers that are not finite.

    Cost: O(V d^2).
    """
    host, bias = _matrix(W), None if b is None else np.asarray(to_numpy(b), dtype=np.float64)
    if bias is not None and (bias.shape != (len(host),) or not np.all(np.isfinite(bias))):
        raise ValueError(f"b must hold one finite number for each of {len(host)} tokens, found shape {bias.shape}")
    centred = host - host.mean(axis=0)
    basis = _whitening(centred)
    scale = 1.0 if bias is None else max(float(np.std(bias)), float(np.finfo(np.float64).tiny))
    beta = None if bias is None else (bias - bias.mean()) / scale
    return Points(host, bias, centred @ basis, beta, basis, scale, np.linalg.norm(host, axis=1))


def token_list(tokens: Any, vocab: int, which: str = "some") -> np.ndarray:
    """Sorted distinct token numbers, at least one; a ``ValueError`` that asks for ``which`` otherwise."""
    found = np.unique(np.atleast_1d(np.asarray(tokens)))
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(found) != np.size(tokens):
        raise ValueError(f"tokens must be distinct integers, found {tokens!r}; list each token once")
    if len(found) == 0 or found[0] < 0 or found[-1] >= vocab:
        raise ValueError(f"tokens must be {which} of 0..{vocab - 1}, found {tokens!r}")
    return found.astype(np.int64)


def token_set(tokens: Any, vocab: int) -> np.ndarray:
    """``token_list`` of fewer tokens than all."""
    found = token_list(tokens, vocab, "some, not all,")
    if len(found) == vocab:
        raise ValueError(f"tokens must be some, not all, of 0..{vocab - 1}, found {tokens!r}")
    return found


def _matrix(W: Array) -> np.ndarray:
    host = np.asarray(to_numpy(W), dtype=np.float64)
    if host.ndim != 2 or len(host) < 2 or not np.all(np.isfinite(host)):
        raise ValueError(
            f"W must be a finite matrix (V, d) with at least two tokens, found shape {host.shape}; "
            "drop or repair rows with NaN or infinite entries"
        )
    return host


def _whitening(centred: np.ndarray) -> np.ndarray:
    """``basis`` (d, k) with ``(centred @ basis)`` of orthogonal columns, mean square one; rounding is left out."""
    if centred.size == 0:
        return np.zeros((centred.shape[1], 0))
    eps = np.finfo(np.float64).eps
    if centred.size <= DIRECT_ENTRIES:
        _, sigma, Vt = np.linalg.svd(centred, full_matrices=False)
        least = eps * max(centred.shape) * max(float(sigma[0]), float(np.abs(centred).max()))
    else:
        energies, vectors = np.linalg.eigh(centred.T @ centred)
        sigma, Vt = np.sqrt(np.clip(energies[::-1], 0.0, None)), vectors[:, ::-1].T
        least = np.sqrt(eps * centred.shape[1]) * float(sigma[0])
    kept = sigma > least
    return (Vt[kept] / sigma[kept, None]).T * np.sqrt(len(centred))
