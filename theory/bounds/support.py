"""Sparse supports: 2k dimensions serve contexts of at most k tokens, whatever the vocabulary.

Put token v at ``t_v = 2 pi v / V`` on the trigonometric moment curve
``w_v = (cos t_v, sin t_v, ..., cos k t_v, sin k t_v)``.  A hidden state is a real trigonometric polynomial of degree k
without its constant, which the gauge takes.  For a set S of at most k tokens,

    f_S(t) = - prod_{i in S} (1 - cos(t - t_i))

has degree |S| <= k, vanishes on S and is negative elsewhere, and some polynomial of degree k interpolates ``log p`` on
S (2k + 1 coefficients, at most k conditions).  Their sum ``g + lambda f_S`` has the logits ``log p`` on S and tends to
minus infinity elsewhere as lambda grows: the floor at d = 2k is zero, as an infimum.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from synth import ContextualDistribution
from synth._array import like, to_numpy
from theory.bound import Claim, NotApplicable, exact, upper
from theory.head import Head, HeadSpec

CURVE_ENTRIES = 2**20
"""Entries (C V) beyond which the moment-curve witness is not built."""

LARGEST_LOGIT = 2.0**14
"""Beyond it the rounding of logits shows in the divergence."""

LAMBDAS = np.concatenate([[0.0], np.geomspace(1.0, LARGEST_LOGIT / 2, 40)])
"""Multiples of f_S tried in each context."""


@exact("sparse-support")
def sparse_support(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Supports of at most k tokens cost nothing from 2k dimensions on.

    Setting: every context gives positive probability to at most k tokens, arbitrary otherwise.
    Statement: $g(2k) = 0$.
    Side: exact; an infimum, reached as logits diverge.
    Tight when: all k-subsets, each uniform, have $g(2k-1) > 0$ (bound "all-k-subsets").
    Assumes: unbounded heads (a limit on the logits turns this off).
    Units: nats per token.
    Cost: O(C).
    Fails as: not applicable when $d < 2k$.
    Reference: the moment curve of Gale (1963): cyclic 2k-polytopes are k-neighbourly.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["sparse-support"](families.one_hot(50), HeadSpec(dim=2)).value
    0.0
    """
    k = int(distribution.support_sizes.max())
    if spec.dim < 2 * k:
        raise NotApplicable(f"the largest support has {k} tokens; d >= {2 * k} makes the floor zero")
    reason = "an infimum, reached as logits diverge"
    return Claim(0.0, certificate={"kind": "support", "max_support": k}, reason=reason)


@upper("moment-curve")
def moment_curve(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The gap of an actual moment-curve head: how much of "sparse-support" float64 can reach.

    Setting: supports of at most k tokens, $d \ge 2k$.
    Statement: $g(2k) \le \mathrm{gap}(g_c + \lambda_c f_{S_c})$, the best of 41 values $\lambda_c$ in each context.
    Side: upper.
    Tight when: V and k are small: the gap falls to rounding.  It depends on the order of the tokens on the circle.
    Assumes: nothing more.  A context that float64 cannot separate keeps the uniform law.
    Units: nats per token.
    Cost: O(C V k) for each of 41 multiples.
    Fails as: not applicable when $d < 2k$, on large tables, or when no context is separated.
    Reference: as "sparse-support".

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["moment-curve"](families.one_hot(9), HeadSpec(dim=2)).value < 1e-12
    True
    """
    k, contexts, vocab = int(distribution.support_sizes.max()), distribution.contexts, distribution.vocab
    if spec.dim < 2 * k:
        raise NotApplicable(f"the largest support has {k} tokens; the moment curve needs d >= {2 * k}")
    if contexts * vocab > CURVE_ENTRIES:
        raise NotApplicable(f"{contexts} x {vocab} logits exceed {CURVE_ENTRIES}; restrict contexts first")
    W, H = _curve(vocab, k), np.zeros((contexts, 2 * k))
    reference = distribution.weights
    for c in range(contexts):
        log_p = to_numpy(distribution.table.block(c, c + 1))[0]
        H[c] = _best_row(log_p, W)
    if not H.any():
        raise NotApplicable(f"float64 cannot resolve {vocab} tokens on a curve of degree {k}")
    b = like(np.zeros(vocab), reference) if spec.bias else None
    head = Head(like(H, reference), like(W, reference), b)
    return Claim(head.gap(distribution), head)


def _curve(vocab: int, k: int) -> np.ndarray:
    """The moment curve (V, 2k), columns cos and sin of degree 1 ... k."""
    angles = 2 * np.pi * np.outer(np.arange(vocab), np.arange(1, k + 1)) / vocab
    return np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(vocab, 2 * k)


def _best_row(log_p: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The hidden state ``g + lambda f_S`` of least divergence, or zero if the uniform law does better."""
    vocab, degrees = W.shape
    inside = np.flatnonzero(np.isfinite(log_p))
    design = np.hstack([np.ones((len(inside), 1)), W[inside]])
    interpolant = np.linalg.lstsq(design, log_p[inside], rcond=None)[0][1:]
    rows = interpolant[None, :] + LAMBDAS[:, None] * _separator(2 * np.pi * inside / vocab, degrees // 2)[None, :]
    logits = rows @ W.T
    p = np.exp(log_p[inside])
    costs = logsumexp(logits, axis=1) - logits[:, inside] @ p + p @ log_p[inside]
    best = int(np.argmin(np.where(np.abs(logits).max(axis=1) <= LARGEST_LOGIT, costs, np.inf)))
    resolved = np.abs(logits[best]).max() <= LARGEST_LOGIT
    return rows[best] if resolved and costs[best] < np.log(vocab) + p @ log_p[inside] else np.zeros(degrees)


def _separator(nodes: np.ndarray, k: int) -> np.ndarray:
    """Coefficients (2k,) of ``f_S / max|f_S|`` without its constant, from its values on a grid of 2k + 2 points."""
    grid = 2 * np.pi * np.arange(2 * k + 2) / (2 * k + 2)
    values = -np.prod(1 - np.cos(grid[:, None] - nodes[None, :]), axis=1)
    wave = np.fft.rfft(values / np.abs(values).max())[1 : k + 1] * 2 / len(grid)
    return np.stack([wave.real, -wave.imag], axis=1).reshape(2 * k)
