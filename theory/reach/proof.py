"""Certificates of reachability, and their proof without a linear programme.

A set S of tokens is *reachable* when some hidden state h gives every token of S a strictly larger logit than every
other token.  By the theorem of the alternative exactly one of these exists:

    Win    h with  w_i . h + b_i > w_j . h + b_j  for all i in S, j outside;
    Hull   convex weights l on S and m outside with  sum l_i w_i = sum m_j w_j  and  sum l_i b_i <= sum m_j b_j.

Either is a statement about real numbers.  A ``Win`` is proved by comparing logits with a bound on their rounding, and
where that does not decide by rational arithmetic.  A ``Hull`` is proved by showing that the weights of its few tokens
solve the linear system *exactly*: an approximate inverse R of the square system A x = c encloses its solution,
``|x - x0| <= |R (c - A x0)| / (1 - |I - R A|)`` (Krawczyk), and where it is not square, rational elimination solves it.
The entries of W and b are taken as the float64 numbers they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import mul

import numpy as np

from theory.reach.points import Points

EPS = 2.0**-53
"""Unit roundoff of float64."""

RATIONAL_WORK = 10**6
"""Multiplications up to which rational arithmetic is used."""


@dataclass(frozen=True, eq=False)
class Win:
    """A hidden state (d,) in which the tokens are on top."""

    h: np.ndarray


@dataclass(frozen=True, eq=False)
class Hull:
    """Convex weights on some tokens of the set and on some others, whose averages meet."""

    inside: np.ndarray
    outside: np.ndarray
    inside_weights: np.ndarray
    outside_weights: np.ndarray

    @property
    def count(self) -> int:
        """Tokens with weight."""
        return len(self.inside) + len(self.outside)


def proves_win(points: Points, tokens: np.ndarray, h: np.ndarray) -> bool:
    """Whether ``h`` gives every one of ``tokens`` a strictly larger logit than every other token, for certain."""
    if h.shape != (points.dim,) or not np.all(np.isfinite(h)):
        return False
    logits = points.W @ h
    room = points.norms * float(np.linalg.norm(h))
    if points.b is not None:
        logits, room = logits + points.b, room + np.abs(points.b)
    room = 2 * (points.dim + 2) * EPS * room  # |fl(w . h + b) - (w . h + b)| <= (d + 1) eps (|w| |h| + |b|) / (1 - ...)
    inside = np.zeros(points.vocab, dtype=bool)
    inside[tokens] = True
    floor, ceiling = float((logits - room)[inside].min()), float((logits + room)[~inside].max())
    if floor > ceiling:
        return True
    if float((logits + room)[inside].min()) <= float((logits - room)[~inside].max()):
        return False
    close_in = np.flatnonzero(inside & (logits - room <= ceiling))
    close_out = np.flatnonzero(~inside & (logits + room >= floor))
    if (len(close_in) + len(close_out)) * (points.dim + 1) > RATIONAL_WORK:
        return False
    return min(_rational_logits(points, close_in, h)) > max(_rational_logits(points, close_out, h))


def proves_hull(points: Points, tokens: np.ndarray, hull: Hull) -> bool:
    """Whether exact convex weights exist on the tokens that ``hull`` names, for certain."""
    member = np.isin(hull.inside, tokens)
    if not member.all() or np.isin(hull.outside, tokens).any() or min(len(hull.inside), len(hull.outside)) == 0:
        return False
    if hull.count == points.dim + 2 and _encloses(points, hull):
        return True
    return hull.count**2 * (points.dim + 3) <= RATIONAL_WORK and _solves_rationally(points, hull)


def distance(points: Points, hull: Hull) -> float:
    """``|sum l w - sum m w|`` of the weights as given.

    No hidden state of norm 1 puts the set on top by more than this where ``sum l b <= sum m b``: the least margin is
    at most ``sum l_i (w_i . h + b_i) - sum m_j (w_j . h + b_j)``.
    """
    gap = hull.inside_weights @ points.W[hull.inside] - hull.outside_weights @ points.W[hull.outside]
    return float(np.linalg.norm(gap))


def _rational_logits(points: Points, tokens: np.ndarray, h: np.ndarray) -> list[Fraction]:
    state = [Fraction(float(x)) for x in h]
    bias = np.zeros(points.vocab) if points.b is None else points.b
    return [
        sum((Fraction(float(w)) * x for w, x in zip(points.W[v], state, strict=True)), Fraction(float(bias[v])))
        for v in tokens
    ]


def _system(points: Points, hull: Hull) -> np.ndarray:
    """The matrix (d + 2, count) of ``sum l = 1, sum m = 1, sum l w - sum m w = 0``."""
    n, rest = len(hull.inside), len(hull.outside)
    sums = np.vstack([np.r_[np.ones(n), np.zeros(rest)], np.r_[np.zeros(n), np.ones(rest)]])
    return np.vstack([sums, np.hstack([points.W[hull.inside].T, -points.W[hull.outside].T])])


def _signed_bias(points: Points, hull: Hull) -> np.ndarray:
    bias = np.zeros(points.vocab) if points.b is None else points.b
    return np.concatenate([bias[hull.inside], -bias[hull.outside]])


def _encloses(points: Points, hull: Hull) -> bool:
    """Krawczyk's test of the square system, every rounding accounted for by ``n eps |.||.|``."""
    A, c = _system(points, hull), np.zeros(hull.count)
    c[:2] = 1.0
    try:
        R = np.linalg.inv(A)
    except np.linalg.LinAlgError:
        return False
    x = R @ c
    small = 2 * (hull.count + 2) * EPS
    residual = np.abs(c - A @ x) + small * (np.abs(c) + np.abs(A) @ np.abs(x))
    contraction = float(
        (np.abs(np.eye(len(A)) - R @ A) + small * (np.eye(len(A)) + np.abs(R) @ np.abs(A))).sum(1).max()
    )
    if not contraction < 0.5:
        return False
    error = 2 * float((np.abs(R) @ residual).max()) / (1 - contraction)
    bias = _signed_bias(points, hull)
    lift = float(bias @ x) + (error + small) * float(np.abs(bias).sum()) + small * float(np.abs(bias) @ np.abs(x))
    return bool(x.min() > error) and (points.b is None or lift <= 0)


