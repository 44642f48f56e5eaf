"""Metrics for the factors of a head: cheap, structured stand-ins for the inverse Hessian.

``AveragedMetric`` replaces every q_c by the head's unigram law (the preconditioner of scaled gradient descent: Tong, Ma
& Chi 2021): almost free.  Where P has zeros the factors grow without end while the laws they give hardly move; the
averaged curvature then grows too and holds every step back, so ``WhitenedMetric``, which only knows how often contexts
and tokens occur, serves at first.  ``experiments.heads.blocks`` refines either by exact Gauss-Newton blocks.  Each acts
as the initial inverse Hessian of L-BFGS and as the preconditioner of the Newton certificate.

Which metrics serve a kind of objective is registered (``metrics_of``) beside the best of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

from experiments.heads.objective import Evaluation, Objective
from synth import ContextualDistribution
from synth._array import Array, device, epsilon
from theory import Head


class Metric(Protocol):
    """A positive-definite approximation B of the Hessian that can be solved with.

    ``scaling`` is the range in which L-BFGS may scale ``B^-1``: narrow where B has the right size by itself.
    """

    name: str
    scaling: tuple[float, float]

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        ...


class Problem(Protocol):
    """What a descent needs of an objective other than ``Objective``."""

    @property
    def xp(self) -> Any:
        """The array namespace."""
        ...

    @property
    def distribution(self) -> ContextualDistribution:
        """The target."""
        ...

    @property
    def dim(self) -> int:
        """Dimension of the head; it paces the change from one metric to the other."""
        ...

    @property
    def ridge(self) -> float:
        """Weight of the penalty; 0 for none."""
        ...

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        ...

    @property
    def evaluations(self) -> float:
        """Gradient evaluations done so far."""
        ...

    def rounding(self, gap: float) -> float:
        """What a difference of two gaps near ``gap`` may owe to rounding, nats."""
        ...

    def dot(self, a: Array, b: Array) -> float:
        """Inner product of two packed vectors."""
        ...

    def value(self, x: Array) -> float:
        """The gap at x, ridge included."""
        ...

    def evaluate(self, x: Array) -> Evaluation:
        """Gap, gradient and unigram law at x."""
        ...

    def hessian_product(self, x: Array, direction: Array) -> Array:
        """Hessian at x times ``direction``."""
        ...

    def head(self, x: Array) -> Head:
        """The head that x stands for."""
        ...


NARROW, WIDE = (0.1, 10.0), (1e-6, 1e6)
"""Ranges of ``Metric.scaling``."""


class FirstMetric(Protocol):
    """A metric that costs nearly nothing, as a class."""

    name: str

    def __call__(self, objective: Any, x: Array, at: Evaluation) -> Metric:
        """The metric at x."""
        ...


class Refined(Protocol):
    """A better metric, as a class: what it is called, how it is built, what memory it takes.

    ``refresh``: iterations that one building serves, without a warm-up; 0 for one that is dear, and rebuilt seldom.
    """

    name: str
    refresh: int

    def __call__(self, objective: Any, x: Array, at: Evaluation) -> Metric:
        """The metric at x."""
        ...

    def bytes_needed(self, objective: Any) -> int:
        """Memory of the blocks and their construction."""
        ...


@dataclass(frozen=True)
class Metrics:
    """The metrics of one kind of objective, built from ``(objective, x, evaluation)``.

    ``first`` serves for ``warm_up`` iterations and wherever no other fits; ``refined`` are those with exact blocks, the
    best first: the first that fits the memory budget serves.  ``history``: pairs that L-BFGS keeps at most; six do as
    well as twenty with exact blocks.
    """

    first: FirstMetric
    refined: Sequence[Refined] = ()
    warm_up: int = 20
    history: int = 10


class AveragedMetric:
    """``pi_c (x) Cov_qbar(W)`` for contexts and ``qbar_v (x) H~' pi H~`` for tokens, qbar the head's unigram law."""

    name, scaling = "averaged", NARROW

    def __init__(self, objective: Objective, x: Array, at: Evaluation) -> None:
        xp = objective.xp
        H, Wt = objective.split(x)
        W, Ht = Wt[:, : objective.dim], objective.lift(H)
        self.objective = objective
        self.token_scale = xp.maximum(at.unigram, 1e-6 * objective.base)
        mean = self.token_scale @ W
        covariance = W.T @ (self.token_scale[:, None] * W) - mean[:, None] * mean[None, :]
        self.covariance = regular(xp, covariance + objective.ridge * identity(xp, covariance))
        (moment,) = objective.summed(Ht.T @ (objective.pi[:, None] * Ht))
        self.moment = regular(xp, moment + objective.ridge * identity(xp, moment))
        self.inverse_covariance, self.inverse_moment = xp.linalg.inv(self.covariance), xp.linalg.inv(self.moment)

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        gradient_H, gradient_W = self.objective.split(gradient)
        return self.objective.join(
            (gradient_H / self.objective.pi[:, None]) @ self.inverse_covariance,
            (gradient_W / self.token_scale[:, None]) @ self.inverse_moment,
        )


class WhitenedMetric:
    """``pi_c I`` for contexts and ``base_v I`` for tokens: how often each occurs, and nothing of the head."""

    name, scaling = "whitened", WIDE

    def __init__(self, objective: Objective, x: Array, at: Evaluation) -> None:
        self.objective = objective

    def solve(self, gradient: Array) -> Array:
        """``B^-1 gradient``, packed (n,)."""
        gradient_H, gradient_W = self.objective.split(gradient)
        return self.objective.join(gradient_H / self.objective.pi[:, None], gradient_W / self.objective.base[:, None])


@singledispatch
def metrics_of(objective: Any) -> Metrics:
    """The metrics that serve an objective, by its class; a new kind of objective registers its own."""
    raise TypeError(f"no metrics serve a {type(objective).__name__}; register some with metrics_of.register")


def identity(xp: object, matrix: Array) -> Array:
    """The identity of the size, kind and place of a square matrix."""
    return xp.eye(matrix.shape[0], dtype=matrix.dtype, device=device(matrix))  # type: ignore[attr-defined]


def regular(xp: object, matrix: Array) -> Array:
    """A semi-definite matrix made safely invertible: a sqrt(eps) share of its mean diagonal is added."""
    size = max(1, matrix.shape[0])
    mean = float(xp.sum(xp.linalg.diagonal(matrix))) / size  # type: ignore[attr-defined]
    return matrix + max(epsilon(matrix) ** 0.5 * mean, 1e-30) * identity(xp, matrix)
