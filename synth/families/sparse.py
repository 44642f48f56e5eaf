"""Supports of a few tokens each: the rank of ``log P`` is meaningless, and small heads are exact in the limit.

Write k for the largest support.  A head of dimension 2k reaches gap zero as its logits diverge (trigonometric moment
curve).  *With a bias* 2k - 1 dimensions do: put token v at ``t_v`` on a line and give context c, supported on S, the
logits ``-M (1 + t_v^2)^(k - |S|) prod_{i in S} (t_v - t_i)^2 + q_c(t_v)``, where the polynomial ``q_c`` of degree
``|S| - 1`` interpolates ``log p_c`` on S.  As M grows the support is selected, and the term ``-M t^2k`` is the same for
every context: the bias holds it, the powers ``t .. t^(2k-1)`` are the head, and the constant is lost in the gauge.
Every distribution knows this of its supports (``known_floor``); theory page "sparse-support".
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from synth._check import generator, integer, plain, positive
from synth.distribution import ContextualDistribution
from synth.known import Known

SUBSETS_LIMIT = 10**6
"""Subsets beyond which ``all_k_subsets`` refuses to list them."""


def sparse(
    contexts: int = 60, vocab: int = 40, k: int = 3, concentration: float = 1.0, seed: int = 0
) -> ContextualDistribution:
    """Each context on ``k`` tokens drawn without replacement, probabilities ~ Dirichlet(concentration).

    Contexts weigh the same; stored sparsely.  Known: floor zero (an infimum) from 2k dimensions, 2k - 1 with a bias.
    """
    parameters = plain(locals())
    integer("contexts", contexts, 1)
    integer("vocab", vocab, 2)
    integer("k", k, 1, vocab, "a support lies inside the vocabulary")
    alpha = np.full(k, positive("concentration", concentration))
    rng = generator(seed)
    columns = np.stack([rng.choice(vocab, size=k, replace=False) for _ in range(contexts)])
    return _on_supports(columns, rng.dirichlet(alpha, size=contexts), vocab, Known("sparse", parameters))


def all_k_subsets(vocab: int = 7, k: int = 2) -> ContextualDistribution:
    """One context for every k-subset of the tokens (in lexicographic order), each uniform on its subset.

    Known: entropy ``log k``; ``probability_rank = V`` for k < V (Gottlieb's inclusion matrices), 1 for k = V; floor
    zero (an infimum) from 2k dimensions, 2k - 1 with a bias.  For V >= 3k + 1 nothing smaller does: the floor is
    positive below 2k dimensions without a bias.

    Source: Alon, Moran & Yehudayoff (sign rank); Gottlieb (1966), "A certain class of incidence matrices".
    """
    parameters = plain(locals())
    integer("vocab", vocab, 2)
    integer("k", k, 1, vocab, "a subset lies inside the vocabulary")
    if math.comb(vocab, k) > SUBSETS_LIMIT:
        raise ValueError(
            f"{vocab} tokens have {math.comb(vocab, k):.2g} subsets of {k}, more than {SUBSETS_LIMIT:.0e}; "
            "lower vocab or k, or draw some of them with sparse(contexts, vocab, k)"
        )
    columns = np.array(list(combinations(range(vocab), k)))
    uniform = 0 if k == vocab else None
    known = Known(
        "all_k_subsets",
        parameters,
        logit_rank=uniform,
        bias_rank=uniform,
        probability_rank=1 if k == vocab else vocab,
        entropy=math.log(k),
    )
    return _on_supports(columns, np.full(columns.shape, 1.0), vocab, known)


def one_hot(vocab: int = 8) -> ContextualDistribution:
    """``P = I``: context v is always followed by token v.

    Known: entropy 0; ``probability_rank = V``; floor zero (an infimum) from 2 dimensions, or 1 with a bias.
    """
    parameters = plain(locals())
    columns = np.arange(integer("vocab", vocab, 2))[:, None]
    known = Known("one_hot", parameters, probability_rank=vocab, entropy=0.0)
    return _on_supports(columns, np.ones(columns.shape), vocab, known)


def _on_supports(columns: np.ndarray, values: np.ndarray, vocab: int, known: Known) -> ContextualDistribution:
    """Row c proportional to ``values[c]`` on the tokens ``columns[c]``, both (C, k), with uniform weights."""
    from scipy.sparse import csr_array

    contexts, k = columns.shape
    starts = np.arange(0, contexts * k + 1, k)
    matrix = csr_array((values.ravel(), columns.ravel(), starts), shape=(contexts, vocab))
    matrix.sort_indices()
    return ContextualDistribution.from_counts(matrix, weights=np.full(contexts, 1.0 / contexts), known=known)
