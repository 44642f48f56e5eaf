"""Predictive laws of a hidden Markov model: contexts are histories, weighted by how likely they are."""

from __future__ import annotations

import numpy as np

from synth._check import generator, integer, plain, positive
from synth.distribution import ContextualDistribution
from synth.families._rank import product_rank
from synth.known import Known

HISTORIES_LIMIT = 10**6
"""Histories beyond which ``markov`` refuses to list them."""


def markov(
    vocab: int = 5, states: int = 3, history: int = 2, concentration: float = 0.5, seed: int = 0
) -> ContextualDistribution:
    """``P_h = belief(h) E`` for each of the ``V^history`` token histories h of a random hidden Markov model.

    The first state is uniform; a state s emits a token by ``E_s``, then moves by ``T_s``; the rows of E (S, V) and T
    (S, S) are Dirichlet(concentration).  ``belief(h)`` (S,) is the law of the state about to emit, given h; the weight
    of a context is the probability of its history (histories of probability zero are dropped).  The rank of P is at
    most S; known: ``probability_rank = S`` where beliefs and emissions both have full rank beyond rounding.

    Raises ``ValueError`` for more than 10^6 histories.
    """
    parameters = plain(locals())
    integer("vocab", vocab, 2)
    integer("states", states, 1)
    integer("history", history, 0)
    if vocab**history > HISTORIES_LIMIT:
        raise ValueError(
            f"{vocab} tokens make {float(vocab) ** history:.2g} histories of length {history}, more than "
            f"{HISTORIES_LIMIT:.0e}; lower vocab or history"
        )
    alpha = positive("concentration", concentration)
    rng = generator(seed)
    T = rng.dirichlet(np.full(states, alpha), size=states)
    E = rng.dirichlet(np.full(vocab, alpha), size=states)
    joint = np.full((1, states), 1.0 / states)  # probability of (history, state about to emit)
    for _ in range(history):
        joint = ((joint[:, None, :] * E.T[None, :, :]) @ T).reshape(-1, states)
    weights = joint.sum(axis=1)
    joint, weights = joint[weights > 0], weights[weights > 0]
    beliefs = joint / weights[:, None]
    known = Known("markov", parameters, probability_rank=product_rank(beliefs, E))
    return ContextualDistribution.from_probabilities(beliefs @ E, weights / weights.sum(), known)
