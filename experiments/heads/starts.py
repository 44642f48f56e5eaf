"""Where a fit begins: closed-form truncations, a lower-dimensional fit with columns appended, random factors.

Every candidate is a valid head, so the fit can only end below the best of them; in particular below the witnesses
of the upper bounds it starts from.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from experiments.heads.objective import Objective
from synth._array import Array, device, epsilon, like, to_numpy
from theory import Head, catalogue

WITNESSES = ("plug-in-unigram", "plug-in-svd", "moment-curve", "staircase-head", "unigram")
"""Upper bounds whose witnesses are starting points; every other upper bound lies above one of these."""

SCALES = (2.0, 1.0, 0.5, 0.25, 0.1, 0.03)
"""Lengths tried for appended columns."""

OVERSAMPLING, SWEEPS = 8, 3
"""Extra columns and passes of the subspace iteration that finds the directions to append."""


def closed_forms(objective: Objective) -> Iterator[tuple[str, Array]]:
    """Named packed starts that need no earlier fit: the witnesses of the upper bounds in ``WITNESSES``."""
    for name in WITNESSES:
        head = catalogue[name](objective.distribution, objective.spec).witness
        if head is not None:
            yield name, appended(objective, _trim(objective, head))


def truncated(objective: Objective, head: Head) -> Array:
    """A head of larger dimension cut to the leading singular directions of ``D_pi^{1/2} H W' D_base^{1/2}``."""
    head = head.on(objective.pi)
    xp, dim = objective.xp, objective.dim
    root_pi, root_base = xp.sqrt(objective.pi)[:, None], xp.sqrt(objective.base)[:, None]
    left, inner = xp.linalg.qr(root_pi * head.H)
    right, outer = xp.linalg.qr(root_base * head.W)
    U, values, Vt = xp.linalg.svd(inner @ outer.T)
    root = xp.sqrt(values[:dim])[None, :]
    H = (left @ U[:, :dim]) * root / root_pi
    W = (right @ Vt[:dim, :].T) * root / root_base
    return objective.pack(Head(H, W, head.b))


def balanced(objective: Objective, x: Array) -> Array:
    """The same logits with ``H' D_pi H = W' D_base W`` diagonal, the bias left alone; idle dimensions stay.

    With ``M``, ``N`` the two moments and ``M^{1/2} N M^{1/2} = U D U'``, ``G = M^{-1/2} U D^{1/4}`` turns H into H G
    and W into W G^{-T}.
    """
    xp = objective.xp
    H, Wt = objective.split(x)
    W = Wt[:, : objective.dim]
    (of_H,) = objective.summed(H.T @ (objective.pi[:, None] * H))
    of_W = W.T @ (objective.base[:, None] * W)
    squares, frame = xp.linalg.eigh(of_H)
    if not float(squares[0]) > epsilon(x) * float(squares[-1]):
        return x
    root, inverse = (frame * squares**0.5) @ frame.T, (frame * squares**-0.5) @ frame.T
    values, turn = xp.linalg.eigh(root @ of_W @ root)
    if not float(values[0]) > epsilon(x) * float(values[-1]):
        return x
    turned = xp.concat([W @ root @ turn * values**-0.25, Wt[:, objective.dim :]], axis=1)
    return objective.join(H @ inverse @ turn * values**0.25, turned)


def random_start(objective: Objective, seed: int) -> Array:
    """Gaussian hidden states, a small Gaussian head, the unigram law as bias; drawn by NumPy and moved."""
    rng = np.random.default_rng(seed)
    H = rng.standard_normal((objective.all_contexts, objective.dim))[objective.held, :]
    Wt = 0.02 * rng.standard_normal((objective.vocab, objective.columns))
    packed = objective.join(like(H, objective.pi), like(Wt, objective.pi))
    if objective.spec.bias:
        _, tokens = objective.split(packed)
        tokens[:, objective.dim] += objective.xp.log(objective.base)
    return packed


