"""Curvature with constants: generalised self-concordance bounds the divergence by a variance, from both sides.

Notation: ``E = log q - log p`` the log error of a head, ``rho(x) = e^x - 1 - x``; then
``KL(p | q) = sum_v p_v rho(E_v)`` because p and q both sum to one.  ``rho(x) / x^2 = int_0^1 (1 - t) e^{tx} dt``
increases with x: with ``kappa(t) = rho(-t) / t^2``, ``E >= -M`` implies ``rho(E) >= kappa(M) E^2``.
"""

from __future__ import annotations

import math

import numpy as np

from synth import ContextualDistribution, logspace
from synth._array import Array, namespace, to_numpy
from theory.bound import Claim, NotApplicable, lower, require_positive, upper
from theory.bounds.spectral import best_truncation
from theory.geometry import centre, variance
from theory.head import HeadSpec
from theory.minorant import Spectrum, minorant_spectra
from theory.remember import remembered

# Along t -> p + t delta in logits, the third derivative of log-sum-exp is at most R = max delta - min delta times its
# second (Bach 2010), so Var(t) <= e^{Rt} Var_p(delta) and KL = int_0^1 (1 - t) Var(t) dt <= c(R) Var_p(delta),
# c(R) = (e^R - 1 - R) / R^2.  Var(t) <= R^2 / 4 (Popoviciu) gives R^2 / 8, the Hessian bound 1/4 |delta J|^2.


