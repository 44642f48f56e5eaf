"""Can a head put a given set of m tokens on top?  One linear programme, answered with a certificate either way.

In the lifted coordinates of ``theory.reach.points`` let g be the mean of S less the mean of the others, G its lift.
The programme moves the two hulls towards each other along g until they meet,

    minimise z >= 0  over convex weights l on S, m outside:   sum l X_i - sum m X_j = z g,
                                                              sum l beta_i - sum m beta_j <= z G,                  (1)

starting from the means, z = 1.  If it ends at z = 0 its weights are a ``Hull``, on no more tokens than equations.
If not, its multipliers x, t >= 0 satisfy ``x . X_i + t beta_i >= x . X_j + t beta_j + z`` for all i in S, j outside,
and ``h = x / t`` puts S on top (a strict inequality at t = 0 stays one for small t > 0).
With many tokens the weights outside are generated: tokens that the current h violates most enter, until h wins against
all of them or some of them already prove that it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from synth._array import Array
from theory.reach.points import Points, points, token_set
from theory.reach.proof import Hull, Win, distance, proves_hull, proves_win

ALL_AT_ONCE = 1000
"""Tokens up to which every constraint is posed from the start."""

ROUNDS = 60
"""Rounds of constraint generation."""

TOLERANCE = 1e-10
"""Feasibility asked of the linear programmes, in coordinates of unit mean square."""

SMALL = 1e-12
"""Multipliers below it are rounding: they name no token of a hull."""


class Reach(Enum):
    """The verdict on a set of tokens; each member says what it rests on."""

    REACHABLE = "reachable: a hidden state puts the set on top, proved from the numbers as they are"
    UNREACHABLE = "unreachable: convex hulls meet, proved from the numbers as they are"
    UNDECIDED = "undecided: within rounding of the border, or a limit was met"

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Reachability:
    """A verdict with its certificate: ``Win`` if reachable, ``Hull`` if not, the last one found if undecided.

    ``margin`` limits what an undecided set can be won by: no hidden state of norm 1 does it by more.
    """

    status: Reach
    tokens: np.ndarray
    certificate: Win | Hull | None = None
    margin: float = np.inf
    programmes: int = 0


def top_m(W: Array, tokens: Any, b: Array | None = None) -> Reachability:
    """Whether some hidden state gives the ``tokens`` the m largest logits of the head ``W`` (V, d), ``b`` (V,).

    Strictly: a tie between a token of the set and another is not on top.  Raises ``ValueError`` for sets that are
    empty, everything, or name no token.  Cost: at most 60 linear programmes with d + 3 unknowns, usually one (V up to
    1000) or a few, and a product ``W h`` for each; HiGHS through SciPy.

    >>> square = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [0.1, 0.2]])
    >>> str(top_m(square, [0, 1]).status), str(top_m(square, [0, 2]).status), str(top_m(square, [4]).status)
    ('reachable', 'unreachable', 'unreachable')
    """
    prepared = points(W, b)
    return separate(prepared, token_set(tokens, prepared.vocab))


def recheck(found: Reachability, W: Array, b: Array | None = None) -> bool:
    """Whether the certificate of a decided verdict proves it for this head, without any linear programme."""
    prepared = points(W, b)
    return proves(found, prepared)


def proves(found: Reachability, prepared: Points) -> bool:
    """``recheck`` on prepared points."""
    if found.status is Reach.REACHABLE and isinstance(found.certificate, Win):
        return proves_win(prepared, found.tokens, found.certificate.h)
    if found.status is Reach.UNREACHABLE and isinstance(found.certificate, Hull):
        return proves_hull(prepared, found.tokens, found.certificate)
    return False


def separate(prepared: Points, tokens: np.ndarray) -> Reachability:
    """The verdict on ``tokens`` (checked by ``token_set``) by constraint generation."""
    outside = np.setdiff1d(np.arange(prepared.vocab), tokens)
    start = prepared.X[tokens].mean(axis=0)
    chosen, batch = outside, len(outside)
    if prepared.vocab > ALL_AT_ONCE:
        batch = 2 * prepared.dim + 50
        heights = prepared.X[outside] @ start
        chosen = outside[np.argsort(-heights, kind="stable")[: 2 * batch]]
    last: Hull | None = None
    for programmes in range(1, ROUNDS + 1):
        h, hull = _programme(prepared, tokens, chosen)
        if hull is not None:
            last = hull
            if proves_hull(prepared, tokens, hull):
                return Reachability(Reach.UNREACHABLE, tokens, hull, 0.0, programmes)
        if proves_win(prepared, tokens, h):
            return Reachability(Reach.REACHABLE, tokens, Win(h), np.inf, programmes)
        more = _violated(prepared, tokens, np.setdiff1d(outside, chosen), h)[:batch]
        if len(more) == 0:
            break
        chosen = np.union1d(chosen, more)
    margin = np.inf if last is None else distance(prepared, last)
    return Reachability(Reach.UNDECIDED, tokens, last, margin, programmes)


def _violated(prepared: Points, tokens: np.ndarray, others: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Tokens of ``others`` whose logit in ``h`` reaches that of a token of the set, worst first."""
    logits = prepared.W @ h + (0.0 if prepared.b is None else prepared.b)
    over = logits[others] - logits[tokens].min()
    order = np.argsort(-over, kind="stable")
    return others[order[over[order] >= 0]]


