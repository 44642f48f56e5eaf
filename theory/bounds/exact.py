"""Where the floor is known: no dimension at all, or enough dimensions for every log-probability.

Notation: P (C, V) with weights ``pi``, ``L = log P``, ``J = I - 11'/V``, ``Q = I - 1 pi'`` takes out the mean over
contexts.  Softmax sees ``L J`` only, and a bias takes any one row, so ``rank(L J)`` and ``rank(Q L J)`` decide.
"""

from __future__ import annotations

import math

import numpy as np

from synth import ContextualDistribution
from synth._array import Array, like, namespace
from theory import spectrum
from theory.bound import Claim, NotApplicable, Side, exact
from theory.geometry import centre_contexts
from theory.head import Head, HeadSpec
from theory.remember import remembered
from theory.truncation import UNSEEN_MARGIN

# The floor at d = 0.  Without a bias the only model is uniform: sum_c pi_c KL(p_c | 1/V) = log V - H(P).
# With a bias b, sum_c pi_c KL(p_c | q) = sum_c pi_c KL(p_c | p_bar) + KL(p_bar | q) (compensation identity), least at
# q = p_bar, where it is the mutual information of context and token.  One dimension holds a bias: h = 1, w_v = b_v.


@exact("unigram", rounded=True)
def unigram(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The floor of no dimension at all, and what one constant law costs.

    Setting: any distribution; dimension 0 for the exact value.
    Statement: $g(0) = \log V - H(P)$ and $g_b(0) = \sum_c \pi_c KL(p_c \| \bar p) = I(\mathrm{context; token})$;
    $g(d) \le I$ for $d \ge 1$ and $g_b(d) \le I$ for every d.
    Side: exact at d = 0, upper above.
    Tight when: d = 0; above, when all contexts share one law.
    Assumes: nothing.  A token never seen gets a finite logit, 60 below the rarest token seen.
    Units: nats per token.
    Cost: O(C V), or O(nonzeros).
    Fails as: never.
    Reference: Cover and Thomas (2006), section 2.3, for the compensation identity.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> bound = catalogue["unigram"](families.one_hot(4), HeadSpec(dim=0, bias=True))
    >>> abs(bound.value - math.log(4)) < 1e-12
    True
    """
    contexts, vocab, reference = distribution.contexts, distribution.vocab, distribution.weights
    if spec.rank == 0:
        value = math.log(vocab) - distribution.entropy
        head = Head(_zeros(contexts, 0, reference), _zeros(vocab, 0, reference))
        return Claim(max(value, 0.0), head, {"kind": "unigram"})
    b = _log_unigram(distribution)
    if spec.bias:
        head = Head(_zeros(contexts, spec.dim, reference), _zeros(vocab, spec.dim, reference), b)
    else:
        xp = namespace(b)
        head = Head(like(np.ones((contexts, 1)), reference), xp.expand_dims(b, axis=1))
    value = max(distribution.mutual_information, 0.0)
    return Claim(value, head, {"kind": "unigram"}, side=Side.EXACT if spec.dim == 0 else Side.UPPER)


# A head matches P exactly iff some A = H W' (+ 1b') equals L up to a constant per row: iff d >= rank(L J), or, with a
# bias, iff the affine hull of the rows of L J has dimension <= d.  With zeros, (1 - t) P + t/V -> P as t -> 0: its
# divergence tends to 0 and its rank is at most min(V - 1, C), or min(V - 1, C - 1) with a bias.


@exact("full-rank")
def full_rank(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Enough dimensions for every log-probability: the floor is zero.

    Setting: positive P, or a dimension that no table of this shape can exceed.
    Statement: $g(d) = 0$ if $d \ge \mathrm{rank}(LJ)$, $g_b(d) = 0$ if $d \ge \mathrm{rank}(QLJ)$; for any P (zeros
    too) if $d \ge \min(V-1, C)$, with a bias $\min(V-1, C-1)$.
    Side: exact.
    Tight when: always.
    Assumes: the rank is decided numerically: singular values above eps max(C, V) max|log p| count.
    Units: nats per token.
    Cost: one dense SVD for all dimensions.
    Fails as: not applicable, with the rank found, below it; an infimum without witness where P has zeros.
    Reference: Yang, Dai, Salakhutdinov and Cohen (2018), Corollary 1.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["full-rank"](families.low_rank(contexts=9, vocab=7, rank=3), HeadSpec(dim=3)).value
    0.0
    """
    full = min(distribution.vocab - 1, distribution.contexts - int(spec.bias))
    if not distribution.is_positive:
        if spec.dim < full:
            raise NotApplicable(f"zeros in P have no logarithm, so its rank says nothing below d = {full}; smooth P")
        reason = "an infimum, approached by smoothing the zeros away"
        return Claim(0.0, certificate={"kind": "full-dimension"}, reason=reason)
    U, sigma, Vt, mean = _centred_svd(distribution, spec.bias)
    xp = namespace(U)
    scale = float(xp.max(xp.abs(distribution.log_p)))
    rank = spectrum.numerical_rank(sigma, distribution.table.shape, scale)
    if spec.dim < min(rank, full):
        raise NotApplicable(
            f"the centred log-probabilities have rank {rank}; d >= {min(rank, full)} makes the floor zero"
        )
    kept = min(spec.dim, int(sigma.shape[0]))
    W = xp.asarray(Vt[:kept, :].T, copy=True)  # the decomposition is shared with other dimensions
    head = Head(U[:, :kept] * sigma[None, :kept], W, xp.asarray(mean, copy=True) if spec.bias else None)
    return Claim(0.0, head, {"kind": "full-dimension"})


@remembered
def _centred_svd(distribution: ContextualDistribution, bias: bool) -> tuple[Array, Array, Array, Array]:
    """``U``, ``sigma``, ``V'`` of ``L J`` (``Q L J`` with a bias), and the mean row of ``L J``."""
    L = distribution.centred_logits
    M = centre_contexts(L, distribution.weights) if bias else L
    U, sigma, Vt = namespace(L).linalg.svd(M, full_matrices=False)
    return U, sigma, Vt, distribution.weights @ L


# Two tokens: the logit difference is one number per context, so h_c = log(p_c1 / p_c2) / 2, w = (1, -1) is exact.


@exact("binary")
def binary(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Two tokens need one dimension.

    Setting: V = 2.
    Statement: $g(1) = 0$.
    Side: exact.
    Tight when: always.
    Assumes: nothing; with zeros in P the floor is an infimum, reached as logits diverge.
    Units: nats per token.
    Cost: O(C).
    Fails as: not applicable for V > 2 or d = 0.
    Reference: the case V = 2 of "full-rank".

    >>> from synth import ContextualDistribution
    >>> from theory import HeadSpec, catalogue
    >>> coin = ContextualDistribution.from_probabilities([[0.9, 0.1], [0.2, 0.8]])
    >>> catalogue["binary"](coin, HeadSpec(dim=1)).value
    0.0
    """
    if distribution.vocab != 2 or spec.dim < 1:
        raise NotApplicable(f"needs two tokens and d >= 1; found {distribution.vocab} tokens and d = {spec.dim}")
    if not distribution.is_positive:
        return Claim(0.0, certificate={"kind": "full-dimension"}, reason="an infimum, reached as logits diverge")
    log_p = distribution.log_p
    H = (log_p[:, :1] - log_p[:, 1:]) / 2
    return Claim(0.0, Head(H, like(np.array([[1.0], [-1.0]]), log_p)), {"kind": "full-dimension"})


def _log_unigram(distribution: ContextualDistribution) -> Array:
    """``log p_bar``; tokens never seen get a finite value far below the rarest one seen."""
    b = distribution.log_marginal
    xp = namespace(b)
    seen = xp.isfinite(b)
    lowest = float(xp.min(xp.where(seen, b, xp.zeros_like(b)))) - UNSEEN_MARGIN
    return xp.where(seen, b, xp.full_like(b, lowest))


def _zeros(rows: int, columns: int, reference: Array) -> Array:
    return like(np.zeros((rows, columns)), reference)
