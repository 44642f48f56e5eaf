"""Which tokens, and which random sets of tokens, the head can put on top: samples, with standard errors.

A token is tested by the cheap directions of ``theory.reach.argmaxable`` and, where those fail, by a linear programme
while their number lasts; what stays undecided widens the share of tokens that cannot win.  Duplicate rows are found
among all tokens.  A random set of m tokens is tested by the state of least norm, a lower bound on reachability whose
law for a Gaussian head is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.lm.measure.row import NONE, Row
from theory.reach import Reach, argmaxable, selected_by_least_norm
from theory.reach.argmaxable import By
from theory.reach.least_norm import selected_share
from theory.reach.points import points
from theory.reach.random_head import Estimate, estimate_of

SIZES = (1, 2, 4, 8, 12, 16, 20, 24, 32, 48)
"""Sizes of the random sets."""

NEVER, MAYBE = "share of tokens that cannot win", "share of tokens undecided"
TWINS, TOPS = "tokens with a twin, which cannot win", "share of random {m}-sets on top"
GAUSSIAN = "Gaussian head"


@dataclass(frozen=True, eq=False)
class Tokens:
    """Verdicts on a random sample: counts by verdict and test, and the tokens proved never to win.

    ``twins`` are all tokens of the vocabulary whose row another token has, with no smaller bias.
    """

    sampled: int
    counts: dict[str, int]
    unreachable: np.ndarray
    undecided: int
    twins: np.ndarray

    def rows(self, shape: tuple[int, int]) -> list[Row]:
        """Twins, and shares that cannot win or stayed undecided, beside a Gaussian head of the same shape."""
        null = 1 - selected_by_least_norm(shape[0], shape[1], 1)
        return [
            Row(TWINS, "all tokens", float(len(self.twins)), NONE, 0.0, NONE, GAUSSIAN),
        ] + [
            Row(
                name, f"sample of {self.sampled}", share.value, share.standard_error, null, NONE, f"{GAUSSIAN}, at most"
            )
            for name, share in (
                (NEVER, estimate_of(len(self.unreachable), self.sampled)),
                (MAYBE, estimate_of(self.undecided, self.sampled)),
            )
        ]


def sampled_tokens(
    W: np.ndarray,
    b: np.ndarray | None,
    sample: int,
    programmes: int,
    seed: int = 0,
    watch: Callable[[int, int], None] | None = None,
) -> Tokens:
    """Verdicts on ``sample`` tokens drawn at random (all, if there are fewer) with at most so many programmes.

    Cost: O(sample V D), and a programme of D + 3 unknowns for each token that the cheap directions leave.
    """
    drawn = np.sort(np.random.default_rng(seed).choice(len(W), min(sample, len(W)), replace=False))
    found = argmaxable(W, b, most_programmes=programmes, progress=watch, tokens=drawn)
    verdicts = [f"{found.status[v]} by {found.by[v]}" for v in drawn]
    counts = {name: verdicts.count(name) for name in sorted(set(verdicts))}
    never = np.intersect1d(drawn, found.tokens(Reach.UNREACHABLE))
    twins = np.flatnonzero([by is By.DUPLICATE for by in found.by])
    return Tokens(len(drawn), counts, never, sum(found.status[v] is Reach.UNDECIDED for v in drawn), twins)


@dataclass(frozen=True)
class Sets:
    """Shares of random m-sets that the state of least norm puts on top, and of a Gaussian head, exactly."""

    sizes: tuple[int, ...]
    shares: tuple[Estimate, ...]
    null: tuple[float, ...]

    def rows(self) -> list[Row]:
        """One row per size."""
        return [
            Row(TOPS.format(m=m), f"{share.draws} sets", share.value, share.standard_error, null, NONE, GAUSSIAN)
            for m, share, null in zip(self.sizes, self.shares, self.null, strict=True)
        ]


def sampled_sets(W: np.ndarray, draws: int, seed: int = 0, sizes: Sequence[int] = SIZES) -> Sets:
    """Shares for each of ``sizes`` that leaves a token outside.  Cost: O(draws V D) each."""
    prepared, (V, D) = points(W), W.shape
    fit = tuple(m for m in sizes if m < min(V, D))
    shares = tuple(selected_share(prepared, m, draws, seed + m) for m in fit)
    return Sets(fit, shares, tuple(selected_by_least_norm(V, D, m) for m in fit))
