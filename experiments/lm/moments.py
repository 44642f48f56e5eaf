"""Running moments of states, place by place, so that no states need be kept.

For states h_1 .. h_n at one place, in float64: ``mean`` = Σ h / n, ``unit_sum`` = Σ h / ‖h‖, ``mean_norm`` = Σ ‖h‖ / n,
``mean_square`` = Σ ‖h‖² / n.  The mean cosine over pairs of different states, the usual anisotropy, needs no more:
``(‖unit_sum‖² - m) / (m (m - 1))`` over the m states that are not zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of ``count`` states of one place: ``unit_sum`` and ``mean`` (D,) float64, mean norm and mean square.

    ``zeros`` counts states that are zero, which have no direction; they are left out of ``unit_sum``.
    """

    count: int
    zeros: int
    unit_sum: np.ndarray
    mean: np.ndarray
    mean_norm: float
    mean_square: float

    @property
    def mean_cosine(self) -> float:
        """Mean cosine over pairs of different states; NaN for fewer than two that are not zero."""
        m = self.count - self.zeros
        return float((self.unit_sum @ self.unit_sum - m) / (m * (m - 1))) if m > 1 else float("nan")


LayerMoments = Mapping[str, Moments]
"""Moments by the name of the place, in the order of the network (see :mod:`experiments.lm.model`)."""


def moments(states: np.ndarray) -> Moments:
    """Moments of the rows of ``states`` (n, D), n >= 1."""
    h = states.astype(np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", h, h))
    nonzero = norms > 0
    return Moments(
        count=len(h),
        zeros=int((~nonzero).sum()),
        unit_sum=(1 / norms[nonzero]) @ h[nonzero],
        mean=h.mean(axis=0),
        mean_norm=float(norms.mean()),
        mean_square=float((norms**2).mean()),
    )


def merge(parts: Iterable[Moments]) -> Moments:
    """Moments of all states of ``parts`` together."""
    parts = list(parts)
    count = sum(part.count for part in parts)
    shares = [part.count / count for part in parts]
    return Moments(
        count=count,
        zeros=sum(part.zeros for part in parts),
        unit_sum=np.sum([part.unit_sum for part in parts], axis=0),
        mean=np.sum([share * part.mean for share, part in zip(shares, parts, strict=True)], axis=0),
        mean_norm=sum(share * part.mean_norm for share, part in zip(shares, parts, strict=True)),
        mean_square=sum(share * part.mean_square for share, part in zip(shares, parts, strict=True)),
    )
