"""What a coarse float format costs whatever the rank: logits are numbers of a finite set.

Whatever made them, the logits of a context are numbers of the format F.  By the separable identity, with u free,

    KL(p | softmax f) = min_u sum_v p_v rho(f_v - u - log p_v) + (zeros) >= min_u Phi(u),
    Phi(u) = sum_v p_v m(u + log p_v),     m(x) = min_{f in F} rho(f - x),                                       (1)

a problem in one variable: every token takes one of the two numbers beside ``x_v = u + log p_v``.  On a cell
``u_0 <= u <= u_1`` the token costs nothing if a number lies between its ends ``x_0, x_1``; else, a and b the numbers
beside, at least ``min(rho(a - x_0), rho(b - x_1))``, since ``rho(a - x)`` grows and ``rho(b - x)`` falls with x.  So a
partition of the line into cells proves a lower bound on (1).

The line is cut at ``|u| = K + r``, ``r = max |log p|``, K a power of two.  Beyond, all ``|x_v| >= K``, where F is part
of a uniform grid of the spacing s at K, and Phi is at least its counterpart on that grid, which has the period s: one
period is partitioned instead.  If K reaches the largest number nothing beyond need be looked at, since Phi only grows.
Contexts and tokens may be left out, as every term is non-negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth import ContextualDistribution, logspace
from synth._array import to_numpy
from theory.bound import Claim, NotApplicable, lower
from theory.formats import FloatFormat, float_format
from theory.head import HeadSpec
from theory.remember import remembered

CONTEXTS, TOKENS = 128, 64
"""Contexts of largest weight and tokens of largest probability in each that are looked at."""

CELLS = 2**13
"""Cells of one partition."""

DIGITS = 12
"""Digits from which the cost is below what a partition of this size can show."""

SPLIT = 4
"""Parts into which a cell is cut."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Cells ``[low, high]`` of u, those marked ``tail`` of one period of the uniform grid, and the bound they prove.

    ``level`` is the u of least Phi found on the line.
    """

    low: np.ndarray
    high: np.ndarray
    tail: np.ndarray
    value: float
    level: float


@lower("precision-floor", rounded=True)
def precision_floor(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The least divergence of rows whose logits are numbers of a coarse format, whatever their rank.

    Setting: any distribution; heads whose logits are rounded to a format F of fewer than 12 digits.
    Statement: $g_F(d) \ge \sum_c \pi_c \min_u \sum_v p_{cv} \min_{f \in F} \rho(f - u - \log p_{cv})$, over the 128
    heaviest contexts and 64 tokens in each, the minimum bounded below by cells.
    Side: lower.
    Tight when: $d \ge \min(V - 1, C)$, P positive and small: then it is the floor up to a tenth.
    Assumes: a float format.  Uniform laws cost nothing.
    Units: nats per token.
    Cost: up to 8192 cells x 64 tokens a context, once for each format.
    Fails as: not applicable without a coarse format; 0 where the cells are wider than what they must resolve.
    Reference: the "separable identity" of the notation page.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.zipf(contexts=4, vocab=8, rank=4)
    >>> 1e-5 < catalogue["precision-floor"](laws, HeadSpec(7, float_format="fp8-e4m3")).value < 1e-4
    True
    """
    if spec.float_format is None or float_format(spec.float_format).digits >= DIGITS:
        raise NotApplicable(f"needs logits in a format of fewer than {DIGITS} digits; finer ones cost next to nothing")
    contexts, partitions = _partitions(distribution, spec.float_format)
    weights = to_numpy(distribution.weights)[contexts]
    value = float(weights @ np.array([partition.value for partition in partitions]))
    cells = [(partition.low, partition.high, partition.tail) for partition in partitions]
    return Claim(value, certificate={"kind": "precision", "contexts": contexts, "tokens": TOKENS, "cells": cells})


@remembered
def _partitions(distribution: ContextualDistribution, name: str) -> tuple[np.ndarray, tuple[Partition, ...]]:
    """The heaviest contexts and a partition for each."""
    weights = to_numpy(distribution.weights)
    contexts = np.sort(np.argsort(-weights, kind="stable")[:CONTEXTS])
    rows = [to_numpy(distribution.table.block(int(c), int(c) + 1))[0] for c in contexts]
    return contexts, tuple(_partition(leading(row), float_format(name)) for row in rows)


