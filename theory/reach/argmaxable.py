"""Which tokens can be the argmax of a head at all.

Token v can win iff ``w_v`` is a vertex of the convex hull of the rows of W (with a bias: of their upper hull when
lifted by b) and no other token has the same row.  Most tokens of a trained head are settled by a matrix product:

    own direction       h = w_v - mean(w): it wins for the tokens of the largest norm;
    whitened direction  h = S^-1 (w_v - mean(w)), S the second moment of the rows: it wins for most others;
    given directions    hidden states of a corpus: whatever they choose can win;
    duplicates          the same row as another token and no larger bias: it cannot win.

The others take one linear programme each (``theory.reach.topm``).  A direction counts as a win only if its margin
exceeds the bound on the rounding of all logits, so every verdict is proved, whichever test gave it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from synth._array import Array, to_numpy
from theory.reach.points import Points, points, token_list
from theory.reach.proof import EPS, Hull, Win
from theory.reach.topm import Reach, Reachability, separate

BLOCK_ENTRIES = 2**23
"""Logits formed at once (64 MiB)."""

Progress = Callable[[int, int], None]
"""Called with the number of linear programmes done and the number needed."""


class By(Enum):
    """What settled a token."""

    OWN = "its own direction"
    WHITENED = "its whitened direction"
    GIVEN = "a direction given"
    DUPLICATE = "another token with the same row and no smaller bias"
    PROGRAMME = "a linear programme"
    NOTHING = "nothing yet"

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Argmaxable:
    """One verdict per token: ``status`` and ``by`` are tuples of length V, ``certificate(v)`` what proves it.

    ``found`` holds the certificates of programmes and duplicates, ``wins`` a scale and the number of a given direction
    for every token that a direction settled; its hidden state is formed when it is asked for.
    """

    status: tuple[Reach, ...]
    by: tuple[By, ...]
    found: dict[int, Reachability] = field(repr=False)
    wins: dict[int, tuple[float, int]] = field(repr=False)
    prepared: Points = field(repr=False)
    given: np.ndarray = field(repr=False)

    def tokens(self, status: Reach) -> np.ndarray:
        """The tokens with one verdict."""
        return np.flatnonzero(np.array([found is status for found in self.status]))

    def counts(self) -> dict[str, int]:
        """Tokens by verdict and test, as ``{"reachable by own": n, ...}``."""
        names = [f"{status} by {by}" for status, by in zip(self.status, self.by, strict=True)]
        return {name: names.count(name) for name in sorted(set(names))}

    def certificate(self, token: int) -> Reachability:
        """The verdict on one token as ``top_m`` would give it, certificate included."""
        if token in self.found:
            return self.found[token]
        here = np.array([token])
        if token not in self.wins:
            return Reachability(Reach.UNDECIDED, here)
        scale, place = self.wins[token]
        h = _directions(self.prepared, self.by[token], here, self.given[place : place + 1])[0]
        return Reachability(Reach.REACHABLE, here, Win(scale * h))


def argmaxable(
    W: Array,
    b: Array | None = None,
    directions: Array | None = None,
    most_programmes: int | None = None,
    progress: Progress | None = None,
    tokens: Array | None = None,
) -> Argmaxable:
    """A proved verdict for every token of the head ``W`` (V, d), ``b`` (V,): whether it can be the strict argmax.

    ``directions`` (N, d) are hidden states to try first; ``most_programmes`` limits the linear programmes, tokens
    beyond it stay undecided; ``progress`` hears of each.  Given ``tokens``, the others stay undecided but for what
    duplicates and the given directions tell.
    Cost: two products of V x d by d x V, streamed (n x d by d x V for n ``tokens``), then per remaining token a few
    linear programmes with d + 3 unknowns.
    Source: Demeter, Kimmel and Downey (2020); Grivas, Bogoychev and Lopez (2022).

    >>> found = argmaxable(np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0], [0.0, 0.0], [1.0, 0.0]]))
    >>> [str(status) for status in found.status]
    ['unreachable', 'reachable', 'reachable', 'unreachable', 'unreachable']
    """
    prepared = points(W, b)
    vocab = prepared.vocab
    status, by = [Reach.UNDECIDED] * vocab, [By.NOTHING] * vocab
    given = np.zeros((0, prepared.dim)) if directions is None else np.asarray(to_numpy(directions), dtype=np.float64)
    found, wins = dict[int, Reachability](), dict[int, tuple[float, int]]()
    for token, twin in _duplicates(prepared).items():
        one = np.ones(1)
        status[token], by[token] = Reach.UNREACHABLE, By.DUPLICATE
        hull = Hull(np.array([token]), np.array([twin]), one, one)
        found[token] = Reachability(Reach.UNREACHABLE, np.array([token]), hull, 0.0)
    asked = np.arange(vocab) if tokens is None else token_list(tokens, vocab)
    for test in (By.GIVEN, By.OWN, By.WHITENED):
        left = np.array([token for token in asked if status[token] is Reach.UNDECIDED], dtype=np.int64)
        for token, win in _cheap_wins(prepared, test, left, given).items():
            if status[token] is Reach.UNDECIDED:
                status[token], by[token], wins[token] = Reach.REACHABLE, test, win
    left = np.array([token for token in asked if status[token] is Reach.UNDECIDED], dtype=np.int64)
    for done, token in enumerate(left[:most_programmes]):
        verdict = separate(prepared, np.array([token]))
        found[int(token)], status[token], by[token] = verdict, verdict.status, By.PROGRAMME
        if progress is not None:
            progress(done + 1, len(left[:most_programmes]))
    return Argmaxable(tuple(status), tuple(by), found, wins, prepared, given)


def _duplicates(prepared: Points) -> dict[int, int]:
    """Tokens whose row another token has with at least their bias, and that token."""
    _, group = np.unique(prepared.W, axis=0, return_inverse=True)
    bias = np.zeros(prepared.vocab) if prepared.b is None else prepared.b
    order = np.lexsort((-bias, group.ravel()))
    groups = group.ravel()[order]
    twins = dict[int, int]()
    first = 0
    for place in range(1, len(order)):
        if groups[place] != groups[first]:
            first = place
            continue
        best, token = int(order[first]), int(order[place])
        twins[token] = best
        if place == first + 1 and bias[best] == bias[token]:
            twins[best] = token
    return twins


def _directions(prepared: Points, test: By, tokens: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The hidden states (n, d) that one test tries: one for each of ``tokens``, or those given."""
    if test is By.GIVEN:
        return given
    return prepared.W[tokens] - prepared.W.mean(axis=0) if test is By.OWN else prepared.X[tokens] @ prepared.basis.T


