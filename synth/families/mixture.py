"""Mixture of softmaxes: high logit rank out of low-rank parts."""

from __future__ import annotations

import numpy as np

from synth import logspace
from synth._check import generator, integer, plain, positive
from synth.distribution import ContextualDistribution
from synth.known import Known


def mixture(
    contexts: int = 60,
    vocab: int = 40,
    components: int = 3,
    rank: int = 4,
    scale: float = 2.0,
    seed: int = 0,
) -> ContextualDistribution:
    """``P_c = sum_k m_ck softmax(W h_ck)``: K components share W (V, rank), each has its own states and mixing weights.

    ``h`` and ``W`` are normal, scaled so that a component's logit has standard deviation ``scale``; ``m_c`` is uniform
    on the simplex; contexts weigh the same.  Known: the logit ranks for a single component, nothing for more (the
    logarithm of a sum of exponentials has high rank in practice, which is the point of the model).

    Source: Yang, Dai, Salakhutdinov & Cohen (2018), "Breaking the softmax bottleneck".
    """
    parameters = plain(locals())
    integer("contexts", contexts, 1)
    integer("vocab", vocab, 2)
    integer("components", components, 1)
    spread = positive("scale", scale) / np.sqrt(integer("rank", rank, 1))
    rng = generator(seed)
    W = rng.standard_normal((vocab, rank))
    log_m = logspace.log(rng.dirichlet(np.ones(components), size=contexts))
    log_p = np.full((contexts, vocab), -np.inf)
    for k in range(components):
        part = logspace.log_softmax(spread * rng.standard_normal((contexts, rank)) @ W.T)
        log_p = np.logaddexp(log_p, log_m[:, k, None] + part)
    single = components == 1
    known = Known(
        "mixture",
        parameters,
        logit_rank=min(rank, contexts, vocab - 1) if single else None,
        bias_rank=min(rank, contexts - 1, vocab - 1) if single else None,
    )
    return ContextualDistribution.from_logits(log_p, known=known)
