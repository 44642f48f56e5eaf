"""A power-law unigram times a low-rank interaction: the simplest law that looks like a language model's."""

from __future__ import annotations

import numpy as np

from synth import spectra
from synth._check import generator, integer, nonnegative, plain, positive
from synth.distribution import ContextualDistribution
from synth.known import Known


def zipf(
    contexts: int = 1000,
    vocab: int = 500,
    rank: int = 200,
    scale: float = 2.0,
    exponent: float = 1.0,
    seed: int = 0,
) -> ContextualDistribution:
    """``P_c = softmax(-exponent log(1..V) + sum_i s_i X_ci Y_i)``, X (C, rank) and Y (rank, V) standard normal.

    ``s_i = scale i^-1/2 / sqrt(sum_j 1/j)``, so an interaction logit has standard deviation ``scale``.  Contexts weigh
    the same.  Known (with probability one over the draw): ``bias_rank = min(rank, C - 1, V - 1)``, and ``logit_rank``
    one more for the unigram direction where C and V leave room, ``min(rank + [exponent > 0], C, V - 1)``.
    """
    parameters = plain(locals())
    integer("contexts", contexts, 1)
    integer("vocab", vocab, 2)
    s = positive("scale", scale) * spectra.power_law(integer("rank", rank, 1), exponent=0.5)
    unigram = -nonnegative("exponent", exponent) * np.log(np.arange(1, vocab + 1))
    rng = generator(seed)
    X = rng.standard_normal((contexts, rank))
    Y = rng.standard_normal((rank, vocab))
    known = Known(
        "zipf",
        parameters,
        logit_rank=min(rank + int(exponent > 0), contexts, vocab - 1),
        bias_rank=min(rank, contexts - 1, vocab - 1),
    )
    return ContextualDistribution.from_logits((X * s) @ Y + unigram, known=known)
