"""Rounded logits are nearly logits of low rank: what rounding can win back of a rank-d floor.

Let ``A' = fl(A)`` with ``|A'_cv - A_cv| <= D``, q and q' their softmaxes.  With ``delta = A' - A`` in one row,

    KL(p|q') = KL(p|q) - sum_v p_v delta_v + log sum_v q_v e^{delta_v}
            >= KL(p|q) - sum_v (p_v - q_v) delta_v                           (Jensen)
            >= KL(p|q) - D |p - q|_1 >= KL(p|q) - D sqrt(2 KL(p|q))          (Pinsker)

and, the root being concave, ``gap(A') >= G - D sqrt(2 G)`` with ``G = gap(A)``, which increases with G from
``G = D^2 / 2`` on.  A head of norm N has logits up to N, so ``D = u N + eta`` (and the rounding of float64 beneath); it
is itself a head of the same dimension, of norm N, range at most B + 2D, and ``q >= e^{-(M + 2D)} p``.
"""

from __future__ import annotations

import math
from dataclasses import replace

from synth import ContextualDistribution
from theory.bound import Claim, NotApplicable, catalogue, lower
from theory.formats import float_format
from theory.head import HeadSpec

DOUBLE = 2.0**-53
"""Unit roundoff of the float64 in which logits are formed."""


@lower("rounded-floor", rounded=True)
def rounded_floor(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The best rank bound on heads that are not rounded, less what rounding can change.

    Setting: any distribution; heads of norm at most N, logits rounded to a format with unit roundoff u.
    Statement: $g_F(d) \ge L - \Delta\sqrt{2L}$ for every lower bound $L \ge \Delta^2/2$ on the floor without rounding,
    $\Delta = uN + \eta$; limits M and B relaxed by $2\Delta$.
    Side: lower.
    Tight when: u N is small beside the root of L: it tends to L.
    Assumes: a norm and a float format; N within the format.
    Units: nats per token.
    Cost: that of every lower bound of the catalogue.
    Fails as: not applicable without both limits; 0 where L is below $2\Delta^2$.
    Reference: Pinsker's inequality, Cover and Thomas (2006), Lemma 11.6.1.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.near_unigram(contexts=12, vocab=9, exponent=0.0)
    >>> spec = HeadSpec(2, norm=4.0, float_format="float32")
    >>> bound = catalogue["rounded-floor"](laws, spec)
    >>> 0 < bound.value < bound.certificate["inner"]["value"]
    True
    """
    if spec.norm is None or spec.float_format is None:
        raise NotApplicable("needs heads of limited norm with rounded logits; set norm and float_format")
    shift = float_format(spec.float_format).error(spec.norm) + 2 * (spec.dim + 2) * DOUBLE * spec.norm
    if shift == math.inf:
        raise NotApplicable(f"a norm of {spec.norm:g} leaves the range of {spec.float_format}; lower the norm")
    plain = unrounded(spec, shift)
    inner = [entry(distribution, plain) for entry in catalogue if entry.side.is_lower and entry.name != "rounded-floor"]
    best = max((b for b in inner if b.applies and b.side.is_lower), key=lambda b: b.value, default=None)
    if best is None:
        raise NotApplicable("no lower bound applies to the heads without rounding")
    value = 0.0 if best.value <= shift**2 / 2 else max(0.0, best.value - shift * math.sqrt(2 * best.value))
    evidence = {"name": best.name, "value": best.value, "certificate": best.certificate}
    return Claim(value, certificate={"kind": "rounded", "inner": evidence})


def unrounded(spec: HeadSpec, shift: float) -> HeadSpec:
    """The class of the heads before rounding moves each logit by at most ``shift``."""
    M, B = spec.max_underestimate, spec.logit_range
    return replace(
        spec,
        float_format=None,
        max_underestimate=None if M is None else M + 2 * shift,
        logit_range=None if B is None else B + 2 * shift,
    )