@upper("fisher-range")
def fisher_range(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Curvature at the target law, corrected by the range of the error, summed over contexts.

    Setting: positive P; $\delta$ the log error of the "plug-in-unigram" head, R its range in a context.
    Statement: $KL(p \| \mathrm{softmax}(\log p + \delta)) \le
    \min(\tfrac{e^R - 1 - R}{R^2} \mathrm{Var}_p(\delta), \tfrac{R^2}{8}, \tfrac14 \|\delta J\|^2)$.
    Side: upper, above the gap of its witness.
    Tight when: $R \to 0$, where the first term is the divergence to leading order.
    Assumes: nothing more.
    Units: nats per token.
    Cost: that of its witness.
    Fails as: not applicable with zeros in P.
    Reference: Bach (2010), Proposition 1; Hoeffding (1963) for $R^2/8$.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.zipf(contexts=12, vocab=9, rank=4)
    >>> catalogue["fisher-range"](laws, HeadSpec(2)).value >= catalogue["plug-in-unigram"](laws, HeadSpec(2)).value
    True
    """
    require_positive(distribution, "log errors")
    head, _ = best_truncation(distribution, spec.dim, spec.bias)
    delta = head.log_q() - distribution.log_p
    rows = _divergence_at_most(distribution.p, delta)
    return Claim(float(distribution.weights @ rows), head, {"dominates": True})


def _divergence_at_most(p: Array, delta: Array) -> Array:
    """Row by row the least of the three bounds, shape (C,)."""
    xp = namespace(p, delta)
    R = xp.max(delta, axis=1) - xp.min(delta, axis=1)
    moderate = (R > 0) & (R < 500)  # beyond, e^R overflows and the first bound is the largest anyway
    safe = xp.where(moderate, R, xp.ones_like(R))
    curved = logspace.rho(safe) / (safe * safe) * variance(p, delta)
    curved = xp.where(moderate, curved, R * R / 8)
    centred = centre(delta)
    return xp.minimum(xp.minimum(curved, R * R / 8), xp.sum(centred * centred, axis=1) / 4)


# Lower bounds for limited classes.  Let E >= -M_cv entrywise.  For any rank-one r_c s_v <= kappa(M_cv) pi_c p_cv,
#   gap = sum_cv pi_c p_cv rho(E_cv) >= sum_cv r_c s_v E_cv^2,      E = A - u 1' - L,
# and over A of rank d and free u the right side is least at tail_d(D_r^{1/2} L D_s^{1/2} Pi_s) (Eckart-Young).
#
# max_underestimate = M is E >= -M by definition.  logit_range = B (norm = N gives B = 2N): the range of E_c is at most
# B + range(log p_c), and sum_v p_v e^{E_v} = 1 forces max E_c >= 0, so E >= -(B + range(log p_c)).  Also
# q_v >= 1 / (1 + (V - 1) e^B), so E_cv >= -(log(1 + (V - 1) e^B) + log p_cv).  The least M_cv of all that hold counts;
# it may be negative.


@lower("fisher-range-lower")
def fisher_range_lower(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""For heads that cannot underestimate much: a tail energy in a rank-one metric below the weights.

    Setting: positive P; heads with $q \ge e^{-M} p$, or with logits of range at most B.
    Statement: $g(d) \ge \mathrm{tail}_d(D_r^{1/2} L D_s^{1/2} \Pi_s)$ for every
    $r_c s_v \le \kappa(M_{cv}) \pi_c p_{cv}$, $\kappa(t) = (e^{-t} - 1 + t)/t^2$; with a bias at d + 1.
    Side: lower.
    Tight when: $M \to 0$ and P near uniform (the minorant then loses nothing).
    Assumes: a limit on the class.  Three minorants are tried.
    Units: nats per token.
    Cost: three dense SVDs for all dimensions.
    Fails as: not applicable for the unbounded class or zeros in P; tiny where probabilities spread.
    Reference: Bach (2010), Proposition 1, for the curvature; Eckart and Young (1936).

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.near_unigram(contexts=12, vocab=9, exponent=0.0)
    >>> catalogue["fisher-range-lower"](laws, HeadSpec(2, max_underestimate=1.0)).value > 0
    True
    """
    widest = None if spec.effective_range == math.inf else spec.effective_range
    if spec.max_underestimate is None and widest is None:
        raise NotApplicable("needs a limited class; set max_underestimate, logit_range or norm in the HeadSpec")
    require_positive(distribution, "log errors")
    spectra = _limited_spectra(distribution, spec.max_underestimate, widest)
    tails = [float(np.sum(sigma[spec.rank :] ** 2)) for sigma, _, _ in spectra]
    best = int(np.argmax(tails))
    _, r, s = spectra[best]
    return Claim(tails[best], certificate={"kind": "quadratic", "r": r, "s": s})


@remembered
def _limited_spectra(
    distribution: ContextualDistribution, max_underestimate: float | None, logit_range: float | None
) -> tuple[Spectrum, ...]:
    """Singular values in the metric of each minorant of the weights times their curvature."""
    L, weights = to_numpy(distribution.log_p), to_numpy(distribution.weights)
    log_w = np.log(weights)[:, None] + L + np.log(_kappa(_underestimates(L, max_underestimate, logit_range)))
    return minorant_spectra(L, log_w, weights)


def _underestimates(L: np.ndarray, max_underestimate: float | None, logit_range: float | None) -> np.ndarray:
    """The least ``M_cv`` known with ``log q_cv - log p_cv >= -M_cv`` for every head of the class."""
    M = np.full(L.shape, np.inf if max_underestimate is None else max_underestimate)
    if logit_range is not None:
        M = np.minimum(M, logit_range + np.ptp(L, axis=1)[:, None])
        M = np.minimum(M, np.logaddexp(0.0, np.log(L.shape[1] - 1) + logit_range) + L if L.shape[1] > 1 else L)
    return np.maximum(M, -30.0)  # a larger M is weaker, and keeps e^-M finite


def _kappa(t: np.ndarray) -> np.ndarray:
    """``rho(-t) / t^2``, decreasing in t; 1/2 at t = 0."""
    safe = np.where(np.abs(t) < 1e-8, 1.0, t)
    return np.where(np.abs(t) < 1e-8, 0.5 - t / 6, logspace.rho(-safe) / safe**2)
