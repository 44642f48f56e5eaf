"""Multinomial logistic regression of scikit-learn, on the features and the ridge of the unrestricted problem.

``C = 1`` is the ridge 1/N on the mean loss.  Its loss, gradient and Hessian products are its own; a stand-in for the
class that computes them counts their matrix products and records the losses: one product for a value, two for a
gradient with or without its value, two for a Hessian product.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any
from unittest.mock import patch

from tests.bench.frozen_problems import FullProblem
from tests.bench.peers.method import Method, Run
from tests.bench.problems import Problem
from tests.bench.recorder import Recorder


def counted(recorder: Recorder) -> type:
    """The loss of linear models, with its products counted and its values recorded."""
    from sklearn.linear_model._linear_loss import LinearModelLoss

    work = [0]

    class Counted(LinearModelLoss):  # type: ignore[misc]
        def loss(self, *given: Any, **named: Any) -> Any:
            value = super().loss(*given, **named)
            work[0] += 1
            recorder.record(work[0] / 2, float(value))
            return value

        def gradient(self, *given: Any, **named: Any) -> Any:
            work[0] += 2
            return super().gradient(*given, **named)

        def loss_gradient(self, *given: Any, **named: Any) -> Any:
            value, gradient = super().loss_gradient(*given, **named)
            work[0] += 2
            recorder.record(work[0] / 2, float(value))
            return value, gradient

        def gradient_hessian_product(self, *given: Any, **named: Any) -> Any:
            gradient, product = super().gradient_hessian_product(*given, **named)
            work[0] += 2

            def counted_product(direction: Any) -> Any:
                work[0] += 2
                return product(direction)

            return gradient, counted_product

    return Counted


def descend(recorder: Recorder, solver: str) -> None:
    """``LogisticRegression`` from its own start (zeros) with a tolerance that does not end it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, _logistic

    problem = recorder.problem
    assert isinstance(problem, FullProblem)
    X, labels = problem.make()
    model = LogisticRegression(C=1.0, solver=solver, max_iter=10**5, tol=1e-10)
    recorder.begin()
    with patch.object(_logistic, "LinearModelLoss", counted(recorder)), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, labels.y)  # type: ignore[union-attr]


def variants(problem: Problem, solver: str) -> dict[str, Run]:
    """A single one."""
    return {"C = 1": partial(descend, solver=solver)}


METHODS = (
    Method("scikit-learn, lbfgs", "sklearn", partial(variants, solver="lbfgs"), kinds=("full",)),
    Method("scikit-learn, newton-cg", "sklearn", partial(variants, solver="newton-cg"), kinds=("full",)),
)