def appended(objective: Objective, head: Head) -> Array:
    """A head of smaller dimension with the columns that lower its gap fastest, at the best of ``SCALES``.

    They are the leading singular directions of ``-D_pi^{-1/2} G D_base^{-1/2}``, G the gradient in the logits; the
    new columns enter at the length that gives the lowest gap, or as zeros when none lowers it: the ladder never rises.
    """
    head.check_shape(objective.distribution)
    xp = objective.xp
    extra = objective.dim - head.dim
    if extra < 0:
        raise ValueError(
            f"a start of dimension {head.dim} was given for a head of dimension {objective.dim}; truncate it"
        )
    head = head.on(objective.pi)
    place = objective.pi
    zeros_H = xp.zeros((objective.contexts, extra), dtype=place.dtype, device=device(place))
    zeros_W = xp.zeros((objective.vocab, extra), dtype=place.dtype, device=device(place))
    flat = objective.pack(_widen(xp, head, zeros_H, zeros_W))
    if extra == 0:
        return flat
    left, values, right = _descent_directions(objective, flat, extra)
    root_H = left * xp.sqrt(values)[None, :] / xp.sqrt(objective.pi)[:, None]
    root_W = right * xp.sqrt(values)[None, :] / xp.sqrt(objective.base)[:, None]
    trials = [flat] + [objective.pack(_widen(xp, head, scale**0.5 * root_H, scale**0.5 * root_W)) for scale in SCALES]
    return min(trials, key=objective.value)


def _trim(objective: Objective, head: Head) -> Head:
    """The head without its idle columns (zero in H and W): they would stay idle, their gradient being zero."""
    xp = objective.xp
    used = to_numpy(xp.any(head.H != 0, axis=0) & xp.any(head.W != 0, axis=0))
    kept = like(np.flatnonzero(used), head.H)
    return head if used.all() else Head(xp.take(head.H, kept, axis=1), xp.take(head.W, kept, axis=1), head.b)


def _widen(xp: object, head: Head, H: Array, W: Array) -> Head:
    concat = xp.concat  # type: ignore[attr-defined]
    return Head(concat([head.H, H], axis=1), concat([head.W, W], axis=1), head.b)


def _descent_directions(objective: Objective, x: Array, count: int) -> tuple[Array, Array, Array]:
    """Leading singular triples of ``D_pi^{-1/2} (-G) D_base^{-1/2}``: (C, k), (k,), (V, k), by subspace iteration."""
    xp = objective.xp
    root_pi, root_base = xp.sqrt(objective.pi)[:, None], xp.sqrt(objective.base)[:, None]
    width = min(count + OVERSAMPLING, objective.all_contexts, objective.vocab)
    rng = np.random.default_rng(count)
    basis = like(rng.standard_normal((objective.vocab, width)), objective.pi)
    for _ in range(SWEEPS):
        basis, _ = xp.linalg.qr(basis)
        image, _ = objective.residual_products(x, basis / root_base, None)
        frame = objective.orthonormal(image / root_pi)
        _, basis = objective.residual_products(x, None, frame / root_pi)
        basis = basis / root_base
    right, values, left = xp.linalg.svd(basis, full_matrices=False)
    kept = min(count, int(values.shape[0]))
    left_columns = frame @ left.T
    if kept < count:  # a table smaller than the step: the missing directions stay zero
        return _pad(xp, -left_columns, count), _pad(xp, values[None, :], count)[0, :], _pad(xp, right, count)
    return -left_columns[:, :kept], values[:kept], right[:, :kept]


def _pad(xp: object, matrix: Array, columns: int) -> Array:
    missing = columns - matrix.shape[1]
    zeros = xp.zeros((matrix.shape[0], missing), dtype=matrix.dtype, device=device(matrix))  # type: ignore[attr-defined]
    return xp.concat([matrix, zeros], axis=1)  # type: ignore[attr-defined]
