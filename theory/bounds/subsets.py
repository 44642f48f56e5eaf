"""All k-subsets at once: what fewer than 2k dimensions must lose.

Let the logits of context c be ``h_c . w_v`` with ``w_v`` in R^d, ``d < 2k``, and V >= 3k tokens.  Among any d + 2
points there is a Radon partition A, B (disjoint, hulls meeting); with ``d + 2 <= 2k + 1`` its smaller part A has at
most k points, and since ``V - |B| >= 3k - 2k`` the set A extends to k tokens S that avoid B.  No linear function is
larger on all of S than on all of B.  So in the context of S some outside token has at least the logit of some token of
S, whatever ``h_c`` is.

That costs: among laws q with ``q_v >= q_i``, i in S, v not in S, the divergence from the uniform law on S is least at
``q_j = 1/k`` for the other j in S and ``q_i = q_v = 1/(2k)``, where it is ``log(2) / k``.
A bias lifts the points to R^{d+1}, so there ``d + 1 < 2k`` is needed.  Rounding is monotone: a token with at least the
logit of another keeps it, so the bound holds for rounded logits too.
"""

from __future__ import annotations

import math

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.bound import Claim, NotApplicable, lower
from theory.head import HeadSpec

UNIFORM = 1e-12
"""Relative deviation from 1/k up to which a row counts as uniform, and by which the value is rounded down."""


@lower("all-k-subsets", rounded=True)
def all_k_subsets(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""If every k-subset of the tokens is some context's uniform law, fewer than 2k dimensions lose.

    Setting: for some k, $V \ge 3k$ and each k-subset is the uniform law of at least one context.
    Statement: $g(d) \ge \min_S \pi(S)\, \log(2)/k$ for $d < 2k$, $\pi(S)$ the weight of the contexts with support S;
    with a bias for $d + 1 < 2k$.
    Side: lower.
    Tight when: $V = 3, k = 1, d = 1$ (the floor is $\log(2)/3$); it says where the floor is zero, as $g(2k) = 0$.
    Assumes: nothing more.
    Units: nats per token.
    Cost: O(nonzeros).
    Fails as: not applicable when subsets are missing or d is large.
    Reference: Radon (1921); Alon, Moran and Yehudayoff (2016) for the sign rank; Basri and Jacobs (2026).

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["all-k-subsets"](families.all_k_subsets(vocab=7, k=2), HeadSpec(dim=3)).value > 0
    True
    """
    masses = _uniform_supports(distribution)
    best, best_k = 0.0, 0
    for k, weight in masses.items():
        if distribution.vocab >= 3 * k and len(weight) == math.comb(distribution.vocab, k) and spec.rank < 2 * k:
            value = min(weight.values()) * math.log(2) / k * (1 - UNIFORM)
            best, best_k = max((best, best_k), (value, k))
    if best_k == 0:
        raise NotApplicable(
            f"needs every k-subset of V >= 3k tokens as a uniform context, for some k > {spec.rank / 2:g}"
        )
    return Claim(best, certificate={"kind": "all-subsets", "k": best_k})


def _uniform_supports(distribution: ContextualDistribution) -> dict[int, dict[bytes, float]]:
    """Weight of each support on which some context is uniform, by support size."""
    sizes, weights = distribution.support_sizes, to_numpy(distribution.weights)
    found: dict[int, dict[bytes, float]] = {}
    for k in np.unique(sizes):
        rows = np.flatnonzero(sizes == k)
        if len(rows) < math.comb(distribution.vocab, int(k)):
            continue
        here: dict[bytes, float] = {}
        for c in rows:
            log_p = to_numpy(distribution.table.block(int(c), int(c) + 1))[0]
            inside = np.flatnonzero(np.isfinite(log_p))
            if np.all(np.abs(np.exp(log_p[inside]) * k - 1) <= UNIFORM):
                key = inside.tobytes()
                here[key] = here.get(key, 0.0) + float(weights[c])
        found[int(k)] = here
    return found
