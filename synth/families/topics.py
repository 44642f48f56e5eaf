"""Low rank in probability space: mixtures of a few topic laws."""

from __future__ import annotations

import numpy as np

from synth._check import generator, integer, plain, positive
from synth.distribution import ContextualDistribution
from synth.families._rank import product_rank
from synth.known import Known


def topics(
    contexts: int = 60,
    vocab: int = 40,
    topics: int = 5,
    mixing: float = 0.5,
    concentration: float = 0.5,
    seed: int = 0,
) -> ContextualDistribution:
    """``P = B T``: each context mixes K topic laws.

    The mixture weights B (C, K) have rows ~ Dirichlet(mixing), the topic laws T (K, V) ~ Dirichlet(concentration);
    K is ``topics``; contexts weigh the same.  Known: ``probability_rank = K`` where ``K <= min(C, V)`` and both
    factors have full rank beyond rounding (very small concentrations can draw the same one-token topic twice).
    The *logit* rank is not known: a logarithm does not keep the rank of P.
    """
    parameters = plain(locals())
    integer("contexts", contexts, 1)
    integer("vocab", vocab, 2)
    integer("topics", topics, 1)
    rng = generator(seed)
    B = rng.dirichlet(np.full(topics, positive("mixing", mixing)), size=contexts)
    T = rng.dirichlet(np.full(vocab, positive("concentration", concentration)), size=topics)
    known = Known("topics", parameters, probability_rank=product_rank(B, T))
    return ContextualDistribution.from_probabilities(B @ T, known=known)
