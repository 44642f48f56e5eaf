"""Sparse supports: 2k dimensions, or 2k - 1 and a bias, serve contexts of at most k tokens, whatever the vocabulary.

Put token v at ``t_v = 2 pi v / V`` on the trigonometric moment curve
``w_v = (cos t_v, sin t_v, ..., cos k t_v, sin k t_v)``.  A hidden state is a real trigonometric polynomial of degree k
without its constant, which the gauge takes.  For a set S of at most k tokens,

    f_S(t) = - prod_{i in S} (1 - cos(t - t_i))

has degree |S| <= k, vanishes on S and is negative elsewhere, and some polynomial of degree k interpolates ``log p`` on
S (2k + 1 coefficients, at most k conditions).  Their sum ``g + lambda f_S`` has the logits ``log p`` on S and tends to
minus infinity elsewhere as lambda grows: the floor at d = 2k is zero, as an infimum.

With a bias put the tokens at distinct points ``t_v`` of a line instead, and take

    f_S(t) = - (1 + t^2)^(k - |S|) prod_{i in S} (t - t_i)^2,

again zero on S and negative elsewhere, and of degree 2k with the same leading term ``-t^2k`` for every S.  If lambda is
the same in every context the bias holds ``-lambda t^2k``; the powers ``t ... t^(2k-1)`` are the head, the interpolant
of ``log p`` on S among them, and the constant is gauge: ``g_b(2k - 1) = 0``.
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

LARGEST_ON_SUPPORT = 2.0**20
"""The same for the logits of the tokens of a support on the line, whose arithmetic is exact but for ``log p``."""

ROOM = 1e-12
"""Relative room left below a limit on the range, for the rounding of logits."""

LAMBDAS = np.concatenate([[0.0], np.geomspace(1.0, LARGEST_LOGIT / 2, 40)])
"""Multiples of f_S tried in each context."""

WORTHWHILE = 1e-12
"""Nats that a larger common multiple must save: below, it only adds rounding."""

LARGEST_DEGREE = 64
"""Degree 2k beyond which no polynomial is formed on the line: float64 resolves nothing there."""

COMMON_LAMBDAS = np.concatenate([[0.0], 2.0 ** np.arange(60)])
"""Multiples of f_S tried for all contexts at once on the line; powers of two, which multiply exactly."""


@exact("sparse-support")
def sparse_support(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""Supports of at most k tokens cost nothing from 2k dimensions on, or 2k - 1 with a bias.

    Setting: every context gives positive probability to at most k tokens, arbitrary otherwise.
    Statement: $g(2k) = 0$ and $g_b(2k-1) = 0$.
    Side: exact; an infimum, reached as logits diverge.
    Tight when: all k-subsets of $V \ge 3k$ tokens, each uniform, have $g_b(2k-2) \ge g(2k-1) > 0$ ("all-k-subsets").
    Assumes: unbounded heads (a limit on the logits turns this off).
    Units: nats per token.
    Cost: O(C).
    Fails as: not applicable when $d < 2k$, with a bias $d + 1 < 2k$.
    Reference: the moment curve of Gale (1963): cyclic 2k-polytopes are k-neighbourly.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> bound = catalogue["sparse-support"]
    >>> [bound(families.one_hot(50), spec).value for spec in (HeadSpec(2), HeadSpec(1, bias=True))]
    [0.0, 0.0]
    """
    k = int(distribution.support_sizes.max())
    if spec.rank < 2 * k:
        raise NotApplicable(f"the largest support has {k} tokens; d >= {2 * k - int(spec.bias)} makes the floor zero")
    reason = "an infimum, reached as logits diverge"
    return Claim(0.0, certificate={"kind": "support", "max_support": k}, reason=reason)


