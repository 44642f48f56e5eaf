"""A floor for frozen features: average over contexts first, give way to a rank-one metric afterwards.

Let every head of the class have ``q >= e^-M p`` entrywise, ``E = log q - log p >= -M``, and let ``0 <= a <= p``.  With
``kappa(M) = (e^-M - 1 + M) / M^2`` (``theory.bounds.fisher``),

    KL_n = sum_v p_nv rho(E_nv) >= kappa(M) sum_v a_nv E_nv^2,      E_nv = Delta_v . zt_n - u_n,

``zt_n = (z_n, 1)`` with a bias, ``Delta`` (V, k + 1) the difference of the matrices, ``u_n`` the normaliser.

1. Coupling.  Let ``C_v = sum_n pi_n a_nv zt_n zt_n'`` and ``a_n = sum_v a_nv``.  Over free u_n the sum is
   ``|x|^2 - |T x|^2`` with ``x_v = C_v^{1/2} Delta_v`` and
   ``(T x)_n = sqrt(pi_n / a_n) sum_v a_nv zt_n' C_v^{-1/2} x_v``.  The gauge ``Delta_v = g`` for all v is k + 1
   eigenvectors of ``T'T`` with eigenvalue 1, its largest.  With ``gamma`` one minus the next eigenvalue,

       |x|^2 - |T x|^2  >=  gamma min_g sum_v (Delta_v - g)' C_v (Delta_v - g).

   ``T T'`` is N x N.  ``gamma`` says how far a normaliser can pretend to be an error of logits.
2. Metric.  A free bias leaves the Schur complements ``C_v^c`` (k, k).  Wherever ``C_v^c >= s_v G`` in Loewner's order,
   Eckart and Young give ``sum_v (Delta_v - g)' C_v^c (Delta_v - g) >= tail_r(G^{1/2} W' D_s^{1/2} Pi_s)``.

An entrywise minorant ``r_n s_v <= p_nv`` would need the least probability of a token; ``s_v`` needs only that the
contexts in which a token matters span the features.  Disjoint blocks of contexts add, dropped tokens have ``a = 0``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth._array import to_numpy
from theory.frozen.problem import FrozenProblem

CLIPS = (None, "spread", 4.0, 1.0)
"""Weights tried: ``p``; ``p(1 - p)``; and that, no larger than so many times the rank-one table of its sums."""

SHAVE = 1e-9
"""Relative amount by which computed eigenvalues are lowered before they are relied upon."""


@dataclass(frozen=True, eq=False)
class Floor:
    """One block's certificate: rows, tokens, clip, which tokens were used, ``G``, ``s``, ``gamma``; tails by rank."""

    rows: np.ndarray
    tokens: np.ndarray
    clip: Any
    used: np.ndarray
    G: np.ndarray
    s: np.ndarray
    gamma: float
    tails: np.ndarray

    def certificate(self) -> dict[str, Any]:
        """Plain arrays for the re-check."""
        names = ("rows", "tokens", "clip", "used", "G", "s", "gamma")
        return {name: getattr(self, name) for name in names}


def floors(problem: FrozenProblem, blocks: list[np.ndarray], tokens: int) -> Iterator[list[Floor]]:
    """For each of the ``CLIPS``, one ``Floor`` for each block of rows, on the ``tokens`` of largest curvature."""
    order = np.argsort(-to_numpy(problem.moments.token_variance), kind="stable")[:tokens]
    kept = np.sort(order)
    data = [(rows, *_block(problem, rows, kept)) for rows in blocks]
    for clip in CLIPS:
        yield [_floor(part, kept, clip, to_numpy(problem.W)[kept], problem.bias) for part in data]


def spread_of(p: np.ndarray) -> np.ndarray:
    """``p (1 - p)`` of laws (N, V); what is left beside a token above 1/2 is added up, since ``1 - p`` would cancel."""
    likely = p > 0.5
    return p * np.where(likely, np.where(likely, 0.0, p).sum(axis=1, keepdims=True), 1 - p)


