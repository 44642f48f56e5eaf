"""Where a fit of rank r on frozen features begins: a truncated matrix, a smaller fit grown, random factors.

In the unigram (Fisher) metric, features being whitened, the squared length of a matrix W is ``|D_base^{1/2} W|^2`` and
a multiple of one vector for all tokens costs nothing.  The best matrix of rank r is therefore the truncated SVD of
``D_base^{1/2} (W - 1 base' W)``: the closed form of the page, and a valid head, so a fit can only end below it.
A smaller fit grows along the leading directions of its gradient in the same metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments.heads.frozen.features import Factors
from experiments.heads.frozen.fitted import FrozenFit
from experiments.heads.frozen.objective import FrozenObjective
from experiments.heads.frozen.problem import FrozenProblem
from synth._array import Array, device, like, namespace

SCALES = (2.0, 1.0, 0.5, 0.25, 0.1, 0.03)
"""Lengths tried for grown columns, in steps of the metric's own descent."""


def leading(matrix: Array, count: int) -> Array:
    """The ``count`` leading right singular vectors of (V, k), as columns (k, count); at most k.  Cost: O(V k^2 + k^3).

    A projection on them is needed only, never the singular values, so the normal matrix is accurate enough.
    """
    _, vectors = namespace(matrix).linalg.eigh(matrix.T @ matrix)
    return vectors[:, max(0, vectors.shape[1] - count) :]


def truncated(problem: FrozenProblem, factors: Factors, rank: int) -> Factors:
    """The best factors of this rank in the unigram metric; exact from ``problem.convex_rank`` on.  Zeros fill up."""
    A, B, c = factors
    W = A @ B
    xp, base = namespace(W), problem.full().base
    centred = W - (base @ W)[None, :]
    basis = leading(xp.sqrt(base)[:, None] * centred, rank)
    left = centred @ basis
    left = left - xp.mean(left, axis=0, keepdims=True)  # the gauge of least length, which a ridge asks for
    return _pad(xp, left, rank, 1), _pad(xp, basis.T, rank, 0), c


def grown(problem: FrozenProblem, factors: Factors, objective: FrozenObjective) -> Array:
    """A smaller head grown to the rank of ``objective``, packed; never above it, idle columns being tried too."""
    A, B, c = factors
    xp, extra = objective.xp, objective.dim - int(A.shape[1])
    if extra == 0:
        return objective.pack(factors)
    full = problem.full()
    G = full.matrix(full.evaluate(full.pack(factors)).gradient)[:, : full.dim]
    basis = leading(G / xp.sqrt(full.base)[:, None], extra)
    step = -(G @ basis) / full.base[:, None]
    wide = xp.concat([B, basis.T], axis=0)
    trials = [objective.pack((xp.concat([A, s * step], axis=1), wide, c)) for s in (0.0, *SCALES)]
    return min(trials, key=objective.value)


def candidates(
    problem: FrozenProblem, objective: FrozenObjective, starts: Sequence[FrozenFit]
) -> Iterator[tuple[str, Array]]:
    """Named packed starts: fits of higher rank truncated, others grown."""
    for fit in starts:
        factors = problem.enter(fit)
        if fit.rank > objective.dim:
            yield "truncated", objective.pack(truncated(problem, factors, objective.dim))
        else:
            yield "grown", grown(problem, factors, objective)


def random_start(problem: FrozenProblem, objective: FrozenObjective, seed: int) -> Array:
    """Gaussian ``B``, small Gaussian ``A``, the unigram law as bias; drawn by NumPy and moved."""
    rng = np.random.default_rng(seed)
    B = like(rng.standard_normal((objective.dim, objective.width)), problem.tables.Z)
    A = like(0.02 * rng.standard_normal((objective.vocab, objective.dim)), problem.tables.Z)
    return objective.pack((A, B, problem.usual_bias() if problem.bias else None))


def _pad(xp: Any, matrix: Array, size: int, axis: int) -> Array:
    """The matrix with zeros appended along an axis up to ``size``."""
    shape = list(matrix.shape)
    shape[axis] = size - shape[axis]
    return xp.concat([matrix, xp.zeros(tuple(shape), dtype=matrix.dtype, device=device(matrix))], axis=axis)
