"""Rank and norm together: few tokens can stand clear of the others in a small ball of few dimensions.

Lift a bias into one more dimension, balanced so that ``max |h| max |w|`` is the norm N of the class; r is the rank.
Let T be the tokens that are the mode of some context, and call v in T *clear by delta* if in some context of mode v its
logit exceeds that of every other token of T by delta or more.  If v is clear by h, ``|w_v - w_u| |h| >= delta`` for
all other u in T.  So clear tokens are ``delta / max|h|`` apart in a ball of radius ``max|w|``, and by volume at most
``(1 + 2 N / delta)^r`` tokens are clear by delta.  With ``delta_n = 2 N / ((n + 1)^{1/r} - 1)`` at most n are.

In every context of a token v that is not clear some u in T has ``A_v - A_u < delta``: conditioned on the pair {u, v}
(page "high-mass") the head gives v a share below ``s(delta) = 1 / (1 + e^-delta)``, and the context pays at least

    min over u of  (p_v + p_u) kl(p_v / (p_v + p_u), s(delta))   where  p_v / p_u > e^delta,  else 0.

The n dearest tokens may be clear; the others pay.
"""

from __future__ import annotations

import numpy as np

from synth import ContextualDistribution
from synth._array import to_numpy
from theory.bound import Claim, NotApplicable, lower
from theory.head import HeadSpec

COUNTS = 40
"""Numbers n of clear tokens tried."""

BLOCK_ENTRIES = 2**22
"""Pairs of a context and a token of T beyond which the bound is not formed."""


@lower("packing")
def packing(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Heads of small norm in few dimensions cannot keep many modes clear of each other.

    Setting: any distribution in which several tokens are the mode of some context; heads of norm at most N and rank r.
    Statement: $g(d) \ge$ the sum of the costs of all modes but the n dearest, at margin
    $\delta_n = 2N / ((n+1)^{1/r} - 1)$, for every n; for one-hot contexts a mode of weight $\pi$ costs
    $\pi \log(1 + e^{-\delta_n})$.
    Side: lower.
    Tight when: within a factor 2 for two one-hot contexts as N tends to 0; loose by a power of V in general, since
    $N$ of order $V^{1/r}$ is asked where the moment curve takes $V^2$ at r = 2.
    Assumes: a norm.
    Units: nats per token.
    Cost: O(C T) for each of 40 values of n, T the number of modes.
    Fails as: not applicable without a norm or with one mode; 0 where all modes fit.
    Reference: the volume argument for packings of a ball.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> bound = catalogue["packing"]
    >>> [bound(families.one_hot(50), HeadSpec(2, norm=norm)).value > 0.1 for norm in (1.0, 1e3)]
    [True, False]
    """
    if spec.norm is None:
        raise NotApplicable("needs heads of limited norm; set norm in the HeadSpec")
    modes = modes_of(distribution)
    tokens = np.unique(modes)
    if len(tokens) < 2 or len(modes) * len(tokens) > BLOCK_ENTRIES:
        raise NotApplicable(f"needs 2 to {BLOCK_ENTRIES // len(modes)} modes of contexts, found {len(tokens)}")
    L = to_numpy(distribution.table.take(None, tokens).block(0, len(modes)))
    weights, place = to_numpy(distribution.weights), np.searchsorted(tokens, modes)
    best, clear = 0.0, 1
    for n in np.unique(np.geomspace(1, len(tokens) - 1, COUNTS).round().astype(np.int64)):
        costs = np.bincount(place, weights * mode_costs(L, place, margin(spec, int(n))), minlength=len(tokens))
        value = float(np.sort(costs)[: len(tokens) - n].sum()) * (1 - 1e-12)
        best, clear = max((best, clear), (value, int(n)))
    return Claim(best, certificate={"kind": "packing", "clear": clear})


def modes_of(distribution: ContextualDistribution) -> np.ndarray:
    """The most probable token of each context, the first of equals, (C,)."""
    rows = range(distribution.contexts)
    return np.array([int(to_numpy(distribution.table.block(c, c + 1))[0].argmax()) for c in rows])


def margin(spec: HeadSpec, clear: int) -> float:
    """The margin by which at most ``clear`` tokens can be clear; 0 without any dimension."""
    if spec.rank == 0 or spec.norm is None:
        return 0.0
    return 2 * spec.norm / np.expm1(np.log1p(clear) / spec.rank) * (1 + 1e-12)


def mode_costs(L: np.ndarray, place: np.ndarray, delta: float) -> np.ndarray:
    """The least cost (C,) of a mode whose logit leads some other token of T by less than ``delta``."""
    rows = np.arange(len(L))
    top = L[rows, place][:, None]
    p_v, p_u = np.exp(top), np.exp(L)
    lead = np.where(np.isfinite(L), top - np.where(np.isfinite(L), L, 0.0), np.inf)
    share = 1 / (1 + np.exp(-lead))
    rest = 1 - share
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = share * (np.log(share) + np.logaddexp(0.0, -delta))
        kl = kl + np.where(rest > 0, rest * (np.log(np.where(rest > 0, rest, 1.0)) + np.logaddexp(0.0, delta)), 0.0)
    costs = np.where(lead > delta, (p_v + p_u) * np.maximum(kl, 0.0), 0.0)
    costs[rows, place] = np.inf
    return costs.min(axis=1)
