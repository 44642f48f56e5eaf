"""The unconditional lower bound: spread the tail energy over the rows as cheaply as a concave cost allows.

Let S x T be a block of contexts and tokens with every ``p_cv > 0``, and ``r_c s_v <= pi_c p_cv`` on it.  With
``rho(x) = e^x - 1 - x >= h(|x|)``, ``h(t) = e^{-t} - 1 + t``, the separable identity
``gap = sum_cv pi_c p_cv rho(E_cv) + (zeros)``, ``E = A - u 1' - L``, gives

    gap >= sum_{c in S, v in T} r_c s_v h(|E_cv|).                                                            (1)

One row.  Let ``y_c = r_c min_u sum_v s_v (A_cv - u - L_cv)^2 <= r_c sum_v s_v E_cv^2``.  ``h(sqrt x)`` is concave with
value 0 at 0, so for a given energy the row of (1) is least with all of it in one token, and s h(t / sqrt s) increases
with s: the row costs at least ``H(y_c)``, ``H(y) = omega h(sqrt(y / omega))``, ``omega = min r min s``.       (2)

All rows.  Deleting any K rows leaves energy at least ``sum_{j > d + K} sigma_j^2``, sigma those of
``D_r^{1/2} L D_s^{1/2} Pi_s``: keep the K rows exactly, and the whole is a rank d + K approximation.  So the vector y
is weakly supermajorized by ``(sigma_{d+1}^2, sigma_{d+2}^2, ...)``, and for H concave and increasing

    gap >= sum_c H(y_c) >= sum_{j > d} H(sigma_j^2) = omega sum_{j > d} h(sigma_j / sqrt(omega)).             (3)
"""

from __future__ import annotations

import numpy as np

from synth import ContextualDistribution, logspace
from synth._array import to_numpy
from theory.blocks import positive_blocks
from theory.bound import Claim, NotApplicable, lower
from theory.head import HeadSpec
from theory.minorant import Spectrum, minorant_spectra
from theory.remember import remembered


@lower("majorization")
def majorization(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The tail of the spectrum under a concave cost, on the best of a few positive blocks.

    Setting: any distribution with a block of positive probabilities larger than d + 1; unbounded heads.
    Statement: $g(d) \ge \omega \sum_{j>d} h(\sigma_j/\sqrt\omega)$, $\sigma$ of $D_r^{1/2} L D_s^{1/2} \Pi_s$ on the
    block, $r_c s_v \le \pi_c p_{cv}$, $\omega = \min r \min s$; with a bias at d + 1.
    Side: lower.
    Tight when: one context near uniform at d = 0 (exact in the limit); ratios 1.3 to 1.8 for near-uniform tables.  It
    collapses where probabilities spread.
    Assumes: nothing more.  Splitting a context lowers $\min r$ and the value: merge identical contexts first.
    Units: nats per token.
    Cost: three dense SVDs for each of six blocks.
    Fails as: not applicable without a positive block; tiny otherwise.
    Reference: Marshall, Olkin and Arnold (2011), 3.C.1.b, for weak supermajorization.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws = families.near_unigram(contexts=12, vocab=9, exponent=0.0)
    >>> catalogue["majorization"](laws, HeadSpec(2)).value > 0
    True
    """
    best, evidence = -1.0, dict[str, np.ndarray]()
    for contexts, tokens in positive_blocks(distribution, spec.rank):
        for sigma, r, s in _block_spectra(distribution, contexts, tokens):
            value = _concave_tail(sigma[spec.rank :], float(r.min() * s.min()))
            if value > best:
                best, evidence = value, {"contexts": contexts, "tokens": tokens, "r": r, "s": s}
    if not evidence:
        raise NotApplicable(
            f"no block of positive probabilities has more than {spec.rank} contexts and {spec.rank + 1} tokens; "
            "merge contexts or smooth the distribution (synth.moves)"
        )
    return Claim(best, certificate={"kind": "majorization", **evidence})


@remembered
def _block_spectra(
    distribution: ContextualDistribution, contexts: np.ndarray, tokens: np.ndarray
) -> tuple[Spectrum, ...]:
    """Singular values of one block in the metric of each of its minorants; the largest block serves every dimension."""
    block = distribution.table.take(contexts, tokens).block(0, len(contexts))
    L, weights = to_numpy(block), to_numpy(distribution.weights)[contexts]
    return minorant_spectra(L, np.log(weights)[:, None] + L, weights)


def _concave_tail(sigma: np.ndarray, omega: float) -> float:
    """``omega sum_j h(sigma_j / sqrt(omega))``; 0 when the weights underflow."""
    return omega * float(np.sum(logspace.rho(-sigma / np.sqrt(omega)))) if omega > 0 else 0.0