def _solves_rationally(points: Points, hull: Hull) -> bool:
    """Exact weights: eliminate, keep the free ones as given, and look at the signs of the others.

    With a bias ``sum l b = sum m b`` is tried as one more equation: a tie that rounding would break.
    """
    weights = [Fraction(float(x)) for x in np.concatenate([hull.inside_weights, hull.outside_weights])]
    rows = [[Fraction(float(x)) for x in row] for row in _system(points, hull)]
    right = [Fraction(1), Fraction(1)] + [Fraction(0)] * points.dim
    bias = [Fraction(float(x)) for x in _signed_bias(points, hull)]
    for extra in ([], [bias]) if points.b is not None else ([],):
        solution = complete([*rows, *extra], [*right, *([Fraction(0)] * len(extra))], weights)
        if solution is not None and min(solution) >= 0 and sum(map(mul, bias, solution), Fraction(0)) <= 0:
            return True
    return False


def complete(rows: list[list[Fraction]], right: list[Fraction], guess: Sequence[Fraction]) -> list[Fraction] | None:
    """An exact solution of ``rows x = right`` that agrees with ``guess`` in its free unknowns; ``None`` if none is.

    Gauss-Jordan elimination in rational numbers; ``rows`` and ``right`` are copied.
    """
    table = [[*row, value] for row, value in zip(rows, right, strict=True)]
    count, pivots = len(guess), list[int]()
    for column in range(count):
        rank = len(pivots)
        pivot = next((i for i in range(rank, len(table)) if table[i][column] != 0), None)
        if pivot is None:
            continue
        table[rank], table[pivot] = table[pivot], table[rank]
        lead = table[rank][column]
        table[rank] = [x / lead for x in table[rank]]
        for i, row in enumerate(table):
            if i != rank and row[column] != 0:
                factor = row[column]
                table[i] = [x - factor * y for x, y in zip(row, table[rank], strict=True)]
        pivots.append(column)
    if any(row[count] != 0 for row in table[len(pivots) :]):
        return None
    solution = list(guess)
    free = [column for column in range(count) if column not in pivots]
    for row, column in zip(table, pivots, strict=False):
        solution[column] = row[count] - sum((row[j] * guess[j] for j in free), Fraction(0))
    return solution