def nearest_rows(distribution: ContextualDistribution, name: str) -> np.ndarray:
    """Logits (C, V) in the format, beside ``log p + u`` at the best u found; u = 0 for contexts not looked at."""
    contexts, partitions = _partitions(distribution, name)
    levels, fmt = np.zeros(distribution.contexts), float_format(name)
    levels[contexts] = [partition.level for partition in partitions]
    log_p = to_numpy(distribution.table.block(0, distribution.contexts))
    x = np.where(np.isfinite(log_p), log_p, -fmt.largest) + levels[:, None]
    below, above = fmt.below(np.maximum(x, -fmt.largest)), -fmt.below(-np.minimum(x, fmt.largest))
    return np.where(logspace.rho(below - x) <= logspace.rho(above - x), below, above)


def leading(row: np.ndarray) -> np.ndarray:
    """The largest finite log-probabilities of a row, in order."""
    return np.sort(row[np.isfinite(row)])[::-1][:TOKENS]


def _partition(log_p: np.ndarray, fmt: FloatFormat) -> Partition:
    """Cut the cells that could hold the least value, until they cannot or are too many."""
    edge, spacing = line(log_p, fmt)
    edges, period = np.linspace(-edge, edge, 257), np.linspace(0.0, spacing, 17)
    low, high = np.append(edges[:-1], period[:-1]), np.append(edges[1:], period[1:])
    tail = np.append(np.zeros(256, dtype=bool), np.full(16, spacing > 0))
    low, high, tail = (part[: 256 + 16 * int(spacing > 0)] for part in (low, high, tail))
    done: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    best, least, kept = (math.inf, 0.0), math.inf, 0
    while True:
        middle = (low + high) / 2
        there = _cells(log_p, middle, middle, tail, fmt)
        least = min(least, float(there.min()))
        on_line = np.where(tail, np.inf, there)
        best = min(best, (float(on_line.min()), float(middle[on_line.argmin()])))
        floors = _cells(log_p, low, high, tail, fmt)
        cut = (floors < 0.9 * least) & (high - low > 1e-9 * edge)
        kept += int(np.count_nonzero(~cut))
        if not cut.any() or kept + SPLIT * int(np.count_nonzero(cut)) > CELLS or least < 1e-12:
            cut[:] = False
        done.append((low[~cut], high[~cut], tail[~cut], floors[~cut]))
        if not cut.any():
            break
        ends = low[cut][:, None] + (high - low)[cut][:, None] * np.arange(SPLIT + 1) / SPLIT
        ends[:, -1] = high[cut]
        low, high, tail = ends[:, :-1].ravel(), ends[:, 1:].ravel(), np.repeat(tail[cut], SPLIT)
    low, high, tail, floors = (np.concatenate(parts) for parts in zip(*done, strict=True))
    return Partition(low, high, tail, max(0.0, float(floors.min()) * (1 - 1e-9) - 1e-14), best[1])


def line(log_p: np.ndarray, fmt: FloatFormat) -> tuple[float, float]:
    """Where the line is cut, ``K + r``, and the spacing of the grid beyond, 0 if nothing lies beyond."""
    r = float(np.abs(log_p).max())
    K = 2.0 ** math.ceil(math.log2(max(2 * r, 1.0)))
    return (K + r, K * 2 * fmt.roundoff) if fmt.largest > K else (fmt.largest + r, 0.0)


def _cells(log_p: np.ndarray, low: np.ndarray, high: np.ndarray, tail: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """The least of Phi on each cell, from below."""
    x0, x1 = low[:, None] + log_p, high[:, None] + log_p
    spacing = line(log_p, fmt)[1] or 1.0
    below = np.where(tail[:, None], np.floor(x1 / spacing) * spacing, fmt.below(x1))
    above = np.where(tail[:, None], np.ceil(x0 / spacing) * spacing, -fmt.below(-x0))
    under = np.where(np.isfinite(below), logspace.rho(np.where(np.isfinite(below), below, x0) - x0), np.inf)
    over = np.where(np.isfinite(above), logspace.rho(np.where(np.isfinite(above), above, x1) - x1), np.inf)
    return np.where(below >= x0, 0.0, np.minimum(under, over)) @ np.exp(log_p)
