"""A published bound on one divergence, carried to a floor: the reference that the others are measured against.

Conangla Planes (2026), Theorem 3.1: ``KL(p | softmax(log p + delta)) >= (a / 2e^2) min(t^2, t)`` with
``a = min_v p_v``, ``t = |delta J|_2``.

It follows, with a better constant, from (2) of the page "majorization": ``KL >= a sum_v h(|E_v|) >= a h(|E|)
>= a h(t)``, E the log error, ``h(t) = e^{-t} - 1 + t``.  Since ``h(t) / t^2`` decreases and ``h(t) / t`` increases,
both meeting ``1/e`` at t = 1, ``h(t) >= min(t^2, t) / e``.  The published constant is kept.

From one context to the floor.  Let ``y_c = pi_c t_c^2`` and ``m = min pi``.  Context c pays
``pi_c min(t_c^2, t_c) = min(y_c, sqrt(pi_c y_c)) >= G(y_c)``, ``G(y) = min(y, sqrt(m y))``: the lesser of two concave
increasing functions, hence concave and increasing.  The energies y are weakly supermajorized by the squared tail
singular values of ``D_pi^{1/2} L J`` (page "majorization"), so ``sum_c G(y_c) >= sum_{j > d} G(sigma_j^2)``.
"""

from __future__ import annotations

import math

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.bound import Claim, lower, require_positive
from theory.head import HeadSpec
from theory.minorant import metric_singular_values
from theory.remember import remembered


@lower("probability-floor")
def probability_floor(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The tail of the centred log-probabilities, times the smallest probability of the table.

    Setting: positive P, unbounded heads; $a = \min p_{cv}$, $m = \min \pi_c$.
    Statement: $g(d) \ge \frac{a}{2e^2} \sum_{j>d} \min(\sigma_j^2, \sqrt m\, \sigma_j)$, $\sigma$ of
    $D_\pi^{1/2} L J$; with a bias at d + 1.
    Side: lower.
    Tight when: never: a factor 2e is lost against "majorization" even on a uniform base.
    Assumes: nothing more.
    Units: nats per token.
    Cost: one dense SVD for all dimensions.
    Fails as: not applicable with zeros in P; tiny where one probability is.
    Reference: Conangla Planes (2026), Theorem 3.1.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.near_unigram(contexts=12, vocab=9, exponent=0.0)
    >>> 0 < catalogue["probability-floor"](laws, HeadSpec(2)).value < catalogue["majorization"](laws, HeadSpec(2)).value
    True
    """
    require_positive(distribution, "log errors")
    weights = to_numpy(distribution.weights)
    sigma = _singular_values(distribution)[spec.rank :]
    constant = math.exp(float(to_numpy(distribution.log_p).min())) / (2 * math.e**2)
    value = constant * float(np.sum(np.minimum(sigma**2, np.sqrt(weights.min()) * sigma)))
    return Claim(value, certificate={"kind": "probability-floor"})


@remembered
def _singular_values(distribution: ContextualDistribution) -> np.ndarray:
    """Singular values of ``D_pi^{1/2} L J``, rounded down."""
    L = to_numpy(distribution.log_p)
    return metric_singular_values(L, to_numpy(distribution.weights), np.ones(L.shape[1]))
