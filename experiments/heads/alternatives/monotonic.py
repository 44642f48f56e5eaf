"""A learnable increasing function on the logits (Ganea, Gelly, Bécigneul & Severyn 2019).

``q ∝ exp(f(A))`` with f increasing: m + 1 slopes on equally spaced knots ``t_0 ... t_m`` of [-T, T], each the softplus
``s_i = log(1 + e^theta_i)`` of a free number.  ``Monotonic`` joins the slopes by straight lines, so f is piecewise
quadratic with a continuous derivative; ``PiecewiseLinear`` keeps a slope per cell, as published.  Beyond the knots f
goes on straight.

    f(x) = sum_i s_i I_i(x),     I_i(x) = int_{t_0}^x B_i

with B_i the hat of knot i (the indicator of cell i): the I-splines of Ramsay (1988) of order 2 (1).  The continuous
derivative matters to the fit alone: where f has kinks the loss has kinks too, minima sit on them, and no gradient
vanishes there.  As cells are halved either class comes as near to any increasing f as one likes.

With all slopes equal f is the identity up to scale, so **every softmax head is a member**, exactly and at the same
width.  A constant added to f is gauge, a constant per row of A is not; f can be steep where ``A`` is dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from experiments.heads.alternatives.kind import SoftmaxHeads
from experiments.heads.alternatives.parts import Parts, lift
from experiments.heads.alternatives.pointwise import Pointwise
from experiments.heads.alternatives.softmax import plain
from synth._check import integer

REACH = 4.0
"""T: the knots span [-T, T]."""


@dataclass(frozen=True)
class Monotonic(Pointwise):
    """``softmax(f(H W' + 1 b'))``, f increasing in ``cells`` m >= 1 pieces; theta holds the slopes before softplus."""

    cells: int = 16

    name = "monotonic"
    summary = "softmax(f(H W' + b)), f a learnt increasing function with a continuous derivative"

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("cells", self.cells, 1)

    @property
    def shared(self) -> int:
        """One slope for each knot."""
        return self.cells + 1

    @property
    def width(self) -> float:
        """Width of a cell."""
        return 2 * REACH / self.cells

    def place(self, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cell (0 ... m - 1) of each logit, and the logit counted from its left knot, further beyond the ends."""
        cell = np.clip((A + REACH) * (1 / self.width), 0, self.cells - 1).astype(np.intp)
        return cell, A + REACH - cell * self.width

    # ------------------------------------------------------------------ f

    def phi(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """f(A), zero at the first knot."""
        slopes, (cell, x) = softplus(theta), self.place(A)
        inside = np.clip(x, 0, self.width)
        heights = np.concatenate([[0.0], np.cumsum(self.width / 2 * (slopes[:-1] + slopes[1:]))])
        bend = (slopes[1:] - slopes[:-1]) / (2 * self.width)
        beyond = np.minimum(x, 0) * slopes[0] + np.maximum(x - self.width, 0) * slopes[-1]
        return heights[cell] + inside * (slopes[cell] + inside * bend[cell]) + beyond

    def derivative(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """f'(A): the slopes, joined by straight lines."""
        slopes, (cell, x) = softplus(theta), self.place(A)
        share = np.clip(x, 0, self.width) / self.width
        return slopes[cell] * (1 - share) + slopes[cell + 1] * share

    def pull_back(self, A: np.ndarray, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """``sum G I_i(A) ds_i/dtheta_i`` (m + 1,): sums over cells, then over the cells to the right of each."""
        cell, x = (part.ravel() for part in self.place(A))
        inside, flat = np.clip(x, 0, self.width), G.ravel()
        right = flat * inside * inside / (2 * self.width)  # int of the rising half of the hat at the right knot
        left = flat * inside - right
        out = np.zeros(self.shared)
        out[:-1] += np.bincount(cell, left, self.cells)
        out[1:] += np.bincount(cell, right, self.cells)
        passed = self.width / 2 * _to_the_right(np.bincount(cell, flat, self.cells))
        out[:-1] += passed
        out[1:] += passed
        out[0] += flat @ np.minimum(x, 0)
        out[-1] += flat @ np.maximum(x - self.width, 0)
        return out * expit(theta)

    def basis(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """``I_i(A) ds_i/dtheta_i`` (rows, V, m + 1): the clipped parabolas of ``pull_back``, written out."""
        x = (A + REACH)[:, :, None] - self.width * np.arange(self.cells)
        inside = np.clip(x, 0, self.width)
        right = inside * inside / (2 * self.width)
        out = np.zeros((*A.shape, self.shared))
        out[:, :, 1:] = right
        out[:, :, :-1] += inside - right
        out[:, :, 0] += np.minimum(x[:, :, 0], 0)
        out[:, :, -1] += np.maximum(x[:, :, -1] - self.width, 0)
        return out * expit(theta)

    # ------------------------------------------------------------------ where a fit begins

    def steepness(self, theta: np.ndarray) -> float:
        """The mean slope."""
        return float(softplus(theta).mean())

    def embeddings(self, softmax: SoftmaxHeads) -> Iterator[tuple[str, Parts]]:
        """The softmax head, its logits centred and scaled to lie between the knots, all slopes equal to the scale."""
        parts = plain(softmax(self.dim))
        Wt = parts.Wt - parts.Wt.mean(axis=0)
        scale = max(float(np.abs(lift(parts.S, self.bias) @ Wt.T).max()) / REACH, np.finfo(float).tiny ** 0.5)
        S = parts.S
        if self.bias:
            Wt[:, self.dim] /= scale
        root = np.sqrt(scale)
        Wt[:, : self.dim] /= root
        yield "softmax, f straight", Parts(S / root, Wt, np.full(self.shared, inverse_softplus(scale)))

    def random(self, contexts: int, log_unigram: np.ndarray, rng: np.random.Generator) -> Parts:
        """As for any head, a bias centred and brought between the knots."""
        parts = super().random(contexts, log_unigram, rng)
        parts.Wt[:, self.dim :] -= parts.Wt[:, self.dim :].mean(axis=0)
        scale = max(1.0, float(np.abs(parts.Wt[:, self.dim :]).max(initial=0.0)) / REACH)
        parts.Wt[:, self.dim :] /= scale
        return Parts(parts.S, parts.Wt, np.full(self.shared, inverse_softplus(scale)))


@dataclass(frozen=True)
class PiecewiseLinear(Monotonic):
    """The same with a slope per cell: f is continuous, its derivative jumps at the knots."""

    name = "plif"
    summary = "softmax(f(H W' + b)), f a learnt increasing piecewise linear function"

    @property
    def shared(self) -> int:
        """One slope for each cell."""
        return self.cells

    def phi(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """f(A), zero at the first knot."""
        slopes, (cell, x) = softplus(theta), self.place(A)
        heights = np.concatenate([[0.0], np.cumsum(self.width * slopes)])
        return heights[cell] + x * slopes[cell]

    def derivative(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """f'(A): the slope of the cell; at a knot that of the cell to its right."""
        return softplus(theta)[self.place(A)[0]]

    def basis(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """``I_i(A) ds_i/dtheta_i`` (rows, V, m): the logit's way through each cell, times the slope there."""
        x = (A + REACH)[:, :, None] - self.width * np.arange(self.cells)
        out = np.clip(x, 0, self.width)
        out[:, :, 0] += np.minimum(x[:, :, 0], 0)
        out[:, :, -1] += np.maximum(x[:, :, -1] - self.width, 0)
        return out * expit(theta)

    def pull_back(self, A: np.ndarray, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """``sum G I_i(A) ds_i/dtheta_i`` (m,)."""
        cell, x = (part.ravel() for part in self.place(A))
        flat = G.ravel()
        within = np.bincount(cell, flat * x, self.cells)
        return (within + self.width * _to_the_right(np.bincount(cell, flat, self.cells))) * expit(theta)


def softplus(theta: np.ndarray) -> np.ndarray:
    """``log(1 + e^theta)``."""
    return np.logaddexp(0.0, theta)


def inverse_softplus(slope: float) -> float:
    """``log(e^slope - 1)``, slope > 0."""
    return slope + float(np.log(-np.expm1(-slope)))


def _to_the_right(sums: np.ndarray) -> np.ndarray:
    """For each cell the sum over the cells to its right, shape as ``sums``."""
    return np.cumsum(sums[::-1])[::-1] - sums
