"""Problems on frozen features: factors of a head of rank r, and the unrestricted (convex) head.

Peers work on the features as they are given or on whitened ones (``raw``, ``whitened``): the same objective in other
coordinates.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np

from experiments.heads import Options
from experiments.heads.descent import certified_descent
from experiments.heads.frozen import FrozenFit, fit_frozen, fit_full
from experiments.heads.frozen import solver as frozen_solver
from experiments.heads.frozen.features import Factors, Whitened
from experiments.heads.frozen.full import FullObjective
from experiments.heads.frozen.objective import FrozenObjective
from experiments.heads.frozen.problem import FrozenProblem
from experiments.heads.frozen.starts import random_start, truncated
from experiments.heads.frozen.target import Target
from experiments.heads.lbfgs import Trace
from synth._array import Array
from tests.bench.problems import Ended, Problem, Task, Watch
from theory import HeadSpec

START = Options(tolerance=frozen_solver.START_TOLERANCE)
"""Of the unrestricted fit whose truncation is the closed form."""


def as_given(X: Array) -> Whitened:
    """Features as they are, in the form of whitened ones."""
    one = np.eye(X.shape[1])
    return Whitened(X, np.zeros(X.shape[1]), one, one, np.ones(X.shape[1]))


made = cache(lambda make: make())
"""Data made once, for what is not timed with it."""


@dataclass(frozen=True, kw_only=True)
class OnFeatures(Problem):
    """What both kinds share; ``make`` returns features (N, D) and the target."""

    charts = (False, True)
    tolerance = 1e-7
    goal: ClassVar[type] = FullObjective

    make: Callable[[], tuple[Array, Target]]

    def problem(self) -> FrozenProblem:
        """Features checked and whitened."""
        return FrozenProblem.of(*made(self.make), True, START)

    @abstractmethod
    def solve(self, X: Array, target: Target, options: Options) -> FrozenFit:
        """The fit of ours."""

    def exchange(self, objective: FullObjective) -> float:
        """Evaluations of the unrestricted objective as evaluations of the one compared: the same, unless it differs."""
        return objective.evaluations

    def task(self) -> Task:
        """``fit_frozen`` or ``fit_full``, followed by a watcher put into its descents."""
        data = self.make()

        def solve(options: Options, watch: Watch | None = None) -> Ended:
            spent = [0.0]

            def descent(objective: Any, x: Array, options: Options, _: Any) -> Any:
                before, aimed = spent[0], type(objective) is self.goal

                def follow(trace: Trace) -> None:
                    if aimed and watch is not None:
                        watch(before + trace.course[-1][0], trace.at.gap)

                ended = certified_descent(objective, x, options, follow)
                spent[0] += objective.evaluations if aimed else self.exchange(objective)
                return ended

            with patch.object(frozen_solver, "certified_descent", descent):
                found = self.solve(*data, options)
            return Ended(found.objective, spent[0], found.certified_excess)

        return solve


@dataclass(frozen=True, kw_only=True)
class RankProblem(OnFeatures):
    """Heads ``A B`` of a rank, with a bias: ``fit_frozen``."""

    kind = "frozen"
    goal = FrozenObjective

    rank: int

    def objective(self, whitened: bool = False) -> FrozenObjective:
        """In the factors of a matrix on raw or whitened features."""
        problem = self.problem()
        white = problem.white if whitened else as_given(problem.X)
        return FrozenObjective(problem.distribution, white, HeadSpec(self.rank, bias=True), problem.ridge)

    def start(self, objective: FrozenObjective, whitened: bool, seed: int | None) -> tuple[Array, float]:
        """The truncation of the unrestricted fit, where ``fit_frozen`` starts too; its evaluations are counted."""
        problem, spent = FrozenProblem.of(*made(self.make), True, START), 0.0
        if seed is None:
            found: list[FullObjective] = []

            def descent(objective: FullObjective, *given: Any) -> Any:
                found.append(objective)
                return certified_descent(objective, *given)

            with patch.object(frozen_solver, "certified_descent", descent):
                full = fit_full(*made(self.make), options=START)
            spent = self.exchange(found[0])
            factors = balanced(problem, truncated(problem, problem.enter(full), self.rank))
        else:
            scratch = problem.factored(self.rank)
            factors = scratch.factors(random_start(problem, scratch, seed))
        return objective.pack(factors if whitened else problem.leave(factors)), spent

    def scales(self, objective: FrozenObjective) -> Array:
        """Tokens by their weights; whitened features need none."""
        At = np.ones((objective.vocab, objective.columns)) / np.sqrt(objective.heads.base)[:, None]
        return objective.join(np.ones((objective.dim, objective.width)), At)

    def solve(self, X: Array, target: Target, options: Options) -> FrozenFit:
        """``fit_frozen``."""
        return fit_frozen(X, target, self.rank, options=options)

    def exchange(self, objective: FullObjective) -> float:
        """By the products of size N x V and N x k that they consist of."""
        share = objective.dim / objective.vocab
        return objective.work * objective.dim / (self.rank * (3 + 2 * share))


def balanced(problem: FrozenProblem, factors: Factors) -> Factors:
    """The same matrix with ``A' D_base A = B B'`` diagonal."""
    A, B, c = factors
    root = np.sqrt(problem.full().base)[:, None]
    U, s, Vt = np.linalg.svd(root * A @ B, full_matrices=False)
    rank = A.shape[1]
    return U[:, :rank] * np.sqrt(s[:rank]) / root, np.sqrt(s[:rank])[:, None] * Vt[:rank], c


@dataclass(frozen=True, kw_only=True)
class FullProblem(OnFeatures):
    """The unrestricted head with a bias: ``fit_full``."""

    kind = "full"
    convex = True

    def objective(self, whitened: bool = False) -> FullObjective:
        """In the matrix on raw or whitened features."""
        problem = self.problem()
        return FullObjective(
            problem.distribution, problem.white if whitened else as_given(problem.X), True, problem.ridge
        )

    def start(self, objective: FullObjective, whitened: bool, seed: int | None) -> tuple[Array, float]:
        """No matrix, the unigram law as bias."""
        bias = self.problem().usual_bias()
        return objective.pack((np.zeros((len(bias), 0)), np.zeros((0, objective.dim)), bias)), 0.0

    def scales(self, objective: FullObjective) -> Array:
        """Tokens by their weights; whitened features need none."""
        ones = np.ones((objective.vocab, objective.columns))
        return np.ravel(ones / np.sqrt(objective.base)[:, None])

    def solve(self, X: Array, target: Target, options: Options) -> FrozenFit:
        """``fit_full``."""
        return fit_full(X, target, options=options)
