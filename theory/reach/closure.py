"""The closure rank of a distribution: the dimension from which heads come arbitrarily close, attained or not.

The finite rank is the dimension of a head that *equals* P: the rank of ``log P J`` (with a bias of ``Q log P J``), and
no dimension at all where P has zeros.  The closure rank is the least d with floor ``g(d) = 0``.  For positive P the two
agree, since log is continuous there; for boundary laws the closure rank can be far smaller, and is bracketed:

    above   the least d at which some exact statement of the catalogue gives 0;
    below   one more than the largest d at which some lower bound is positive, and Forster's bound on sign rank.

Forster.  If the gap tends to 0, some head ranks every context's support above everything else, so with thresholds tau_c
the matrix ``A - tau 1'``, of rank at most d + 1 (d + 2 with a bias), has the signs M_cv = +1 on supports and -1 off
them.  The sign rank of M is at least ``sqrt(C V) / |M|``, |.| the spectral norm (Forster 2002).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory import spectrum
from theory.bound import Status, catalogue
from theory.geometry import centre_contexts
from theory.head import HeadSpec
from theory.sandwich import EPS


@dataclass(frozen=True)
class ClosureRank:
    """The bracket ``least <= closure rank <= most``, what gives each end, and the finite rank (``None``: no head)."""

    least: int
    most: int
    because_least: str
    because_most: str
    finite: int | None

    @property
    def exact(self) -> int | None:
        """The closure rank where the bracket has closed."""
        return self.most if self.least == self.most else None


def closure_rank(distribution: ContextualDistribution, bias: bool = False) -> ClosureRank:
    """The bracket on the closure rank, from the catalogue's lower bounds and exact zeros and from sign rank.

    Ranks of positive blocks are numerical: a lower bound counts if it exceeds the rounding of a gap.
    Cost: the catalogue's lower bounds at each dimension up to the upper end.

    >>> from synth import families
    >>> stairs = closure_rank(families.staircase(6), bias=True)
    >>> stairs.exact, stairs.finite
    (1, None)
    """
    finite = finite_rank(distribution, bias)
    if finite is not None:
        return ClosureRank(finite, finite, "positive tables attain their closure", "full-rank", finite)
    least, because = sign_rank_floor(distribution, bias), "sign rank"
    slack = 64 * EPS * max(1.0, distribution.entropy) * math.sqrt(distribution.contexts * distribution.vocab)
    for dim in range(distribution.vocab + 1):
        bounds = [entry(distribution, HeadSpec(dim, bias)) for entry in catalogue if entry.side.is_lower]
        zero = next((b for b in bounds if b.side.is_upper and b.status is Status.PROVED and b.value <= 0), None)
        if zero is not None:
            return ClosureRank(min(least, dim), dim, because, zero.name, None)
        positive = next((b for b in bounds if b.applies and b.side.is_lower and b.value > slack), None)
        if positive is not None and dim + 1 > least:
            least, because = dim + 1, positive.name
    raise AssertionError("as many dimensions as tokens are exact")


def finite_rank(distribution: ContextualDistribution, bias: bool = False) -> int | None:
    """The least dimension of a head that equals P (numerical rank); ``None`` where P has zeros, which none attains."""
    if not distribution.is_positive:
        return None
    L = distribution.centred_logits
    M = centre_contexts(L, distribution.weights) if bias else L
    scale = float(abs(distribution.log_p).max())
    rank = spectrum.numerical_rank(spectrum.singular_values(M), distribution.table.shape, scale)
    return min(rank, distribution.vocab - 1, distribution.contexts - int(bias))


def sign_rank_floor(distribution: ContextualDistribution, bias: bool = False) -> int:
    """The least dimension that Forster's bound leaves for the supports of a dense table, repeated supports once."""
    rows = [np.isfinite(_row(distribution, c)) for c in range(distribution.contexts)]
    signs = np.where(np.unique(np.array(rows), axis=0), 1.0, -1.0)
    norm = float(np.linalg.svd(signs, compute_uv=False)[0]) * (1 + 8 * EPS * max(signs.shape))
    return max(0, math.ceil(math.sqrt(signs.size) / norm) - 1 - int(bias))


def _row(distribution: ContextualDistribution, context: int) -> np.ndarray:
    return to_numpy(distribution.table.block(context, context + 1))[0]
