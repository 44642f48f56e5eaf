"""Heads made to fit a budget: known heads, balanced, shrunk row by row and rounded.

A head that leaves the class is shrunk towards the uniform law: its logits ``A = H W'`` are multiplied by one factor for
each context and its bias by another.  The divergence of a context is convex in its factor, and factor 0 is always
within limits, so a few factors are tried and the best that fits is kept.  Before that the head is written in the
balanced gauge ``H = U S^{1/2}, W = V S^{1/2}``, its tokens moved by a common vector (lost in the gauge of softmax), so
that a norm is not wasted and small logits fall where floats are dense.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from synth import ContextualDistribution
from synth._array import like, to_numpy
from theory.bound import Claim, NotApplicable, catalogue, upper
from theory.bounds.budget_precision import DIGITS, nearest_rows
from theory.bounds.budget_range import clipped, row_levels
from theory.formats import float_format
from theory.head import Head, HeadSpec
from theory.truncation import Anchor, unigram_truncation

ENTRIES = 2**20
"""Entries (C V) beyond which no head is fitted into a budget."""

ROOM = 1e-12
"""Relative room left below a limit, for the rounding of logits and norms."""

FACTORS = np.concatenate([np.linspace(1.0, 0.1, 19), [0.05, 0.02, 0.0]])
"""Factors of a row's logits, in units of the largest that the norm allows."""

BIASES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Factors of the bias."""

SHARES = (0.01, 0.3)
"""Smoothing of zeros before a table is truncated."""

NAMES = ("unigram", "full-rank", "plug-in-svd", "plug-in-unigram", "staircase-head")
"""Bounds of the catalogue whose witnesses are candidates."""

BATCH = 2**20
"""Logits tried at once."""


@upper("budget-head", rounded=True)
def budget_head(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The best of a few known heads after each was shrunk and rounded into the limits.

    Setting: any distribution; heads with a limit on the logit range, the norm or the float format.
    Statement: $g(d) \le \mathrm{gap}$ of the witness, whose logits are rounded if the class rounds.
    Side: upper.
    Tight when: $d \ge \min(C, V)$ and the range binds ("range-floor") or a coarse format does ("precision-floor"):
    their optimal rows are members.
    Assumes: nothing more; the uniform law is always a candidate unless max_underestimate forbids it.
    Units: nats per token.
    Cost: about a hundred evaluations of the table for each candidate.
    Fails as: not applicable without such a limit, or on large tables.
    Reference: the candidates are those of the catalogue.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> pairs, bound = families.all_k_subsets(6, 2), catalogue["budget-head"]
    >>> [round(bound(pairs, HeadSpec(4, logit_range=B)).value, 3) for B in (10.0, 100.0)]
    [0.097, 0.0]
    """
    if spec.logit_range is None and spec.norm is None and spec.float_format is None:
        raise NotApplicable("needs a budget; set logit_range, norm or float_format in the HeadSpec")
    if distribution.contexts * distribution.vocab > ENTRIES:
        raise NotApplicable(
            f"{distribution.contexts} x {distribution.vocab} logits exceed {ENTRIES}; restrict contexts"
        )
    log_p, best, value = to_numpy(distribution.table.block(0, distribution.contexts)), None, math.inf
    for candidate in _candidates(distribution, log_p, spec):
        as_it_is = replace(candidate, float_format=spec.float_format)
        for head in (as_it_is, _within(candidate, distribution, log_p, spec)):
            if head.belongs_to(spec, distribution):
                gap = head.gap(distribution)
                best, value = (head, gap) if gap < value else (best, value)
    if best is None:
        raise NotApplicable("no candidate fits all limits together; allow a larger max_underestimate")
    return Claim(value, best)


def _candidates(distribution: ContextualDistribution, log_p: np.ndarray, spec: HeadSpec) -> Iterator[Head]:
    """Heads of the dimension and bias of the class: no logits, those of upper bounds, truncations, clipped rows."""
    free = HeadSpec(spec.dim, spec.bias)
    C, V, reference = distribution.contexts, distribution.vocab, distribution.weights
    yield Head(like(np.zeros((C, spec.dim)), reference), like(np.zeros((V, spec.dim)), reference))
    for name in NAMES:
        bound = catalogue[name](distribution, free)
        if bound.witness is not None:
            yield bound.witness
    widest = spec.effective_range if spec.effective_range < math.inf else None
    for limited in {free, replace(free, logit_range=widest)}:
        bound = catalogue["moment-curve"](distribution, limited)
        if bound.witness is not None:
            yield bound.witness
    for share in SHARES:
        yield unigram_truncation(distribution, spec.dim, spec.bias, share)
    if spec.float_format is not None and float_format(spec.float_format).digits < DIGITS and spec.dim >= min(C, V):
        rows = nearest_rows(distribution, spec.float_format)
        H, W = (rows, np.eye(V)) if V <= C else (np.eye(C), rows.T)
        yield Head(like(H, reference), like(W, reference))
    if widest is not None:
        rows = clipped(log_p, row_levels(distribution, widest)[0], widest)
        table = ContextualDistribution.from_logits(like(rows, reference), reference)
        for anchor in (Anchor.NONE, Anchor.MEAN) if spec.bias else (Anchor.NONE,):
            yield unigram_truncation(table, spec.dim, spec.bias, 0.0, anchor)


