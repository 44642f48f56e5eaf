"""Exact rules for which label sets a head can put on top: the oracles that linear programmes are held against.

Curves.  On the curve ``w_v = (t_v, t_v^2, ..., t_v^d)``, ``t_0 < t_1 < ...``, a hidden state and a threshold are a
polynomial of degree d.  It is positive on S and negative elsewhere iff the labels change at most d times along the
curve: every change needs a root, and a polynomial with a root between the tokens of each change does it.  On the closed
curve ``(cos t_v, sin t_v, ..., cos k t_v, sin k t_v)`` the same holds of trigonometric polynomials of degree k = d/2
and the changes around the circle, of which there are at most 2k = d.  (This is Gale's evenness condition read for
hyperplanes that avoid all tokens; it makes the curves k-neighbourly.)

Any head of a few tokens.  The affine dependencies of the tokens with inclusion-minimal support are its *circuits*
``sum_v c_v w_v = 0, sum_v c_v = 0``.  Every dependency is a sum of circuits of the same signs, so a set S is
unreachable iff some circuit, with one of its two signs, is positive only on S, negative only outside, and has
``sum_v c_v b_v <= 0``.  Circuits are found in rational arithmetic: the answer is exact for the numbers as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np

from synth._array import Array, to_numpy
from synth._check import integer
from theory.reach.points import token_set

MOST_TOKENS = 16
"""Tokens beyond which circuits are not listed: there are up to ``C(V, d + 2)`` of them."""


def moment_curve(vocab: int, dim: int, closed: bool = False) -> np.ndarray:
    """Tokens (V, d) in order on the moment curve: powers of V points of [-1, 1], or, closed, waves of V angles."""
    integer("vocab", vocab, 2)
    integer("dim", dim, 1)
    if not closed:
        return np.vander(np.linspace(-1.0, 1.0, vocab), dim + 1, increasing=True)[:, 1:]
    if dim % 2:
        raise ValueError(f"the closed moment curve has an even dimension, found dim = {dim}; add or drop one")
    angles = 2 * np.pi * np.outer(np.arange(vocab), np.arange(1, dim // 2 + 1)) / vocab
    return np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(vocab, dim)


def label_changes(tokens: Iterable[int], vocab: int, closed: bool = False) -> int:
    """How often membership in ``tokens`` changes from one token to the next, around the circle if ``closed``."""
    labels = np.zeros(vocab, dtype=bool)
    labels[list(tokens)] = True
    around = np.append(labels, labels[0]) if closed else labels
    return int(np.count_nonzero(around[1:] != around[:-1]))


def curve_reaches(tokens: Iterable[int], vocab: int, dim: int, closed: bool = False) -> bool:
    """Whether the moment-curve head of dimension ``dim`` can put ``tokens`` on top: at most ``dim`` label changes."""
    return label_changes(tokens, vocab, closed) <= dim


@dataclass(frozen=True)
class Circuit:
    """A minimal affine dependency: the tokens of either sign as bit masks, and ``sum_v c_v b_v``."""

    positive: int
    negative: int
    bias: Fraction


@dataclass(frozen=True)
class ExactRule:
    """Every circuit of one head, which decides each of its ``2^V - 2`` label sets exactly."""

    vocab: int
    circuits: tuple[Circuit, ...]

    def reaches(self, tokens: Iterable[int]) -> bool:
        """Whether some hidden state gives ``tokens`` strictly larger logits than all others."""
        inside = sum(1 << int(v) for v in token_set(list(tokens), self.vocab))
        outside = ((1 << self.vocab) - 1) ^ inside
        return not any(
            (c.bias <= 0 and not c.positive & outside and not c.negative & inside)
            or (c.bias >= 0 and not c.negative & outside and not c.positive & inside)
            for c in self.circuits
        )


def exact_rule(W: Array, b: Array | None = None) -> ExactRule:
    """The circuits of the head ``W`` (V, d), ``b`` (V,), in rational arithmetic.

    Raises ``ValueError`` beyond 16 tokens.  Cost: ``C(V, d + 2)`` eliminations.

    >>> rule = exact_rule([[0.0], [1.0], [2.0]])
    >>> rule.reaches([1]), rule.reaches([0, 1]), exact_rule([[0.0], [1.0], [2.0]], [0.0, 0.1, 0.0]).reaches([1])
    (False, True, True)
    """
    host = np.asarray(to_numpy(W), dtype=np.float64)
    vocab, dim = host.shape
    if vocab > MOST_TOKENS:
        raise ValueError(f"circuits of {vocab} tokens are too many to list, at most {MOST_TOKENS}; use top_m instead")
    columns = [[Fraction(1), *(Fraction(float(x)) for x in row)] for row in host]
    bias = [Fraction(float(x)) for x in (np.zeros(vocab) if b is None else to_numpy(b))]
    found = list[Circuit]()
    supports = set[int]()
    for size in range(2, min(dim + 2, vocab) + 1):
        for tokens in combinations(range(vocab), size):
            mask = sum(1 << v for v in tokens)
            if any(mask & smaller == smaller for smaller in supports):
                continue
            signs = _dependency([columns[v] for v in tokens])
            if signs is not None:
                supports.add(mask)
                lift = sum((c * bias[v] for c, v in zip(signs, tokens, strict=True)), Fraction(0))
                positive = sum(1 << v for c, v in zip(signs, tokens, strict=True) if c > 0)
                found.append(Circuit(positive, mask ^ positive, lift))
    return ExactRule(vocab, tuple(found))


def _dependency(columns: list[list[Fraction]]) -> list[Fraction] | None:
    """Coefficients of the one dependency of the ``columns``, last one 1, or ``None`` if they are independent.

    No proper subset of them is dependent, so all but the last are independent: it is theirs to combine.
    """
    from theory.reach.proof import complete

    *first, last = columns
    rows = [[column[i] for column in first] for i in range(len(last))]
    solution = complete(rows, [-x for x in last], [Fraction(0)] * len(first))
    return None if solution is None else [*solution, Fraction(1)]
