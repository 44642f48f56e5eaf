"""Laws close to one base law: the floor to second order is half a tail energy.

Let ``log P = log p0 + eps M`` up to a constant per row, with ``sum_c pi_c M_c = 0``.  For logits ``log p0 + eps B`` the
divergence of row c is ``(eps^2 / 2) Var_{p0}(B_c - M_c) + O(eps^3)``; summed with weights this is half the squared
norm of ``D_pi^{1/2} eps (B - M) D_{p0}^{1/2} Pi``, and over B of rank d (the base law is the bias) Eckart-Young leaves
half the tail.  The base that makes the weighted mean of M a constant is the geometric mean of the rows.
"""

from __future__ import annotations

from synth import ContextualDistribution, logspace
from synth._array import Array, namespace
from theory import spectrum
from theory.bound import Claim, NotApplicable, Status, asymptotic, require_positive
from theory.geometry import to_metric
from theory.head import HeadSpec
from theory.remember import remembered


@asymptotic("near-unigram")
def near_unigram(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Half the tail energy in the unigram metric around the geometric mean of the rows.

    Setting: positive P, heads with a bias, $\log P = \log p_0 + \epsilon M$.
    Statement: $g_b(d) = \tfrac12 \mathrm{tail}_d(D_\pi^{1/2} \epsilon M D_{p_0}^{1/2} \Pi) + O(\epsilon^3)$.
    Side: asymptotic; it binds nothing.
    Tight when: $\epsilon \to 0$.
    Assumes: a bias, to hold the base law.
    Units: nats per token.
    Cost: one dense SVD for all dimensions.
    Fails as: not applicable without a bias or with zeros in P; off by any factor where laws differ much.
    Reference: Greenacre (1984) for the metric; Eckart and Young (1936).

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["near-unigram"](families.near_unigram(), HeadSpec(2, bias=True)).status.name
    'PREDICTED'
    """
    if not spec.bias:
        raise NotApplicable("the base law needs a bias to hold it; ask for HeadSpec(..., bias=True)")
    require_positive(distribution, "log-ratios to a base law")
    value = spectrum.tail_energy(_singular_values(distribution), spec.dim) / 2
    return Claim(value, certificate={"kind": "near-unigram"}, status=Status.PREDICTED)


@remembered
def _singular_values(distribution: ContextualDistribution) -> Array:
    """Singular values of the log-ratios to the geometric mean of the rows, in the metric of that law."""
    log_p, weights = distribution.log_p, distribution.weights
    log_base = logspace.log_softmax(weights @ log_p)
    return spectrum.singular_values(to_metric(log_p - log_base[None, :], weights, namespace(log_p).exp(log_base)))
