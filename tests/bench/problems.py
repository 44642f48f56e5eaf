"""What a problem of the benchmark is: what is fitted, from where, and how far a run may go.

``HeadProblem`` is a softmax head on a distribution; those on frozen features are in ``frozen_problems``, the families
and their caps in ``catalogue``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from experiments.heads import Objective, Options, fit, starts
from experiments.heads.lbfgs import Trace
from synth import ContextualDistribution
from synth._array import Array
from theory import HeadSpec

THRESHOLDS = (1e-3, 1e-4, 1e-6)
"""Excesses over the best value found, nats."""

SEEDS = (0, 1, 2)
"""Of the random factors."""

Watch = Callable[[float, float], None]
"""Sees evaluations and gap after every iteration."""


@dataclass(frozen=True)
class Ended:
    """How a fit of ours ended: its value, what it took, and the excess that it certifies (``nan``: none)."""

    gap: float
    evaluations: float
    certified_excess: float


class Task(Protocol):
    """A fit of ours, its data made."""

    def __call__(self, options: Options, watch: Watch | None = None) -> Ended:
        """Solve it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Problem(ABC):
    """A problem with the caps of one run.

    ``horizons`` are the lengths tried for methods that must fix one beforehand.  With ``budgets`` the infimum is not
    attained, and losses are compared after so many evaluations instead of times to an excess.
    ``only`` names the methods compared
    where not all are.
    """

    kind: ClassVar[str]
    charts: ClassVar[tuple[bool, ...]] = (False,)  # whether whitened, for methods that may choose
    convex: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-9  # of the fits that are followed, nats

    name: str
    sentence: str
    evaluations: int = 2000
    seconds: float = 60.0
    horizons: tuple[int, ...] = (300, 600, 1000, 2000)
    budgets: tuple[int, ...] = ()
    only: tuple[str, ...] = ()

    @property
    def headings(self) -> tuple[float, ...]:
        """What the columns of its table are: budgets, or excesses."""
        return self.budgets or THRESHOLDS

    @abstractmethod
    def objective(self, whitened: bool = False) -> Any:
        """A fresh objective: nothing is remembered from earlier runs."""

    @abstractmethod
    def start(self, objective: Any, whitened: bool, seed: int | None) -> tuple[Array, float]:
        """The closed form, or random factors; and the evaluations that it takes beyond a few values."""

    @abstractmethod
    def scales(self, objective: Any) -> Array:
        """The whitening (n,): coordinates ``x / scales`` see contexts and tokens weigh the same."""

    @abstractmethod
    def task(self) -> Task:
        """The fit of ours, on data freshly made."""


@dataclass(frozen=True, kw_only=True)
class HeadProblem(Problem):
    """Heads of class ``spec`` on a distribution.  ``tournaments``: whether with a bias, of fits from random starts."""

    kind = "head"

    make: Callable[[], ContextualDistribution]
    spec: HeadSpec
    tournaments: tuple[bool, ...] = ()

    def objective(self, whitened: bool = False) -> Objective:
        """The objective on a freshly made distribution."""
        return Objective(self.make(), self.spec)

    def start(self, objective: Objective, whitened: bool, seed: int | None) -> tuple[Array, float]:
        """The lowest closed form, where ``fit`` starts too, in the gauge that balances both factors."""
        scratch = Objective(objective.distribution, self.spec)
        if seed is not None:
            return starts.random_start(scratch, seed), 0.0
        x = min((x for _, x in starts.closed_forms(scratch)), key=scratch.value)
        return balanced(objective, x), 0.0

    def scales(self, objective: Objective) -> Array:
        """Square roots of the weights of contexts and tokens, inverted."""
        H, W = np.ones((objective.contexts, objective.dim)), np.ones((objective.vocab, objective.columns))
        return objective.join(H / np.sqrt(objective.pi)[:, None], W / np.sqrt(objective.base)[:, None])

    def task(self) -> Task:
        """``experiments.heads.fit``."""
        distribution = self.make()

        def solve(options: Options, watch: Watch | None = None) -> Ended:
            def follow(trace: Trace) -> None:
                if watch is not None:
                    watch(trace.course[-1][0], trace.at.gap)

            found = fit(distribution, self.spec, options, watch=follow)
            return Ended(found.gap, found.evaluations, found.certified_excess)

        return solve


def balanced(objective: Objective, x: Array) -> Array:
    """The same logits with ``H' D_pi H = W' D_base W`` diagonal; the bias is left alone."""
    H, Wt = objective.split(x)
    left, right = np.sqrt(objective.pi)[:, None], np.sqrt(objective.base)[:, None]
    frame, triangle = np.linalg.qr(left * H)
    other, second = np.linalg.qr(right * Wt[:, : objective.dim])
    U, s, Vt = np.linalg.svd(triangle @ second.T)
    H = frame @ U * np.sqrt(s) / left
    W = other @ Vt.T * np.sqrt(s) / right
    return objective.join(H, np.concatenate([W, Wt[:, objective.dim :]], axis=1))