def _programme(prepared: Points, tokens: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, Hull | None]:
    """The hidden state that the multipliers of (1) give against ``outside``, and the hull where its value is zero."""
    from scipy.optimize import linprog

    rows, n, rest = np.concatenate([tokens, outside]), len(tokens), len(outside)
    sign = np.concatenate([np.ones(n), -np.ones(rest)])
    X = np.column_stack([prepared.X[rows], np.zeros(len(rows)) if prepared.beta is None else prepared.beta[rows]])
    apart = X[:n].mean(axis=0) - X[n:].mean(axis=0)
    A = np.vstack([sign > 0, sign < 0, sign * X.T]).astype(np.float64)
    A = np.column_stack([A, np.concatenate([[0.0, 0.0], -apart])])
    right = np.zeros(len(A))
    right[:2] = 1.0
    lifted = {} if prepared.beta is None else {"A_ub": A[-1:], "b_ub": np.zeros(1)}
    options = {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
    cost = np.append(np.zeros(len(rows)), 1.0)
    found = linprog(cost, A_eq=A[:-1], b_eq=right[:-1], **lifted, method="highs", options=options)
    if found.x is None:
        return np.zeros(prepared.dim), None
    y = found.eqlin.marginals
    slope, t = -y[2:], float(-found.ineqlin.marginals[0]) if lifted else 0.0
    levels = -sign * (X[:, :-1] @ slope - (y[0] - y[1]) / 2)
    t = _height(levels, -sign * X[:, -1], t)
    return prepared.hidden(slope, t), _hull(found.x[:-1], tokens, outside) if found.x[-1] < SMALL else None


def _height(levels: np.ndarray, slopes: np.ndarray, t: float) -> float:
    """A height t > 0: the one found, or where it is zero one that keeps half of the slack ``-levels``."""
    rising = slopes > 0
    if t > TOLERANCE or not rising.any():
        return t if t > 0 else 1.0
    room = float((-levels[rising] / slopes[rising]).min())
    return min(room / 2, 1.0) if room > 0 else 1.0


def _hull(weights: np.ndarray, tokens: np.ndarray, outside: np.ndarray) -> Hull | None:
    inside, rest = weights[: len(tokens)], weights[len(tokens) :]
    kept_in, kept_out = inside > SMALL, rest > SMALL
    if not (kept_in.any() and kept_out.any()):
        return None
    return Hull(
        tokens[kept_in],
        outside[kept_out],
        inside[kept_in] / inside[kept_in].sum(),
        rest[kept_out] / rest[kept_out].sum(),
    )
