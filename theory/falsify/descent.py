"""Heads of tiny tables by plain descent: what a claimed lower bound must stay below.

Any head of the class gives a gap, and the floor is no higher, so nothing here needs trust or convergence: SciPy's
L-BFGS on the packed factors ``x = [H, W, b]`` with the closed-form gradient

    G = pi (Q - P),      dH = G W,      dW = G' H,      db = G' 1.

For a limited class the descent pays ``PENALTY / 2`` times the squared excess over the limit (less a margin) and is
watched: its last iterate that is a member counts, and the end shrunk towards the uniform law until it is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.optimize import minimize

from synth import logspace
from theory.falsify.problem import Problem
from theory.head import Head
from theory.truncation import unigram_truncation

SHARE = 0.2
"""Smoothing of zeros in the first start."""

PENALTY, MARGIN = 30.0, 0.98
"""Weight of the squared excess over a limit, and the share of the limit from which it is counted."""

SHRUNK = np.append(np.geomspace(1.0, 1e-3, 30), 0.0)
"""Multiples of the last iterate tried as members of a limited class, largest first."""


@dataclass(frozen=True)
class Effort:
    """Random starts and iterations of each descent."""

    starts: int
    iterations: int


QUICK, THOROUGH = Effort(1, 60), Effort(4, 400)

KEPT = 40
"""Iterates of a path that are looked at again."""


def best_head(problem: Problem, effort: Effort, warm: Head | None = None) -> tuple[Head | None, float]:
    """The head of least gap found in the class, and its gap; ``None`` and +inf if no member of a limited class is met.

    Starts: ``warm`` if given, else the smoothed truncation in the unigram metric; then ``effort.starts`` random heads.
    Cost: O((starts + 1) iterations C V d).
    """
    best, lowest = None, math.inf
    for head in _candidates(problem, effort, warm):
        gap = head.gap(problem.distribution)
        if gap < lowest:
            best, lowest = head, gap
    return best, lowest


def table_gradient(problem: Problem, head: Head) -> np.ndarray:
    """Derivative of the gap of a fixed head with respect to the table's unknowns ``[logits, log weights]``.

    With ``E = log p - log q``: ``pi_c p_cv (E_cv - KL_c)`` and ``pi_c (KL_c - gap)``.
    """
    p, inside = np.exp(problem.log_p), problem.support
    E = np.where(inside, np.where(inside, problem.log_p, 0.0) - np.asarray(head.log_q()), 0.0)
    rows = (p * E).sum(axis=1)
    slope = problem.weights[:, None] * p * (E - rows[:, None])
    return np.concatenate([slope[inside], problem.weights * (rows - problem.weights @ rows)])


def _candidates(problem: Problem, effort: Effort, warm: Head | None) -> Iterator[Head]:
    """Ends of the descents; for a limited class the last member of each path, and of each end shrunk.

    Where logits are rounded every member counts, because rounding has no trend.
    """
    if problem.spec.rank == 0:
        head = _unpack(problem, np.zeros(0))
        yield from [head] if head.belongs_to(problem.spec, problem.distribution) else []
        return
    for x in _starts(problem, effort, warm):
        path = _descend(problem, x, effort.iterations)
        if problem.spec.is_unbounded:
            yield _unpack(problem, path[-1])
            continue
        for points in (reversed(path), (_scaled(problem, path[-1], factor) for factor in SHRUNK)):
            heads = (_unpack(problem, point) for point in points)
            members = (head for head in heads if head.belongs_to(problem.spec, problem.distribution))
            yield from members if problem.spec.float_format is not None else islice(members, 1)


def _starts(problem: Problem, effort: Effort, warm: Head | None) -> Iterator[np.ndarray]:
    spec = problem.spec
    first = warm or unigram_truncation(problem.distribution, spec.dim, spec.bias, share=SHARE)
    yield _pack(problem, first)
    rng = np.random.default_rng(0)
    size = sum(problem.shape) * spec.dim + problem.shape[1] * int(spec.bias)
    for scale in np.geomspace(1.0, 3.0, effort.starts):
        yield scale * rng.standard_normal(size)


def _descend(problem: Problem, x: np.ndarray, iterations: int) -> list[np.ndarray]:
    """The iterates of one descent; only the last for an unbounded class."""
    log_p, p, pi = np.where(problem.support, problem.log_p, 0.0), np.exp(problem.log_p), problem.weights[:, None]
    path = [x]

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        H, W, b = _split(problem, x)
        A = H @ W.T + (b if problem.spec.bias else 0.0)
        log_q = logspace.log_softmax(A)
        price, push = _penalty(problem, A, log_q)
        G = pi * (np.exp(log_q) - p) + push
        parts = [(G @ W).ravel(), (G.T @ H).ravel()] + ([G.sum(axis=0)] if problem.spec.bias else [])
        size, slope = _norm_penalty(problem, H, W, b)
        return float((pi * p * (log_p - log_q)).sum()) + price + size, np.concatenate(parts) + slope

    watch = None if problem.spec.is_unbounded else lambda x: path.append(x.copy())
    options = {"maxiter": iterations, "gtol": 1e-10, "ftol": 1e-15}
    found = minimize(loss, x, jac=True, method="L-BFGS-B", options=options, callback=watch)
    return [*path[:: 1 + len(path) // KEPT], found.x]


def _penalty(problem: Problem, A: np.ndarray, log_q: np.ndarray) -> tuple[float, np.ndarray]:
    """Price of leaving a limited class, and its derivative in the logits (C, V)."""
    spec, price, push = problem.spec, 0.0, np.zeros_like(A)
    if spec.max_underestimate is not None:
        error = np.where(problem.support, problem.log_p - log_q, -np.inf)
        excess = np.maximum(error - MARGIN * spec.max_underestimate, 0.0)
        price += PENALTY / 2 * float((excess**2).sum())
        push += PENALTY * (np.exp(log_q) * excess.sum(axis=1, keepdims=True) - excess)
    if spec.logit_range is not None:
        rows = np.arange(len(A))
        excess = np.maximum(np.ptp(A, axis=1) - MARGIN * spec.logit_range, 0.0)
        price += PENALTY / 2 * float((excess**2).sum())
        push[rows, A.argmax(axis=1)] += PENALTY * excess
        push[rows, A.argmin(axis=1)] -= PENALTY * excess
    return price, push


def _norm_penalty(problem: Problem, H: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    """Price of a norm ``max |h_c| max |w_v| + max |b_v|`` beyond its limit, and its derivative in the packed vector."""
    slope = [np.zeros_like(H), np.zeros_like(W), np.zeros_like(b)]
    rows = [np.sqrt((M * M).sum(axis=1)) for M in (H, W)]
    size = float(rows[0].max() * rows[1].max() + np.abs(b).max(initial=0.0))
    if problem.spec.norm is None or size <= MARGIN * problem.spec.norm:
        return 0.0, np.concatenate([part.ravel() for part in slope])
    excess, (i, j) = size - MARGIN * problem.spec.norm, (int(row.argmax()) for row in rows)
    if rows[0][i] * rows[1][j] > 0:
        slope[0][i] = PENALTY * excess * rows[1][j] * H[i] / rows[0][i]
        slope[1][j] = PENALTY * excess * rows[0][i] * W[j] / rows[1][j]
    if len(b) > 0:
        k = int(np.abs(b).argmax())
        slope[2][k] = PENALTY * excess * np.sign(b[k])
    return PENALTY / 2 * excess**2, np.concatenate([part.ravel() for part in slope])


def _pack(problem: Problem, head: Head) -> np.ndarray:
    b = np.zeros(problem.shape[1]) if head.b is None else np.asarray(head.b)
    parts = [np.asarray(head.H).ravel(), np.asarray(head.W).ravel()] + ([b] if problem.spec.bias else [])
    return np.concatenate(parts)


def _split(problem: Problem, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``H`` (C, d), ``W`` (V, d) and the bias (V,), empty without one, as views of the packed vector."""
    (contexts, vocab), dim = problem.shape, problem.spec.dim
    H, W, b = np.split(x, np.cumsum([contexts * dim, vocab * dim]))
    return H.reshape(contexts, dim), W.reshape(vocab, dim), b


def _scaled(problem: Problem, x: np.ndarray, factor: float) -> np.ndarray:
    """The packed head whose logits are ``factor`` times as large."""
    scaled, cut = x.copy(), problem.shape[0] * problem.spec.dim
    scaled[:cut] *= factor
    if problem.spec.bias:
        scaled[-problem.shape[1] :] *= factor
    return scaled


def _unpack(problem: Problem, x: np.ndarray) -> Head:
    H, W, b = _split(problem, x)
    return Head(H, W, b if problem.spec.bias else None, problem.spec.float_format)
