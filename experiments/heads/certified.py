"""``certified``: a fit together with a proof of how much lower any head of its class could be."""

from __future__ import annotations

from dataclasses import replace

from experiments.heads.fitted import Fit
from synth import ContextualDistribution
from theory.certificate import Effort, certify


def certified(
    distribution: ContextualDistribution, fit: Fit, max_underestimate: float | None = None, effort: Effort | None = None
) -> Fit:
    """The fit with a conjugate certificate as its ``lower``, nats per token; ``globally_optimal`` where they meet.

    ``max_underestimate`` limits the class that the certificate speaks of, and that the fit is then a fit of (heads with
    ``q >= e^-M p``); without it the class is the fit's own.  The smaller M, the closer the certificate.  Costs what
    ``theory.certificate.certify`` does: seconds at 60 x 40.
    Raises ``ValueError`` when the fit is for another table, or M is not a positive number.
    """
    spec = fit.spec if max_underestimate is None else replace(fit.spec, max_underestimate=max_underestimate)
    lower = certify(distribution, spec, start=fit.head, effort=effort)
    return replace(fit, spec=spec, lower=lower, in_class=fit.head.belongs_to(spec, distribution))
