"""Boundary laws: limits of one-dimensional heads that no finite head of any dimension attains.

The rank of ``log P`` (minus infinity off the supports) and even the size of the supports say nothing here; only the
closure of the set of small heads does.
"""

from __future__ import annotations

import math

import numpy as np

from synth._check import integer, nonnegative, plain
from synth.distribution import ContextualDistribution
from synth.known import Known


def staircase(vocab: int = 6, exponent: float = 0.0) -> ContextualDistribution:
    """Context c = 1..V holds the base law ``v^-exponent`` conditioned on the tokens ``1..c``: nested supports.

    Contexts weigh the same.  Known: ``probability_rank = V`` (P is triangular), and the floor is zero, as an infimum,
    from one dimension with a bias, two without; from one without a bias too when the base is uniform
    (``exponent = 0``), where also the entropy ``log(V!) / V`` is known.

    Proof.  Take ``w_v = M^(2v)``, ``h_c = -M^-(2c+1)`` and the bias ``b_v = -exponent log v``.  Then
    ``h_c w_v = -M^(2(v - c) - 1)`` tends to 0 for v <= c and to minus infinity for v > c as M grows: the head tends
    to P entrywise, and P is never positive where the limit is not.  A bias costs at most one further dimension.
    """
    parameters = plain(locals())
    integer("vocab", vocab, 2)
    base = np.arange(1, vocab + 1) ** -nonnegative("exponent", exponent)
    P = np.tril(np.broadcast_to(base, (vocab, vocab)))
    uniform = exponent == 0
    floors = {(dim, bias): 0.0 for dim in range(1, vocab) for bias in (False, True) if uniform or bias or dim >= 2}
    known = Known(
        "staircase",
        parameters,
        probability_rank=vocab,
        entropy=math.lgamma(vocab + 1) / vocab if uniform else None,
        floors=floors,
    )
    return ContextualDistribution.from_probabilities(P / P.sum(axis=1, keepdims=True), known=known)
