"""One base law, slightly disturbed in every context: where the floor is known to leading order."""

from __future__ import annotations

import numpy as np

from synth._check import generator, integer, nonnegative, plain, positive
from synth.distribution import ContextualDistribution
from synth.known import Known


def near_unigram(
    contexts: int = 60, vocab: int = 40, eps: float = 0.1, exponent: float = 1.0, seed: int = 0
) -> ContextualDistribution:
    """``log p_c = log p0 + eps M_c`` up to a constant per row, with ``p0 ~ v^-exponent``.

    M (C, V) is normal, less its mean over contexts (``sum_c M_c = 0``).  Contexts weigh the same.
    Known (with probability one): ``bias_rank = min(C - 1, V - 1)``, and ``logit_rank`` one more for the direction of
    ``log p0`` where V leaves room.  To second order in ``eps`` the floor with a bias is half the tail energy of
    ``D_pi^1/2 eps M D_p0^1/2`` with ``sqrt(p0)`` projected out (theory page "near unigram").
    """
    parameters = plain(locals())
    integer("contexts", contexts, 2)
    integer("vocab", vocab, 2)
    unigram = -nonnegative("exponent", exponent) * np.log(np.arange(1, vocab + 1))
    M = generator(seed).standard_normal((contexts, vocab))
    M -= M.mean(axis=0)
    rank = min(contexts, vocab) - 1
    known = Known("near_unigram", parameters, logit_rank=min(rank + int(exponent > 0), vocab - 1), bias_rank=rank)
    return ContextualDistribution.from_logits(unigram + positive("eps", eps) * M, known=known)