def _cheap_wins(prepared: Points, test: By, left: np.ndarray, given: np.ndarray) -> dict[int, tuple[float, int]]:
    """Scale and number of the direction that settles a token, a block of directions at a time."""
    wins, step = dict[int, tuple[float, int]](), max(1, BLOCK_ENTRIES // prepared.vocab)
    for start in range(0, len(given) if test is By.GIVEN else len(left), step):
        here = left[start : start + step]
        states = _directions(prepared, test, here, given[start : start + step])
        logits = states @ prepared.W.T
        if test is By.GIVEN:
            here = (logits + (0.0 if prepared.b is None else prepared.b)).argmax(axis=1)
        scales = _winning_scales(prepared, logits, here, states, fixed=test is By.GIVEN)
        places = range(start, start + len(here))
        wins |= {int(token): (float(s), c) for token, s, c in zip(here, scales, places, strict=True) if s > 0}
    return wins


def _winning_scales(
    prepared: Points, logits: np.ndarray, tokens: np.ndarray, states: np.ndarray, fixed: bool
) -> np.ndarray:
    """For each state h a scale s > 0 such that ``s h`` makes its token win for certain; 0 where none was found.

    With ``m_u = (w_v - w_u) . h`` and ``B_u = b_v - b_u`` the margin over u is ``s m_u + B_u``.
    """
    rows = np.arange(len(tokens))
    margins = logits[rows, tokens][:, None] - logits
    margins[rows, tokens] = np.inf
    norms = np.linalg.norm(states, axis=1)
    room = 4 * (prepared.dim + 2) * EPS
    rounding = room * norms[:, None] * (prepared.norms + prepared.norms[tokens][:, None])
    if prepared.b is None:
        return np.where((margins > rounding).all(axis=1), 1.0, 0.0)
    lead = prepared.b[tokens][:, None] - prepared.b
    lead[rows, tokens] = 1.0
    if fixed:
        scale = np.ones(len(tokens))
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            least = np.where(margins > 0, -lead / margins, 0.0).max(axis=1).clip(0.0)
            most = np.where(margins < 0, -lead / margins, np.inf).min(axis=1)
        scale = np.where(np.isfinite(most), (least + most) / 2, 2 * least + 1.0)
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 0.0)
    margins[rows, tokens] = 0.0
    total = scale[:, None] * margins + lead
    limit = scale[:, None] * rounding + room * (np.abs(prepared.b) + np.abs(prepared.b[tokens])[:, None])
    total[rows, tokens] = np.inf
    return np.where((total > limit).all(axis=1), scale, 0.0)
