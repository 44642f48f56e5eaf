"""Named small distributions that the theory tests share."""

from __future__ import annotations

import numpy as np

from synth import ContextualDistribution, families


def dirichlet(contexts: int, vocab: int, concentration: float = 1.0, seed: int = 0) -> ContextualDistribution:
    """Rows and weights drawn from Dirichlet laws: generic, positive, without ties."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(vocab, concentration), size=contexts)
    weights = rng.dirichlet(np.full(contexts, 5.0))
    return ContextualDistribution.from_logits(np.log(np.maximum(P, 1e-300)), weights)


def tilted(contexts: int, vocab: int, eps: float, seed: int = 0) -> ContextualDistribution:
    """Laws within ``eps`` of uniform in logits."""
    return ContextualDistribution.from_logits(eps * np.random.default_rng(seed).uniform(-1, 1, (contexts, vocab)))


POSITIVE = {
    "dirichlet": dirichlet(7, 6),
    "peaked": dirichlet(6, 8, concentration=0.3, seed=1),
    "zipf": families.zipf(contexts=12, vocab=10, rank=5),
    "topics": families.topics(contexts=9, vocab=8),
    "near uniform": tilted(8, 6, 0.3),
    "two tokens": dirichlet(5, 2, seed=2),
    "one context": dirichlet(1, 5, seed=3),
}

WITH_ZEROS = {
    "one-hot": families.one_hot(6),
    "pairs": families.all_k_subsets(6, 2),
    "sparse": families.sparse(contexts=10, vocab=9, k=2),
    "unseen token": ContextualDistribution.from_probabilities([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.7, 0.0]]),
    "counts": ContextualDistribution.from_counts([[3, 1, 0, 2], [1, 1, 1, 0], [0, 4, 1, 1], [2, 2, 3, 1]]),
    "staircase": families.staircase(5, exponent=1.0),
    "two tokens, zero": ContextualDistribution.from_probabilities([[1.0, 0.0], [0.3, 0.7]]),
}

ALL = POSITIVE | WITH_ZEROS
