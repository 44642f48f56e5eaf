"""How much of a logit gradient a head of dimension d passes back to the hidden states.

The loss sees the logits A = H W' + 1b' through its gradient ``G`` (C, V), ``G = pi (Q - P)``.  The hidden states see
``G W``: the part of G in the column space of W, of dimension at most d, and nothing else.  With Pi_W the projector on
that space the share passed back is ``|G Pi_W|_F / |G|_F``.

The null.  A gradient that knows nothing of W, each row isotropic in the V - 1 dimensions orthogonal to 1 (softmax
gradients sum to zero), has ``E |g Pi_W|^2 / |g|^2 = k / (V - 1)``, k the trace of Pi_W on that subspace, and the share
of one row follows a beta law where W is orthogonal to 1.  So it is the *energy* share that is compared with d / V; the
norm share is compared with its square root.  For rows of energies ``e_c`` the variance of the energy share is

    var = (sum_c e_c^2 / (sum_c e_c)^2) * 2 (n trace(M^2) - trace(M)^2) / (n^2 (n + 2)),   n = V - 1, M = J Pi_W J.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth import ContextualDistribution
from synth._array import Array, like, namespace, to_numpy
from theory.head import Head

BLOCK_ENTRIES = 2**20
"""Entries of the gradient formed at once."""


@dataclass(frozen=True)
class GradientShare:
    """The share of a logit gradient that a head passes back, beside what an isotropic gradient would.

    ``energy`` is ``|G Pi_W|_F^2 / |G|_F^2``, ``norm`` its square root; ``null`` and ``null_spread`` are the mean and
    standard deviation of the energy share of isotropic rows with the same energies.
    """

    energy: float
    null: float
    null_spread: float

    @property
    def norm(self) -> float:
        """``|G Pi_W|_F / |G|_F``, compared with ``sqrt(null)``."""
        return math.sqrt(self.energy)

    @property
    def suppressed(self) -> float:
        """The share of the norm that is lost, ``1 - norm``."""
        return 1 - self.norm


def gradient_share(G: Array, W: Array) -> GradientShare:
    """The share of the logit gradient ``G`` (C, V), rows summing to zero, that the head ``W`` (V, d) passes back.

    Raises ``ValueError`` for shapes that do not match or a gradient of zero.  Cost: one QR of W and O(C V d).
    Source: Godey and Artzi (2026).
    """
    if len(G.shape) != 2 or len(W.shape) != 2 or G.shape[1] != W.shape[0]:
        raise ValueError(f"G must be (C, V) and W (V, d), found {tuple(G.shape)} and {tuple(W.shape)}")
    Q = _column_space(W)
    xp = namespace(G)
    energies = xp.sum(G * G, axis=1)
    seen = G @ like(Q, G)
    return share_from_energies(to_numpy(energies), float(xp.sum(seen * seen)), Q)


def head_gradient_share(distribution: ContextualDistribution, head: Head) -> GradientShare:
    """The share for the loss of ``head`` on ``distribution``, whose gradient ``pi (q - p)`` is formed in blocks."""
    head.check_shape(distribution)
    Q = _column_space(head.W)
    energies, seen = list[np.ndarray](), 0.0
    step = max(1, BLOCK_ENTRIES // distribution.vocab)
    for start in range(0, distribution.contexts, step):
        stop = min(start + step, distribution.contexts)
        q = namespace(head.W).exp(head.log_q(start, stop))
        residual = distribution.table.residual(like(q, distribution.weights), start, stop)
        G = to_numpy(distribution.weights[start:stop, None] * residual).astype(np.float64)
        energies.append((G**2).sum(axis=1))
        seen += float(((G @ Q) ** 2).sum())
    return share_from_energies(np.concatenate(energies), seen, Q)


def step_on_logits(G: Array, H: Array, W: Array) -> Array:
    """``G W W' + H H' G`` (C, V): minus the first-order move of the logits, per step size, under descent on H and W.

    Its rank is at most 2d.
    """
    return (G @ W) @ W.T + H @ (H.T @ G)


def share_from_energies(energies: np.ndarray, seen: float, Q: np.ndarray) -> GradientShare:
    """The share where rows of the given ``energies`` (C,) have ``seen`` in the span of the orthonormal Q (V, k)."""
    total, n = float(energies.sum()), len(Q) - 1
    if not total > 0 or n < 1:
        raise ValueError("the gradient is zero, so no share of it passes anywhere; take a head that is not exact")
    centred = Q - Q.mean(axis=0)
    gram = centred.T @ centred  # J Pi_W J has the eigenvalues of (J Q)' (J Q)
    trace, square = float(np.trace(gram)), float((gram**2).sum())
    variance = 2 * (n * square - trace**2) / (n**2 * (n + 2))
    spread = math.sqrt(max(0.0, variance) * float((energies**2).sum())) / total
    return GradientShare(seen / total, trace / n, spread)


def _column_space(W: Array) -> np.ndarray:
    """Orthonormal columns (V, k) that span the columns of W, rounding left out."""
    host = to_numpy(W).astype(np.float64)
    if host.size == 0:
        return np.zeros((len(host), 0))
    U, sigma, _ = np.linalg.svd(host, full_matrices=False)
    return U[:, sigma > np.finfo(np.float64).eps * max(host.shape) * sigma[0]]