def weights_below(p: np.ndarray, spread: np.ndarray, clip: Any) -> np.ndarray:
    """The table ``a <= p`` (N, V) that a clip names."""
    if clip is None:
        return p
    if clip == "spread":
        return spread
    r, s = spread.sum(axis=1), spread.sum(axis=0)
    return np.minimum(spread, float(clip) * np.outer(r, s) / r.sum())


def _block(problem: FrozenProblem, rows: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, ...]:
    """Features, weights, laws and their spread of some rows, on the host: normalised over all tokens, cut to some."""
    laws = [np.exp(to_numpy(block.log_p)) for block in problem.subset(rows).blocks()]
    tables = (np.concatenate([table[:, tokens] for table in kind]) for kind in (laws, map(spread_of, laws)))
    return to_numpy(problem.X)[rows], to_numpy(problem.weights)[rows], *tables


def _floor(data: tuple[np.ndarray, ...], tokens: np.ndarray, clip: Any, W: np.ndarray, bias: bool) -> Floor:
    """The metric, its token weights and the coupling of one block."""
    rows, X, pi, p, spread = data
    a = weights_below(p, spread, clip) * pi[:, None]
    r = a.sum(axis=1)
    mean = (r @ X) / max(r.sum(), np.finfo(float).tiny) if bias else np.zeros(X.shape[1])
    G = (X - mean).T @ (r[:, None] * (X - mean))
    none = np.zeros(len(tokens))
    empty = Floor(rows, tokens, clip, none > 0, G, none, 0.0, np.zeros(X.shape[1] + 1))
    values, vectors = np.linalg.eigh(G)
    if not values[0] > X.shape[1] * 1e-13 * values[-1] or len(rows) <= X.shape[1] + 1:
        return empty
    Z = (X - mean) @ (vectors / np.sqrt(values))
    lifted = np.hstack([Z, np.ones((len(Z), 1))]) if bias else Z
    used, s, gram = _tokens_and_coupling(lifted, a, bias)
    gamma = max(0.0, 1 - float(np.linalg.eigvalsh(gram)[::-1][lifted.shape[1]]) - SHAVE)
    if gamma == 0 or not s.sum() > 0:
        return empty
    centred = (W - s @ W / s.sum()) @ (vectors * np.sqrt(values))
    energies = np.linalg.eigvalsh(centred.T @ (s[:, None] * centred))[::-1]
    energies = np.maximum(energies - SHAVE * energies[0], 0.0)
    return Floor(rows, tokens, clip, used, G, s, gamma, np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]]))


def _tokens_and_coupling(lifted: np.ndarray, a: np.ndarray, bias: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens used (V,); ``s`` (V,), least eigenvalue of each ``C_v^c`` in whitened features; ``T T'`` (N, N).

    ``a`` (N, V) includes the weights.  A token whose ``C_v`` is singular to rounding is left out of ``a``.
    """
    gram, s = np.zeros((len(a), len(a))), np.zeros(a.shape[1])
    usable = np.zeros(a.shape[1], dtype=bool)
    for v, weight in enumerate(a.T):
        C = lifted.T @ (weight[:, None] * lifted)
        values, vectors = np.linalg.eigh(C)
        usable[v] = values[0] > 1e-9 * values[-1] > 0
        if not usable[v]:
            continue
        side = weight[:, None] * (lifted @ (vectors / np.sqrt(values)))
        gram += side @ side.T
        inner = C[:-1, :-1] - np.outer(C[:-1, -1], C[-1, :-1]) / C[-1, -1] if bias else C
        s[v] = max(0.0, float(np.linalg.eigvalsh(inner)[0]) - SHAVE * values[-1])
    total = a[:, usable].sum(axis=1)
    scale = np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)
    gram *= scale[:, None] * scale[None, :]
    return usable, s, gram
