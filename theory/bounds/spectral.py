"""Upper bounds from one singular value decomposition: truncate the log-probabilities, pay the tail.

Notation: ``L = log P``, ``J = I - 11'/V``; ``M = D_pi^{1/2} L J``, with a bias ``M = D_pi^{1/2} Q L J`` where
``Q = I - 1 pi'`` (the bias carries the mean over contexts).  ``tail_d`` is the energy of M beyond its first d singular
values, and ``delta`` (C, V) the error of the truncation, so ``sum_c pi_c |delta_c J|^2 = tail_d``.
"""

from __future__ import annotations

import math

from synth import ContextualDistribution
from theory import spectrum
from theory.bound import Claim, require_positive, upper
from theory.head import Head, HeadSpec
from theory.remember import remembered
from theory.truncation import Anchor, gauge_truncation, gauge_values, unigram_truncation

SHARES_POSITIVE = (0.0, 0.05)
SHARES_WITH_ZEROS = (0.8, 0.4, 0.1)
"""Smoothing shares tried by "plug-in-unigram"; any of them gives a head, so any gives a bound."""

# Every head of the class bounds the floor by its own gap; the two plug-ins differ in the metric that is truncated.


@upper("plug-in-svd")
def plug_in_svd(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The gap of the truncated singular value decomposition of the centred log-probabilities.

    Setting: positive P.
    Statement: $g(d) \le \mathrm{gap}(D_\pi^{-1/2} [D_\pi^{1/2} L J]_d)$, with a bias for $Q L J$ plus the mean row.
    Side: upper, with witness.
    Tight when: $d \ge \mathrm{rank}(LJ)$, or the laws are all close to uniform.
    Assumes: nothing more.
    Units: nats per token.
    Cost: one eigendecomposition for all dimensions, and one evaluation.
    Fails as: not applicable with zeros in P.
    Reference: Eckart and Young (1936).

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.low_rank(contexts=12, vocab=9, rank=4)
    >>> [catalogue["plug-in-svd"](laws, HeadSpec(dim)).value < 1e-12 for dim in (2, 4)]
    [False, True]
    """
    require_positive(distribution, "truncated log-probabilities")
    head = gauge_truncation(distribution, spec.dim, spec.bias)
    return Claim(head.gap(distribution), head)


@upper("plug-in-unigram")
def plug_in_unigram(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The gap of the truncation in the unigram metric, the best over a few anchors and smoothing shares.

    Setting: any distribution; zeros are smoothed inside the head, never in the target.
    Statement: $g(d) \le \mathrm{gap}(A)$, A the rank-d truncation of $\log((1-\lambda) P + \lambda \bar p)$ in the
    metric $D_\pi^{1/2} \cdot D_{\bar p}^{1/2} \Pi$.
    Side: upper, with witness.
    Tight when: to second order for laws near one base law (bound "near-unigram"); $\lambda = 0$ and d the rank.
    Assumes: nothing.
    Units: nats per token.
    Cost: for each candidate an eigendecomposition for all dimensions (sparse: Lanczos on the nonzeros), an evaluation.
    Fails as: never.
    Reference: Greenacre (1984), correspondence analysis, for the metric.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["plug-in-unigram"](families.sparse(contexts=20, vocab=30), HeadSpec(4, bias=True)).value > 0
    True
    """
    head, gap = best_truncation(distribution, spec.dim, spec.bias)
    return Claim(gap, head)


@remembered
def best_truncation(distribution: ContextualDistribution, dim: int, bias: bool) -> tuple[Head, float]:
    """The truncation of least gap in the unigram metric, over anchors and smoothing shares, and its gap."""
    shares = SHARES_POSITIVE if distribution.is_positive else SHARES_WITH_ZEROS
    anchors = (Anchor.MEAN if bias else Anchor.NONE, Anchor.MARGINAL)
    heads = [
        unigram_truncation(distribution, dim, bias, share, anchor)
        for share in shares
        for anchor in (anchors if distribution.is_positive else anchors[:1])
    ]
    gaps = [head.gap(distribution) for head in heads]
    best = gaps.index(min(gaps))
    return heads[best], gaps[best]


# KL(p | softmax(L + delta)) is the Bregman divergence of F = log-sum-exp.  Its Hessian diag(q) - q q' has norm at most
# 1/2 (Gershgorin: q_v (1 - q_v) + q_v sum_{w != v} q_w = 2 q_v (1 - q_v) <= 1/2), so KL <= 1/4 |delta J|^2.


@upper("smoothness")
def smoothness(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""A quarter of the tail energy of the centred log-probabilities.

    Setting: positive P.
    Statement: $g(d) \le \tfrac14 \mathrm{tail}_d(D_\pi^{1/2} L J)$, with a bias for $Q L J$.
    Side: upper, above the gap of its witness.
    Tight when: two tokens of probability 1/2 hold nearly all the mass, and the error is small.
    Assumes: nothing more.
    Units: nats per token.
    Cost: one dense SVD for all dimensions.
    Fails as: not applicable with zeros in P.
    Reference: the Hessian bound of log-sum-exp, Boyd and Vandenberghe (2004), section 3.1.5.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.low_rank(contexts=12, vocab=9, rank=4)
    >>> catalogue["smoothness"](laws, HeadSpec(2)).value >= catalogue["plug-in-svd"](laws, HeadSpec(2)).value
    True
    """
    require_positive(distribution, "centred log-probabilities")
    head, sigma = gauge_truncation(distribution, spec.dim, spec.bias), gauge_values(distribution, spec.bias)
    return Claim(spectrum.tail_energy(sigma, spec.dim) / 4, head, {"dominates": True})


# |grad_delta KL| = |q - p| <= sqrt(2), hence KL <= sqrt(2) |delta J|; Jensen over contexts gives the root of the tail.


@upper("first-order")
def first_order(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The root of twice the tail energy: an explicit constant for a published asymptotic rate.

    Setting: positive P.
    Statement: $g(d) \le \sqrt{2\, \mathrm{tail}_d(D_\pi^{1/2} L J)}$, with a bias for $Q L J$.
    Side: upper, above the gap of its witness.
    Tight when: never; below "smoothness" only where the tail energy exceeds 32.
    Assumes: nothing more.
    Units: nats per token.
    Cost: one dense SVD for all dimensions.
    Fails as: not applicable with zeros in P.
    Reference: Godey, de la Clergerie and Sagot (2024), Theorem 5.3, with its constant.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.low_rank(contexts=12, vocab=9, rank=4)
    >>> catalogue["first-order"](laws, HeadSpec(2)).value >= catalogue["plug-in-svd"](laws, HeadSpec(2)).value
    True
    """
    require_positive(distribution, "centred log-probabilities")
    head, sigma = gauge_truncation(distribution, spec.dim, spec.bias), gauge_values(distribution, spec.bias)
    return Claim(math.sqrt(2 * spectrum.tail_energy(sigma, spec.dim)), head, {"dominates": True})