def _within(head: Head, distribution: ContextualDistribution, log_p: np.ndarray, spec: HeadSpec) -> Head:
    """The candidate, balanced, with the best factors found on a grid of those that keep the limits."""
    marginal = to_numpy(distribution.marginal)
    best, value = head, math.inf
    weights = to_numpy(distribution.weights)
    b = None if head.b is None else to_numpy(head.b)
    for base in (np.full(len(marginal), 1 / len(marginal)), marginal):
        H, W = _balanced(to_numpy(head.H), to_numpy(head.W), base)
        for factor in BIASES if b is not None else (0.0,):
            bias = np.zeros(len(W)) if b is None else factor * (b - base @ b)
            factors, costs = _row_factors(H, W, bias, log_p, spec)
            if float(weights @ costs) < value:
                value = float(weights @ costs)
                rows, reference = factors[:, None] * H, distribution.weights
                kept = like(bias, reference) if b is not None else None
                best = Head(like(rows, reference), like(W, reference), kept, spec.float_format)
    return best


def _balanced(H: np.ndarray, W: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The head in the balanced gauge, its tokens of mean zero under the law ``base``."""
    if H.shape[1] == 0:
        return H, W
    Qh, Rh = np.linalg.qr(H)
    Qw, Rw = np.linalg.qr(W - base @ W)
    U, sigma, Vt = np.linalg.svd(Rh @ Rw.T)
    kept = min(len(U), len(Vt))
    root = np.sqrt(sigma[:kept])
    return Qh @ U[:, :kept] * root, Qw @ Vt[:kept].T * root


def _row_factors(
    H: np.ndarray, W: np.ndarray, bias: np.ndarray, log_p: np.ndarray, spec: HeadSpec
) -> tuple[np.ndarray, np.ndarray]:
    """The best factor of each row that keeps range and norm, and its divergence; +inf where none does."""
    sizes = np.linalg.norm(H, axis=1) * max(float(np.linalg.norm(W, axis=1).max(initial=0.0)), 0.0)
    top = np.ones(len(H))
    if spec.norm is not None:
        room = spec.norm * (1 - ROOM) - float(np.abs(bias).max())
        if room < 0:
            return np.zeros(len(H)), np.full(len(H), np.inf)
        top = np.minimum(1.0, room / np.maximum(sizes, 1e-300))
    A, widest = H @ W.T, math.inf if spec.logit_range is None else spec.logit_range * (1 - ROOM)
    if widest < math.inf:
        room = max(widest * (1 - ROOM) - float(np.ptp(bias)), 0.0)
        top = np.minimum(top, room / np.maximum(np.ptp(A, axis=1), 1e-300))
    best, value = np.zeros(len(H)), np.full(len(H), np.inf)
    for factors in np.array_split(FACTORS, min(len(FACTORS), 1 + len(FACTORS) * A.size // BATCH)):
        logits = factors[:, None, None] * (top[:, None] * A) + bias
        if spec.float_format is not None:
            logits = float_format(spec.float_format).round(logits)
        costs = np.where(np.ptp(logits, axis=2) <= widest, _divergence(log_p, logits), np.inf)
        place, least = costs.argmin(axis=0), costs.min(axis=0)
        best, value = np.where(least < value, factors[place] * top, best), np.minimum(least, value)
    return best, value


def _divergence(log_p: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """``KL(p | softmax(logits))`` of each row, for a stack (n, C, V) of logits, shape (n, C)."""
    top = logits.max(axis=2, keepdims=True)
    log_q = logits - top - np.log(np.exp(logits - top).sum(axis=2, keepdims=True))
    inside = np.isfinite(log_p)
    p, finite = np.exp(log_p), np.where(inside, log_p, 0.0)
    return (p * finite).sum(axis=1) - (p * np.where(inside, log_q, 0.0)).sum(axis=2)
