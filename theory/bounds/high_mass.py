"""Conditioning on a token set keeps the class of heads: rare tokens can be dropped before a bound is computed.

For a token set T the chain rule of divergence over "in T or not" gives

    KL(p | q) = KL((p(T), p(T^c)) | (q(T), q(T^c))) + p(T) KL(p_T | q_T) + p(T^c) KL(p_{T^c} | q_{T^c})
             >= p(T) KL(p_T | q_T),

and ``q_T`` is the softmax of the logits of T alone: a head of the same dimension.  So
``g(d) >= p(T) g_T(d)`` with contexts weighted by ``pi_c p_c(T) / p(T)``.

Lumping the other tokens into one is *not* allowed: the lumped law of a rank-d softmax is no rank-d softmax.
"""

from __future__ import annotations

import numpy as np

from synth import ContextualDistribution, moves
from synth._array import to_numpy
from theory.bound import Bound, Claim, NotApplicable, lower
from theory.bounds.majorization import majorization
from theory.bounds.probability_floor import probability_floor
from theory.head import HeadSpec
from theory.remember import remembered

SETS = 4
"""Nested token sets tried."""

ENTRIES = 2**20
"""Entries of the largest restriction that is bounded as a whole."""


@lower("high-mass")
def high_mass(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The best lower bound of the law conditioned on its most frequent tokens, times their mass.

    Setting: any distribution; T among nested sets of the most frequent tokens, inner bounds "majorization" and
    "probability-floor".
    Statement: $g(d) \ge p(T)\, g_T(d)$.
    Side: lower.
    Tight when: T holds nearly all the mass and the inner bound is tight.
    Assumes: what the inner bound assumes.  Conditioning, never lumping.
    Units: nats per token.
    Cost: the inner bounds on four sets.
    Fails as: not applicable when no inner bound is.
    Reference: Cover and Thomas (2006), Theorem 2.5.3.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.zipf(contexts=12, vocab=40, rank=8)
    >>> catalogue["high-mass"](laws, HeadSpec(2)).value > catalogue["probability-floor"](laws, HeadSpec(2)).value
    True
    """
    order = np.argsort(-to_numpy(distribution.marginal), kind="stable")
    best: tuple[float, np.ndarray, Bound] | None = None
    largest = min(distribution.vocab - 1, max(spec.rank + 2, ENTRIES // distribution.contexts))
    if largest < spec.rank + 2:
        raise NotApplicable(f"needs more than {spec.rank + 2} tokens to leave one out, found {distribution.vocab}")
    for size in np.unique(np.geomspace(spec.rank + 2, largest, SETS).round().astype(np.int64)):
        tokens = np.sort(order[:size])
        inside, mass = _restricted(distribution, tokens)
        for bound in (majorization(inside, spec), probability_floor(inside, spec)):
            if bound.applies and (best is None or mass * bound.value > best[0]):
                best = (mass * bound.value, tokens, bound)
    if best is None:
        raise NotApplicable("no restriction to frequent tokens has a positive block; smooth the distribution")
    value, tokens, bound = best
    inner = {"value": bound.value, "certificate": bound.certificate}
    return Claim(value, certificate={"kind": "high-mass", "tokens": tokens, "inner": inner})


@remembered
def _restricted(distribution: ContextualDistribution, tokens: np.ndarray) -> tuple[ContextualDistribution, float]:
    """The law conditioned on a token set, and its mass; the largest set serves every dimension."""
    return moves.restrict_tokens(distribution, tokens.tolist())
