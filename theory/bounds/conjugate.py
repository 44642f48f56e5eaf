"""The conjugate certificate in the catalogue: a short ascent from starts that need no fit.

``theory.certificate.certify`` searches longer, with several metrics and from a fitted head.
"""

from __future__ import annotations

from synth import ContextualDistribution
from theory.bound import Claim, lower
from theory.certificate import Effort
from theory.certificate.certify import NAME, certified_claim
from theory.head import HeadSpec

LIMITED, UNLIMITED = 40, 20
"""Evaluations of the ascent on a small table; an unlimited class spends as many again on choosing its cap."""

WORK = 2**23
"""Table entries times evaluations; a larger table gets fewer evaluations, but at least ``FEWEST``."""

FEWEST = 4

STAGES = (1.0, 0.1)
"""Temperatures of the short ascent."""


@lower(NAME)
def conjugate_certificate(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Quadratics below the loss, entry by entry, and the tail energy of their rank-one metric.

    Setting: any distribution with a positive block larger than d + 1; heads with $q \ge e^{-M} p$ or limited logits
    (the class is then used), or unlimited heads.
    Statement: for all $z$, $r, s > 0$, $\omega_{cv} = r_c s_v$, shifts $t_c$ and caps $G$,
    $g(d) \ge \sum_{j>d} \min(\sigma_j^2, G) - \sum_{cv} \max_E [\min(\omega (E - z)^2, G) - w \rho(E)] - \sum_c \pi_c
    \rho(t_c)$, $\sigma$ of $D_r^{1/2} (L + z) D_s^{1/2} \Pi_s$, the maximum over the log errors that the class allows,
    moved by $t_c$; $G = \infty$ where those are bounded.  With a bias the best one for the metric is projected out too.
    Side: lower.
    Tight when: the singular values d and d + 1 of the best certificate differ and every maximum is attained once; the
    fit is then proved optimal in its class.  Typically 1.2 to 2 below the fit with a long search, more here.
    Assumes: nothing more.  The value depends on where a short ascent stops.
    Units: nats per token.
    Cost: at most some 40 evaluations, each an eigenvalue problem of size min(C, V); fewer on tables above 2^17 entries.
    Fails as: 0 (vacuous) where nothing positive was found; not applicable without a positive block.
    Reference: docs/theorems/conjugate-certificate.md; Eckart and Young (1936) for the metric.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.near_unigram(contexts=12, vocab=9, exponent=0.0)
    >>> catalogue["conjugate-certificate"](laws, HeadSpec(2, max_underestimate=2.0)).value > 0
    True
    """
    entries = distribution.contexts * distribution.vocab
    evaluations = UNLIMITED if spec.is_unbounded else LIMITED
    effort = Effort(single=max(FEWEST, min(evaluations, WORK // entries)), metrics=1, stages=STAGES)
    return certified_claim(distribution, spec, None, effort, host=True)
