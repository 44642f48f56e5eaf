"""How often a given head lets a random set of m tokens come out on top, by one cheap test with an exact null.

In the whitened coordinates X of ``theory.reach.points`` take the state of least norm that gives the tokens of a set the
logit 1, ``x = X_S^+ 1``, and see whether all others stay below.  A success is a proof that the set can be the top m; a
failure proves nothing, so the share of successes is a lower bound on reachability.  For a Gaussian head the probability
of success is known exactly (``random_head.selected_by_least_norm``): a head of a language model is held against it.
A bias does not matter here, since it vanishes beside ``s x W'`` for large s.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synth._array import Array
from synth._check import generator, integer
from theory.reach.points import Points, points
from theory.reach.proof import proves_win
from theory.reach.random_head import Estimate, estimate_of


def selected_share(head: Array | Points, m: int, draws: int, seed: int = 0) -> Estimate:
    """Share of ``draws`` random m-sets of tokens that the state of least norm puts on top, and its standard error.

    ``head`` is W (V, d), or its prepared ``points``, whose bias is ignored.  Sets are drawn uniformly; each success is
    proved with the rounding of every logit accounted for.
    Raises ``ValueError`` for an m that leaves no token outside.  Cost: per draw O(V d + d m^2).

    >>> octagon = np.array([[np.cos(t), np.sin(t)] for t in np.arange(8) * np.pi / 4])
    >>> selected_share(octagon, 1, draws=20).value, selected_share(octagon, 3, draws=20).value < 1
    (1.0, True)
    """
    prepared = head if isinstance(head, Points) else points(head)
    directions = replace(prepared, b=None, beta=None)
    integer("m", m, 1, prepared.vocab - 1, "some token must stay outside")
    rng, hits = generator(seed), 0
    for _ in range(integer("draws", draws, 2)):
        tokens = rng.choice(prepared.vocab, m, replace=False)
        hits += int(proves_win(directions, tokens, least_norm_state(directions, tokens)))
    return estimate_of(hits, draws)


def least_norm_state(prepared: Points, tokens: np.ndarray) -> np.ndarray:
    """The hidden state (d,) whose coordinates are the shortest with logits nearest to 1 on ``tokens``."""
    x = np.linalg.lstsq(prepared.X[tokens], np.ones(len(tokens)), rcond=None)[0]
    return prepared.hidden(x, 1.0)
