"""Riemannian conjugate gradients of pymanopt on the manifold of whitened logits of rank d (Vandereycken 2013).

A point ``(U, s, V')`` stands for ``Z = U diag(s) V' = D_pi^{1/2} H W' D_base^{1/2}``; a bias is a Euclidean factor.
Its factors are ``H = D_pi^{-1/2} U diag(s)^{1/2}`` and ``W = D_base^{-1/2} V diag(s)^{1/2}``, in which the objective
is evaluated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synth._array import Array
from tests.bench.peers.method import Method, Run
from tests.bench.problems import Problem
from tests.bench.recorder import Recorder


class Chart:
    """Between points of the manifold and packed factors."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, objective = recorder, recorder.objective
        self.bias = objective.spec.bias
        self.left, self.right = np.sqrt(objective.pi)[:, None], np.sqrt(objective.base)[:, None]

    def begin(self) -> list[Any]:
        """The starting point, with the whitened bias if there is one."""
        from pymanopt.manifolds.fixed_rank import _FixedRankPoint

        objective = self.recorder.objective
        H, Wt = objective.split(self.recorder.begin())
        frame, triangle = np.linalg.qr(self.left * H)
        other, second = np.linalg.qr(self.right * Wt[:, : objective.dim])
        U, s, Vt = np.linalg.svd(triangle @ second.T)
        point = _FixedRankPoint(frame @ U, s, (other @ Vt.T).T)
        return [point, Wt[:, -1] * self.right[:, 0]] if self.bias else [point]

    def pack(self, U: Array, s: Array, Vt: Array, *bias: Array) -> Array:
        """The balanced factors of a point."""
        W = Vt.T * np.sqrt(s) / self.right
        if bias:
            W = np.concatenate([W, bias[0][:, None] / self.right], axis=1)
        return self.recorder.objective.join(U * np.sqrt(s) / self.left, W)

    def cost(self, *point: Array) -> float:
        """The gap."""
        return self.recorder.value(self.pack(*point))

    def gradient(self, *point: Array) -> list[Array]:
        """In U, s, V' and the bias; two products, since the cost has formed the logits of this point already."""
        (U, s, _, *bias), objective = point, self.recorder.objective
        objective.work -= 1
        gradient_H, gradient_W = objective.split(self.recorder.evaluate(self.pack(*point)).gradient)
        in_U = gradient_H / self.left * np.sqrt(s)
        in_V = gradient_W[:, : objective.dim] / self.right * np.sqrt(s)
        in_s = np.sum(U * in_U, axis=0) / s
        return [in_U, in_s, in_V.T, *([gradient_W[:, -1] / self.right[:, 0]] if bias else [])]


def descend(recorder: Recorder) -> None:
    """Conjugate gradients with pymanopt's defaults, its tolerances at zero."""
    import pymanopt
    from pymanopt.manifolds import Euclidean, FixedRankEmbedded, Product
    from pymanopt.optimizers import ConjugateGradient

    objective, chart = recorder.objective, Chart(recorder)
    fixed = FixedRankEmbedded(objective.contexts, objective.vocab, objective.dim)
    manifold = Product([fixed, *([Euclidean(objective.vocab)] if chart.bias else [])])

    @pymanopt.function.numpy(manifold)
    def cost(*point: Array) -> float:
        return chart.cost(*point)

    @pymanopt.function.numpy(manifold)
    def gradient(*point: Array) -> list[Array]:
        return chart.gradient(*point)

    problem = pymanopt.Problem(manifold, cost, euclidean_gradient=gradient)
    optimiser = ConjugateGradient(max_iterations=10**6, max_time=1e6, min_gradient_norm=0, min_step_size=0, verbosity=0)
    optimiser.run(problem, initial_point=chart.begin())


def variants(problem: Problem) -> dict[str, Run]:
    """A single one."""
    return {"defaults": descend}


METHODS = (Method("pymanopt fixed-rank CG", "pymanopt", variants, kinds=("head",)),)
