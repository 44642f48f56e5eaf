"""Heads on frozen features: fits of rank r, the unrestricted (convex) fit, and the curve between them.

Features ``X`` (N, D) are given, the head's matrix ``W = A B`` (V, D) of rank at most r and its bias are fitted to soft
targets, ``sum_n pi_n KL(p_n || softmax(X W' + b))``, or to hard labels, optionally with a ridge.  The engine is that of
``experiments.heads.fit``, on whitened features; see ``docs/frozen.md``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from experiments.heads.descent import Options, certified_descent, diverges, plan_within, trend
from experiments.heads.fitted import FitStatus
from experiments.heads.frozen.features import Factors
from experiments.heads.frozen.fitted import FrozenFit
from experiments.heads.frozen.full import FullObjective
from experiments.heads.frozen.information import FrozenInformation
from experiments.heads.frozen.objective import FrozenObjective
from experiments.heads.frozen.problem import FrozenProblem
from experiments.heads.frozen.secant import secant_steps
from experiments.heads.frozen.starts import candidates, random_start, truncated
from experiments.heads.frozen.target import Target
from synth._array import Array, like, namespace
from theory import Head

START_TOLERANCE = 0.01
"""Excess, in nats, of an unrestricted fit that is only made to be truncated."""

Starts = FrozenFit | Sequence[FrozenFit] | None


def fit_full(
    features: Array, target: Target, bias: bool = True, options: Options | None = None, start: Starts = None
) -> FrozenFit:
    """The unrestricted head on ``features`` (N, D): a convex problem, so a certificate speaks of the one minimum.

    ``target`` is a ``ContextualDistribution`` whose contexts are the rows, or integer labels (``Labels`` adds a
    vocabulary, weights and a ridge).  ``start``: fits to begin from, the lowest is taken.  Computed in float64, in the
    library and on the device of ``features``.  Raises ``ValueError`` for bad input.
    """
    problem, began = FrozenProblem.of(features, target, bias, options), time.perf_counter()
    fit = _full(problem, _listed(start))
    return replace(fit, seconds=time.perf_counter() - began)


def fit_frozen(
    features: Array,
    target: Target,
    rank: int,
    bias: bool = True,
    options: Options | None = None,
    start: Starts = None,
) -> FrozenFit:
    """The head of rank at most ``rank`` <= min(V, D) on ``features`` (N, D).

    Without ``start``, the unrestricted fit is made first and its truncation descended from.  Fits given as ``start``
    are truncated or grown to ``rank``, and the lowest is descended from; ``options.random_starts`` random ones follow.
    Ranks that restrict nothing are fitted as the convex problem they are.  Otherwise as ``fit_full``.
    """
    began = time.perf_counter()
    problem = FrozenProblem.of(features, target, bias, options)
    fit = _fit(problem, rank, _listed(start))
    return replace(fit, seconds=time.perf_counter() - began)


def frozen_curve(
    features: Array,
    target: Target,
    ranks: Sequence[int],
    bias: bool = True,
    options: Options | None = None,
    start: Starts = None,
) -> list[FrozenFit]:
    """Fits of increasing ``ranks``, whose objective never rises: each begins at the lower of two starting points.

    These are the truncation of the unrestricted fit (give it as ``start`` if you have it) and the fit below, grown.
    """
    problem, starts = FrozenProblem.of(features, target, bias, options), _listed(start)
    if not ranks or list(ranks) != sorted(set(ranks)):
        raise ValueError(f"ranks must be distinct and increasing, found {list(ranks)}; sort them and drop repeats")
    for rank in ranks:
        problem.check_rank(rank)
    if not any(fit.rank >= min(ranks[-1] + 1, problem.white.width) for fit in starts):
        starts = [*starts, _full(problem, starts)]
    fits: list[FrozenFit] = []
    for rank in ranks:
        began = time.perf_counter()
        fit = _fit(problem, rank, starts + fits[-1:])
        fits.append(replace(fit, seconds=time.perf_counter() - began))
    return fits


def _listed(start: Starts) -> list[FrozenFit]:
    if start is None:
        return []
    return [start] if isinstance(start, FrozenFit) else list(start)


# ---------------------------------------------------------------------- the two problems


def _full(problem: FrozenProblem, starts: Sequence[FrozenFit]) -> FrozenFit:
    """The convex problem, from the lowest start, else from the unigram law."""
    objective, bias = problem.full(), problem.usual_bias()
    zeros = bias[:, None][:, :0]
    points = [("unigram", objective.pack((zeros, problem.tables.Z[:0, :], bias)))]
    points += [("given", objective.pack(problem.enter(fit))) for fit in starts]
    name, x = min(points, key=lambda point: objective.value(point[1]))
    return _descend(problem, objective, name, x)


def _fit(problem: FrozenProblem, rank: int, starts: Sequence[FrozenFit]) -> FrozenFit:
    """One rank: closed form, convex, or factored."""
    problem.check_rank(rank)
    if rank == 0:
        return _unigram(problem)
    if rank >= problem.convex_rank:
        full = _full(problem, starts)
        factors = problem.leave(truncated(problem, problem.enter(full), rank))
        return _measured(problem, factors, replace(full, rank=rank))
    objective = problem.factored(rank)
    given = list(candidates(problem, objective, starts or [_full(_hasty(problem), [])]))
    name, x = min(given, key=lambda point: objective.value(point[1]))
    results = [_descend(problem, objective, name, x)]
    for number in range(problem.options.random_starts):
        objective = problem.factored(rank)
        x = random_start(problem, objective, problem.options.seed + number)
        results.append(_descend(problem, objective, f"random {number}", x))
    best = min(results, key=lambda result: result.objective)
    return replace(
        best,
        evaluations=sum(result.evaluations for result in results),
        starts=len(results),
        spread=max(result.objective for result in results) - best.objective,
    )


def _hasty(problem: FrozenProblem) -> FrozenProblem:
    """The same problem to a tolerance that is enough for a starting point."""
    tolerance = max(problem.options.tolerance, START_TOLERANCE)
    return replace(problem, options=replace(problem.options, tolerance=tolerance))


def _unigram(problem: FrozenProblem) -> FrozenFit:
    """Rank 0: the unigram law as the bias, or the uniform law."""
    unigram = like(problem.distribution.log_marginal, problem.X)
    factors = unigram[:, None][:, :0], problem.X[:0, :], unigram if problem.bias else None
    fit = FrozenFit(
        0,
        *factors,
        gap=math.nan,
        loss=math.nan,
        status=FitStatus.CONVERGED,
        certified_excess=0.0,
        decrement=0.0,
        start="closed form",
    )
    return _measured(problem, factors, fit)


# ---------------------------------------------------------------------- one descent


def _descend(problem: FrozenProblem, objective: FrozenObjective | FullObjective, start: str, x: Array) -> FrozenFit:
    """From one starting point to a certified minimum or as far as it goes."""
    metric = plan_within(objective, problem.options, 0, 0, 0).metric
    if isinstance(objective, FrozenObjective) and metric == FrozenInformation.name and problem.soft:
        x = secant_steps(problem, objective, x)
    trace, excess, course = certified_descent(objective, x, problem.options, None)
    factors = problem.leave(objective.factors(trace.x))
    fit = FrozenFit(
        objective.dim,
        *factors,
        gap=math.nan,
        loss=math.nan,
        status=FitStatus.LIMIT,
        certified_excess=excess,
        decrement=trace.decrement,
        evaluations=objective.evaluations,
        trend=trend(course),
        start=start,
        metric=metric,
    )
    fit = _measured(problem, factors, fit)
    return _judged(problem, fit, diverges(objective, trace.x), trace.stalled)


def _measured(problem: FrozenProblem, factors: Factors, fit: FrozenFit) -> FrozenFit:
    """The fit with these factors, gap, loss and penalty taken from them on the features as they came."""
    A, B, b = factors
    gap = Head(problem.X @ B.T, A, b).gap(problem.distribution)
    square = float(namespace(A).sum((A.T @ A) * (B @ B.T)))
    penalty = 0.5 * problem.ridge * square if problem.ridge else 0.0
    return replace(fit, A=A, B=B, b=b, gap=gap, loss=problem.distribution.entropy + gap, penalty=penalty)


def _judged(problem: FrozenProblem, fit: FrozenFit, diverged: bool, stalled: bool) -> FrozenFit:
    """The fit with its status and the excess that may be certified: no objective is below zero."""
    within = fit.objective <= problem.options.tolerance
    excess = fit.objective if within or problem.separated(fit.gap) else fit.certified_excess
    if diverged or problem.never_attained(fit.gap):  # a certificate for finite minima says nothing here
        known = within or problem.separated(fit.gap)
        return replace(fit, status=FitStatus.UNATTAINED, certified_excess=excess if known else math.nan)
    if excess <= problem.options.tolerance:
        return replace(fit, status=FitStatus.CONVERGED, certified_excess=excess)
    return replace(fit, status=FitStatus.STALLED if stalled else FitStatus.LIMIT, certified_excess=math.nan)
