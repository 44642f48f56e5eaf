"""Nested supports: one dimension serves any number of laws that are one base law cut off at different levels.

Let the supports be ``S_0 < S_1 < ... < S_{m-1}`` by inclusion and each row one law ``b`` conditioned on its support.
Token v has the level ``l_v`` of the smallest support that holds it (m if it is never seen), context c the level ``l_c``
of its support, so that v is in the support of c iff ``l_v <= l_c``.  For R > 1 and 0 < e < 1 put

    w_v = R^l_v,   h_c = - e R^-l_c:     h_c w_v = - e R^(l_v - l_c),

which lies in [-e, 0) on the support and is at most ``-e R`` elsewhere.  As ``e -> 0`` and ``e R -> inf`` the logits
``h_c w_v + log b_v`` tend to ``log b_v`` on the support and to minus infinity off it: the head tends to P.  The bias is
``log b``, or one more dimension, or nothing where ``b`` is uniform.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synth import ContextualDistribution
from synth._array import like, to_numpy
from theory.bound import Claim, NotApplicable, exact, upper
from theory.head import Head, HeadSpec
from theory.remember import remembered
from theory.truncation import UNSEEN_MARGIN

AGREEMENT = 1e-12
"""Deviation of log-ratios from a constant, relative to the largest logarithm above 1, up to which two laws agree."""

BLOCK_ENTRIES = 2**20
"""Entries of the table looked at together."""

LOG2_RANGE = 1000
"""Powers of two that the logits of a witness may span in float64."""

LOG2_STEP = 26
"""Largest ``log2 R``: with it the gap is of the order of 1e-13, and more range would buy nothing."""


@dataclass(frozen=True, eq=False)
class Staircase:
    """Levels of tokens (V,) and contexts (C,), and ``log b`` (V,) of the base law, finite on tokens never seen too."""

    token_levels: np.ndarray
    context_levels: np.ndarray
    log_base: np.ndarray
    is_uniform: bool

    @property
    def levels(self) -> int:
        """Number m of different supports."""
        return int(self.context_levels.max()) + 1

    def least_dim(self, bias: bool) -> int:
        """The dimension from which the floor is zero: 2 where the base law needs one of its own."""
        return 1 if bias or self.is_uniform or self.levels == 1 else 2


@exact("nested-supports")
def nested_supports(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Laws that are one base law conditioned on nested supports cost nothing from one dimension and a bias on.

    Setting: supports totally ordered by inclusion, $p_c \propto b$ on the support of c for one law b.
    Statement: $g_b(1) = 0$ and $g(2) = 0$; also $g(1) = 0$ if b is uniform on the largest support, or all rows agree.
    Side: exact; an infimum, reached as logits diverge.
    Tight when: always; at d = 0 the floor is positive as soon as two supports differ.
    Assumes: unbounded heads; log-ratios constant up to a relative 1e-12.
    Units: nats per token.
    Cost: O(C V) once for all dimensions, less where the first contexts disagree.
    Fails as: not applicable when supports cross, laws disagree, or the dimension is too small.
    Reference: Alon, Moran and Yehudayoff (2016), for sign rank, which is 2 for a staircase of any size.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["nested-supports"](families.staircase(vocab=50, exponent=1.0), HeadSpec(1, bias=True)).value
    0.0
    """
    stairs = _require_staircase(distribution, spec)
    reason = "an infimum, reached as logits diverge"
    return Claim(0.0, certificate={"kind": "nested", "levels": stairs.token_levels}, reason=reason)


