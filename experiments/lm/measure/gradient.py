"""How much of the logit gradient the head passes back to the states, direction by direction.

For a context with state h and next token y the gradient is ``g = softmax(W h + b) - e_y``.  With the left singular
vectors u_1 ... u_D of W, ``sum_c (g_c . u_j)^2`` is the energy in direction j, and the first k of them pass back the
share ``sum_{j <= k} / sum_c |g_c|^2``.  All D give ``|G Pi_W|_F^2 / |G|_F^2`` of Godey and Artzi (2026).  An isotropic
gradient, rows summing to zero, has ``trace(J Pi_k J) / (V - 1)`` in the first k, about k / V: the null of the *energy*
share; the share of the norm compares with its root.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.lm.measure.row import Row
from theory.jackknife import block_jackknife
from theory.reach.gradient import GradientShare, share_from_energies
from theory.triangle import triangle

BLOCK_ENTRIES = 2**23
"""Logits formed at once (64 MiB)."""

ENERGY, NORM = "share of the logit gradient's energy kept", "share of the logit gradient's norm kept"
ISOTROPIC = "isotropic gradient"


@dataclass(frozen=True, eq=False)
class Gradient:
    """``total`` (N,) energies of the gradients, ``seen`` (N, D) those in each left singular direction of W, in order.

    ``share`` holds the share of all and its null, ``null`` (D,) the null of each direction, summing to ``share.null``.
    """

    total: np.ndarray
    seen: np.ndarray
    share: GradientShare
    null: np.ndarray

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Energy share in the first k directions, k = 1 ... D, and its null."""
        return np.cumsum(self.seen.sum(axis=0)) / self.total.sum(), np.cumsum(self.null)

    def rows(self) -> list[Row]:
        """Shares of energy and of norm with standard errors over blocks of contexts."""

        def shares(kept: np.ndarray) -> np.ndarray:
            energy = self.seen[kept].sum() / self.total[kept].sum()
            return np.array([energy, np.sqrt(energy)])

        errors = block_jackknife(shares, len(self.total))
        energy, norm = self.share, float(np.sqrt(self.share.null))
        spread = energy.null_spread / (2 * norm)
        return [
            Row(ENERGY, "head W", energy.energy, float(errors[0]), energy.null, energy.null_spread, ISOTROPIC),
            Row(NORM, "head W", energy.norm, float(errors[1]), norm, spread, ISOTROPIC),
        ]


def gradient(W: np.ndarray, b: np.ndarray | None, X: np.ndarray, targets: np.ndarray) -> Gradient:
    """The gradient of the loss of states X (N, D) with next tokens ``targets`` (N,) at the head W (V, D), b (V,).

    Raises ``ValueError`` for shapes that do not match.  float64; cost: O(N V D), V D and N D numbers of memory.
    """
    if X.shape != (len(targets), W.shape[1]):
        raise ValueError(f"X must be (N, D) = {(len(targets), W.shape[1])}, found {X.shape}; pass states of this head")
    heads = W.astype(np.float64)
    _, sigma, Vt = np.linalg.svd(triangle(heads))
    kept = sigma > np.finfo(np.float64).eps * max(W.shape) * sigma[0]
    U = heads @ (Vt[: len(sigma)][kept].T / sigma[kept])
    total, seen = np.empty(len(X)), np.empty((len(X), U.shape[1]))
    step = max(1, BLOCK_ENTRIES // len(W))
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        G = X[part].astype(np.float64) @ heads.T
        G += 0.0 if b is None else b
        G -= G.max(axis=1, keepdims=True)
        np.exp(G, out=G)
        G /= G.sum(axis=1, keepdims=True)
        G[np.arange(len(G)), targets[part]] -= 1.0
        total[part], seen[part] = np.einsum("cv,cv->c", G, G), (G @ U) ** 2
    null = (1 - U.sum(axis=0) ** 2 / len(W)) / (len(W) - 1)
    return Gradient(total, seen, share_from_energies(total, float(seen.sum()), U), null)
