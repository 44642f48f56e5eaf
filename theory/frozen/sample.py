"""What a trained head loses on contexts it has not seen: two corrections for the size of the sample.

The rows ``x_n`` are a sample of contexts, each with its law ``p(x)``: there is no noise of labels.  Let
``l(theta; x) = KL(p(x) || q_theta(x))``, ``theta_0`` the minimum of its mean over all contexts, of value G, and
``theta_N`` that over the sample.  With ``J`` the Hessian of the mean and ``I`` the covariance of ``grad l`` at
``theta_0``, the usual expansion (Takeuchi 1976) gives

    in sample:  G - tr(J^-1 I) / 2N + ...        held out:  G + tr(J^-1 I) / 2N + ...

Under noise of labels ``I`` would be the Fisher information and the trace the number of parameters.  Here ``grad l_n``
is the residual ``(q_n - p_n)`` times features: ``I`` vanishes with the misfit, and the correction with the loss.

1. Signs.  For independent random signs, ``E |sum_n pi_n xi_n grad l_n|^2_{J^-1} = tr(J^-1 I) / N``: the decrement of
   one signed gradient is an unbiased estimate, and a few give a standard error.  The expansion is of first order in
   1/N, taken at a head that has seen the sample: it is too low where heads overfit.
2. Splits.  K times a closed form with its secant steps is made on all rows but a K-th, and evaluated there.  Its heads
   have seen ``N (1 - 1/K)`` rows; as far as the excess falls as 1/N, with ``in = G - c/N`` and
   ``split = G + c / (N (1 - 1/K))``,

       held out at N  =  in + 2c/N  =  in + 2 (K - 1) / (2K - 1) (split - in).

Contexts of one window of text resemble one another: a head that has seen a neighbour has half seen the row.  Where
rows come in *runs* (windows, one after the other), folds keep runs whole, a run takes one sign, and standard errors are
those of sums over runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth._array import like, to_numpy
from theory.frozen.curvature import Curvature
from theory.frozen.heads import FrozenHead, excess
from theory.frozen.newton import solve
from theory.frozen.problem import FrozenProblem


@dataclass(frozen=True)
class Estimate:
    """A Monte-Carlo number and its standard error, nats per token."""

    value: float
    error: float


def runs(rows: int, length: int) -> np.ndarray:
    """The run (rows,) that each row belongs to: runs of ``length`` rows, the last perhaps shorter."""
    return np.arange(rows) // length


def cross_validated(
    problem: FrozenProblem, fit: Callable[[FrozenProblem], FrozenHead], folds: int, seed: int = 0, run: int = 1
) -> Estimate:
    """Loss of ``fit`` on rows it has not seen: every row once, by the head of the other folds.

    The standard error is that of a weighted mean of independent runs of ``run`` rows,
    ``sqrt(sum_runs (sum_n pi_n (KL_n - mean))^2)``; the overlap of the training rows is not in it.  Cost: ``folds``
    fits.  Raises ``ValueError`` unless there are at least two folds and as many runs.
    """
    of_row = runs(problem.rows, run)
    count = int(of_row[-1]) + 1
    if not 2 <= folds <= count:
        raise ValueError(
            f"folds must lie between 2 and the number of runs {count} ({problem.rows} rows in runs of {run}), "
            f"found {folds}"
        )
    shuffled, losses = np.random.default_rng(seed).permutation(count), np.zeros(problem.rows)
    for fold in range(folds):
        unseen = np.isin(of_row, shuffled[fold::folds])
        head = fit(problem.subset(np.flatnonzero(~unseen)))
        losses[unseen] = excess(problem.subset(np.flatnonzero(unseen)), head).by_row
    pi = to_numpy(problem.weights)
    mean = float(pi @ losses)
    sums = np.bincount(of_row, pi * (losses - mean))
    return Estimate(mean, math.sqrt(float(sums @ sums)))


def extrapolated(inside: float, split: Estimate, folds: int) -> Estimate:
    """Held-out loss at N rows from the in-sample prediction and a split, as the head of this file says."""
    share = 2 * (folds - 1) / (2 * folds - 1)
    return Estimate(inside + share * (split.value - inside), share * split.error)


def optimism(curvature: Curvature, draws: int, seed: int = 0, iterations: int = 15, run: int = 1) -> Estimate:
    """``tr(J^-1 I) / N`` by random signs, the secant form for J: held-out less in-sample loss to first order.

    One sign for each run of ``run`` rows.

    Cost: ``draws * iterations`` passes.  Raises ``ValueError`` unless ``draws >= 2`` (an error needs two).
    """
    if draws < 2:
        raise ValueError(f"draws must be at least 2 to have a standard error, found {draws}")
    of_row = runs(curvature.chart.problem.rows, run)
    rng, values = np.random.default_rng(seed), []
    for _ in range(draws):
        signs = like(rng.choice([-1.0, 1.0], of_row[-1] + 1)[of_row], curvature.point[0])
        values.append(2 * solve(curvature, curvature.signed_gradient(signs), 0.0, iterations)[1])
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(draws)))