@upper("staircase-head")
def staircase_head(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The gap of an actual head for "nested-supports": geometric levels in one dimension.

    Setting: as "nested-supports".
    Statement: $g_b(1) \le \mathrm{gap}(-\varepsilon R^{l_v - l_c} + \log b_v)$,
    $\varepsilon = \min(1, 2 \log(R) / R)$, R the largest power of two up to $2^{26}$ whose levels fit float64.
    Side: upper.
    Tight when: up to 39 levels: R = 2^26 and the gap is below 1e-12.
    Assumes: nothing more.
    Units: nats per token.
    Cost: one evaluation.
    Fails as: as "nested-supports", and not applicable beyond 501 levels, where R would fall below 4.
    Reference: as "nested-supports".

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["staircase-head"](families.staircase(vocab=9), HeadSpec(dim=1)).value < 1e-12
    True
    """
    stairs = _require_staircase(distribution, spec)
    reference = distribution.weights
    H, W = _columns(stairs)
    b = like(stairs.log_base, reference) if spec.bias else None
    if stairs.levels == 1 and not spec.bias:
        H, W = np.ones_like(H), stairs.log_base[:, None]
    elif not stairs.is_uniform and not spec.bias:
        H, W = np.hstack([H, np.ones_like(H)]), np.hstack([W, stairs.log_base[:, None]])
    head = Head(like(H, reference), like(W, reference), b)
    return Claim(head.gap(distribution), head)


def _columns(stairs: Staircase) -> tuple[np.ndarray, np.ndarray]:
    """``h`` (C, 1) and ``w`` (V, 1), balanced around 1; their products are exact but for the rounding of ``e``."""
    top = int(stairs.token_levels.max())
    step = min(LOG2_STEP, LOG2_RANGE // max(top, 1))
    if step < 2:
        raise NotApplicable(f"{top + 1} levels exceed the range of float64, which holds {LOG2_RANGE // 2 + 1}")
    # off the support the odds are at most e^{-eR}, on it the error is at most e: both are about R^-2 in the gap
    small = min(1.0, 2 * step * math.log(2) * 2.0**-step)
    middle = top // 2
    w = 2.0 ** (step * (stairs.token_levels - middle))
    return -small * (2.0 ** (step * (middle - stairs.context_levels)))[:, None], w[:, None]


def _require_staircase(distribution: ContextualDistribution, spec: HeadSpec) -> Staircase:
    """The levels, or ``NotApplicable``."""
    stairs = _staircase(distribution)
    if isinstance(stairs, str):
        raise NotApplicable(stairs)
    least = stairs.least_dim(spec.bias)
    if spec.dim < least:
        raise NotApplicable(f"{stairs.levels} nested supports have floor zero from d = {least} on")
    return stairs


@remembered
def _staircase(distribution: ContextualDistribution) -> Staircase | str:
    """The levels of a table with nested supports and one base law; a sentence says why there are none."""
    sizes, context_levels = np.unique(distribution.support_sizes, return_inverse=True)
    log_base = _row(distribution, int(np.argmax(distribution.support_sizes)))
    token_levels = np.full(distribution.vocab, len(sizes), dtype=np.int64)
    for level in reversed(range(len(sizes))):  # one context speaks for all of its size; the others are checked below
        token_levels[np.isfinite(_row(distribution, int(np.argmax(context_levels == level))))] = level
    seen = np.isfinite(log_base)
    crossing = "the supports are not nested: two of them cross, or differ at equal size"
    if np.any(seen != (token_levels < len(sizes))):
        return crossing
    tolerance = AGREEMENT * max(1.0, -float(log_base[seen].min()))
    for start, rows in _row_blocks(distribution):
        inside = np.isfinite(rows)
        if np.any(inside != (token_levels <= context_levels[start : start + len(rows), None])):
            return crossing
        ratios = np.where(inside, rows, 0.0) - np.where(inside, log_base, 0.0)
        highest = np.where(inside, ratios, -np.inf).max(axis=1)
        if np.any(highest - np.where(inside, ratios, np.inf).min(axis=1) > tolerance):
            return "the supports are nested, but the laws on them are not one base law conditioned"
    is_uniform = bool(np.ptp(log_base[seen]) <= tolerance)
    filled = np.where(seen, log_base, float(log_base[seen].min()) - UNSEEN_MARGIN)
    return Staircase(token_levels, context_levels.astype(np.int64), filled, is_uniform)


def _row(distribution: ContextualDistribution, context: int) -> np.ndarray:
    """Log-probabilities (V,) of one context on the host."""
    return to_numpy(distribution.table.block(context, context + 1))[0]


def _row_blocks(distribution: ContextualDistribution) -> Iterator[tuple[int, np.ndarray]]:
    """First context and log-probabilities of a block of contexts after another, on the host."""
    step = max(1, BLOCK_ENTRIES // distribution.vocab)
    for start in range(0, distribution.contexts, step):
        yield start, to_numpy(distribution.table.block(start, min(start + step, distribution.contexts)))
