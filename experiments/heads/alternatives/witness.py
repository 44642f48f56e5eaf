"""A mixture of softmaxes that splits supports: K components at width d do the work of one softmax of width K d.

Split each context's support into K parts and let ``p_c = sum_k m_ck p_ck``, ``m_ck`` the mass of part k.  The
divergence is jointly convex, so for any head ``q_ck`` of the C K parts

    KL(p_c || sum_k m_ck q_ck)  <=  sum_k m_ck KL(p_ck || q_ck):

a softmax head of width d for the parts (W shared, a state for each) is a mixture for the contexts, with no larger gap.
Supports of at most k tokens leave parts of at most ``n = ceil(k / K)``, on which the moment curve has floor 0 from
``d = 2n`` on, or 2n - 1 and a bias (theorem "sparse-support").  Hence **a mixture of K softmaxes has floor 0 from
``d = 2 ceil(k / K)`` on**, where one softmax can need 2k: all k-subsets of 3k + 1 tokens do.  A lower bound for softmax
heads is none for mixtures.
"""

from __future__ import annotations

import numpy as np

from synth import ContextualDistribution
from theory import Head, HeadSpec, catalogue

CURVE_ENTRIES = 2**18
"""Entries C K V beyond which no parts are formed."""


def split_supports(distribution: ContextualDistribution, components: int) -> tuple[ContextualDistribution, np.ndarray]:
    """The parts as a distribution of C K contexts (context by context), and the masses ``m`` (C, K).

    Each support is dealt out in order, in parts of equal size; contexts with fewer than K tokens repeat parts and share
    their mass.  Needs a dense float64 table in NumPy.
    """
    log_p, pi = np.asarray(distribution.log_p), np.asarray(distribution.weights)
    contexts, vocab = log_p.shape
    parts, mass = np.full((contexts, components, vocab), -np.inf), np.empty((contexts, components))
    for c, row in enumerate(log_p):
        support = np.flatnonzero(np.isfinite(row))
        groups = np.array_split(support, min(components, len(support)))
        chosen = np.arange(components) % len(groups)
        for k, number in enumerate(chosen):
            tokens = groups[number]
            whole = np.logaddexp.reduce(row[tokens])
            parts[c, k, tokens] = row[tokens] - whole
            mass[c, k] = np.exp(whole) / np.sum(chosen == number)
    weights = (pi[:, None] * mass).ravel()
    return ContextualDistribution.from_logits(parts.reshape(-1, vocab), weights / weights.sum()), mass


def moment_mixture(
    distribution: ContextualDistribution, components: int, spec: HeadSpec
) -> tuple[Head, np.ndarray] | None:
    """The moment-curve head of the parts (C K contexts) and the masses (C, K); ``None`` where d is too small for it."""
    if distribution.contexts * components * distribution.vocab > CURVE_ENTRIES:
        return None
    parts, mass = split_supports(distribution, components)
    head = catalogue["moment-curve"](parts, spec).witness
    return None if head is None else (head, mass)
