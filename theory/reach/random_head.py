"""How large a set a random Gaussian head can put on top.

The head is W (N, d) with independent standard normal entries.  The hidden state of least norm that gives the m tokens
of a set the logit 1 is ``h = W_S' (W_S W_S')^-1 1``; given it, the other N - m logits are independent ``N(0, |h|^2)``.
For a unit vector u, ``1 / (u' (W_S W_S')^-1 u)`` is chi-square with d - m + 1 degrees of freedom, so

    P(h selects S) = E Phi(sqrt(chi2_{d-m+1} / m))^(N-m),                                                        (1)

which is exact for this h and a lower bound for the best one.  Basri and Jacobs (2026) give the closed form

    Phi(1 / sqrt(m v))^(N-m),    v = d (d - 1) / ((d - m)(d - m - 1)(d - m - 3)),                                 (2)

an approximation, with a variance v above the mean 1 / (d - m - 1) of ``|h|^2 / m``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth._check import generator, integer, positive
from theory.reach.points import points
from theory.reach.topm import Reach, separate

NODES = 200
"""Nodes of the Gauss-Legendre rule in the probability of the chi-square law."""


@dataclass(frozen=True)
class Estimate:
    """A mean over independent draws and its standard error."""

    value: float
    standard_error: float
    draws: int


def basri_jacobs(vocab: int, dim: int, m: int) -> float:
    """The approximate probability (2) that a random head selects a given m-set; 0 where ``m > d - 4``."""
    _check(vocab, dim, m)
    if m > dim - 4:
        return 0.0
    v = dim * (dim - 1) / ((dim - m) * (dim - m - 1) * (dim - m - 3))
    return _power_of_phi(1 / math.sqrt(m * v), vocab - m)


def selected_by_least_norm(vocab: int, dim: int, m: int) -> float:
    """The probability (1) that the hidden state of least norm selects the set: a true lower bound on reachability.

    Gauss-Legendre quadrature in the probability of the chi-square law; 0 for ``m > d``.
    """
    from scipy.stats import chi2

    _check(vocab, dim, m)
    if m > dim:
        return 0.0
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    quantiles = chi2.ppf((nodes + 1) / 2, dim - m + 1)
    return float(
        sum(w / 2 * _power_of_phi(math.sqrt(q / m), vocab - m) for w, q in zip(weights, quantiles, strict=True))
    )


def largest_set(vocab: int, dim: int, probability: float = 0.5) -> int:
    """The largest m whose approximate probability (2) is at least ``probability``.

    >>> largest_set(50257, 768), largest_set(50257, 768, probability=0.99)
    (37, 26)
    """
    positive("probability", probability)
    sizes = range(1, min(dim - 3, vocab))
    return max((m for m in sizes if basri_jacobs(vocab, dim, m) >= probability), default=0)


def draw_least_norm(vocab: int, dim: int, m: int, draws: int, seed: int) -> Estimate:
    """Monte Carlo of (1): how often the hidden state of least norm selects the first m tokens of a random head."""
    _check(vocab, dim, m)
    integer("draws", draws, 2)
    rng, hits = generator(seed), 0
    for _ in range(draws):
        W = rng.standard_normal((vocab, dim))
        h = np.linalg.lstsq(W[:m], np.ones(m), rcond=None)[0]
        hits += int(m <= dim and (W[m:] @ h).max() < 1)
    return estimate_of(hits, draws)


def draw_reachable(vocab: int, dim: int, m: int, draws: int, seed: int) -> Estimate:
    """Monte Carlo of reachability by linear programmes: how often some hidden state selects the set.

    Raises ``RuntimeError`` should a draw stay undecided, which has probability zero but for rounding.
    """
    _check(vocab, dim, m)
    integer("draws", draws, 2)
    rng, hits = generator(seed), 0
    for _ in range(draws):
        found = separate(points(rng.standard_normal((vocab, dim))), np.arange(m))
        if found.status is Reach.UNDECIDED:
            raise RuntimeError(f"a random {m}-set of {vocab} tokens in {dim} dimensions stayed undecided; change seed")
        hits += int(found.status is Reach.REACHABLE)
    return estimate_of(hits, draws)


def estimate_of(hits: int, draws: int) -> Estimate:
    """The share with its standard error; the variance of one more hit and miss keeps the error positive at 0 and 1."""
    share = (hits + 1) / (draws + 2)
    return Estimate(hits / draws, math.sqrt(share * (1 - share) / draws), draws)


def _power_of_phi(x: float, power: int) -> float:
    from scipy.special import log_ndtr

    return math.exp(power * float(log_ndtr(x)))


def _check(vocab: int, dim: int, m: int) -> None:
    integer("vocab", vocab, 2)
    integer("dim", dim, 1)
    integer("m", m, 1, vocab - 1, "some token must stay outside")