@upper("moment-curve")
def moment_curve(distribution: ContextualDistribution, spec: HeadSpec) -> Claim:
    r"""The gap of an actual moment-curve head: how much of "sparse-support" float64 can reach.

    Setting: supports of at most k tokens; $d \ge 2k$ (circle), or $d = 2k - 1$ and a bias (line).
    Statement: $g(2k) \le \mathrm{gap}(g_c + \lambda_c f_{S_c})$, the best of 41 values $\lambda_c$ in each context;
    $g_b(2k-1)$ the same with the best $\lambda$ for all contexts together.
    Side: upper.
    Tight when: V and k are small: the gap falls to rounding.  It depends on the order of the tokens on the curve.
    Assumes: nothing more.  On the circle a context that float64 cannot separate keeps the uniform law.  Where the class
    limits the range of logits the multiples keep it, on the circle by shrinking rows.
    Units: nats per token.
    Cost: O(C V k) for each of 41 multiples, 61 on the line.
    Fails as: not applicable when $d < 2k$ (bias: $d + 1 < 2k$), on large tables, or where float64 separates no context.
    Reference: as "sparse-support".

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> catalogue["moment-curve"](families.one_hot(9), HeadSpec(dim=2)).value < 1e-12
    True
    """
    k, contexts, vocab = int(distribution.support_sizes.max()), distribution.contexts, distribution.vocab
    if spec.rank < 2 * k:
        raise NotApplicable(f"the largest support has {k} tokens; the moment curve needs d >= {2 * k - int(spec.bias)}")
    if contexts * vocab > CURVE_ENTRIES:
        raise NotApplicable(f"{contexts} x {vocab} logits exceed {CURVE_ENTRIES}; restrict contexts first")
    log_p = to_numpy(distribution.table.block(0, contexts))
    if spec.dim < 2 * k and 2 * k > LARGEST_DEGREE:
        raise NotApplicable(f"float64 cannot resolve {vocab} tokens on a line by polynomials of degree {2 * k}")
    if spec.dim < 2 * k:
        H, W, b = _on_line(log_p, to_numpy(distribution.weights), k, spec.effective_range)
    else:
        W, b = _curve(vocab, k), np.zeros(vocab)
        H = np.stack([_best_row(row, W, spec.effective_range) for row in log_p])
        if not H.any():
            raise NotApplicable(f"float64 cannot resolve {vocab} tokens on a curve of degree {k}")
    reference = distribution.weights
    head = Head(like(H, reference), like(W, reference), like(b, reference) if spec.bias else None)
    return Claim(head.gap(distribution), head)


def _curve(vocab: int, k: int) -> np.ndarray:
    """The moment curve (V, 2k), columns cos and sin of degree 1 ... k."""
    angles = 2 * np.pi * np.outer(np.arange(vocab), np.arange(1, k + 1)) / vocab
    return np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(vocab, 2 * k)


def _best_row(log_p: np.ndarray, W: np.ndarray, widest: float) -> np.ndarray:
    """The hidden state ``g + lambda f_S``, shrunk into the range, of least divergence; zero if uniform does better."""
    vocab, degrees = W.shape
    inside = np.flatnonzero(np.isfinite(log_p))
    design = np.hstack([np.ones((len(inside), 1)), W[inside]])
    interpolant = np.linalg.lstsq(design, log_p[inside], rcond=None)[0][1:]
    rows = interpolant[None, :] + LAMBDAS[:, None] * _separator(2 * np.pi * inside / vocab, degrees // 2)[None, :]
    if widest < np.inf:
        rows = rows * np.minimum(1.0, widest * (1 - ROOM) / np.maximum(np.ptp(rows @ W.T, axis=1), ROOM))[:, None]
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


def _on_line(
    log_p: np.ndarray, weights: np.ndarray, k: int, widest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``H`` (C, 2k - 1), ``W`` (V, 2k - 1) and the bias of the head on the line, at the best common multiple of f_S.

    Nodes, their powers and the coefficients of f_S are dyadic, so the logits of ``lambda f_S`` carry no rounding.
    """
    nodes = _nodes(log_p.shape[1])
    powers = np.vander(nodes, 2 * k + 1, increasing=True)
    W, inside = powers[:, 1:-1], np.isfinite(log_p)
    finite, p = np.where(inside, log_p, 0.0), np.exp(log_p)
    F, G = np.zeros((len(log_p), 2 * k - 1)), np.zeros((len(log_p), 2 * k - 1))
    for c, row in enumerate(inside):
        F[c] = -_squares(nodes[row], k)[1:-1]
        G[c] = np.linalg.lstsq(powers[row, :-1], log_p[c, row], rcond=None)[0][1:]
    best: tuple[float, float] | None = None
    for factor in COMMON_LAMBDAS:
        logits = (G + factor * F) @ W.T - factor * powers[:, -1]
        if np.abs(logits[inside]).max() <= LARGEST_ON_SUPPORT and np.ptp(logits, axis=1).max() <= widest:
            cost = float(weights @ (logsumexp(logits, axis=1) + (p * (finite - logits)).sum(axis=1)))
            best = (cost, factor) if best is None or cost < best[0] - WORTHWHILE else best
    if best is None:
        raise NotApplicable(f"interpolants of the log-probabilities exceed {min(LARGEST_ON_SUPPORT, widest):g}")
    return G + best[1] * F, W, -best[1] * powers[:, -1]


def _nodes(vocab: int) -> np.ndarray:
    """Points of [-1, 1] (V,), equally spaced and symmetric: integers or half-integers over a power of two."""
    return (np.arange(vocab) - (vocab - 1) / 2) / 2.0 ** np.ceil(np.log2(max(vocab, 2) / 2))


def _squares(nodes: np.ndarray, k: int) -> np.ndarray:
    """Coefficients (2k + 1,), constant first, of ``(1 + t^2)^(k - n) prod_i (t - t_i)^2`` for n nodes ``t_i``."""
    polynomial = np.poly(np.repeat(nodes, 2))
    for _ in range(k - len(nodes)):
        polynomial = np.polymul(polynomial, [1.0, 0.0, 1.0])
    return polynomial[::-1]
