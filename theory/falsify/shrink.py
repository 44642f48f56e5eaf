"""The smallest counterexample: fewer contexts, tokens and dimensions, plainer weights and numbers, still broken.

Greedy and without randomness.  First the structure, to a fixed point: drop a context, drop a token (its context
conditioned on the others), lower the dimension, drop the bias, drop a limit, make the weights equal.  Then the numbers:
the coarsest rounding of the logits (largest 0 in each context) and of the weights at which the claim still breaks, and
single logits to 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from theory.falsify.claim import Conjecture
from theory.falsify.oracle import Judgement, judge
from theory.falsify.problem import Problem, problem
from theory.head import HeadSpec

Moves = Callable[[Problem], Iterator[Problem]]
"""Problems that are smaller or plainer by one move."""

DECIMALS = range(5)
"""Roundings tried, coarsest first."""

PARTS = (1, 2, 3, 4, 10, 100, 1000)
"""Parts into which the largest weight is divided when weights are rounded."""


def shrink(conjecture: Conjecture, found: Judgement, seconds: float) -> Judgement:
    """A smaller judgement that is broken too, the smallest reached within ``seconds``; at worst ``found`` itself."""
    deadline = time.monotonic() + seconds
    found = _greedy(conjecture, found, _structures, deadline)
    found = next(_broken(conjecture, _rounded(found.problem), deadline), found)
    return _greedy(conjecture, found, _simpler, deadline)


def _greedy(conjecture: Conjecture, found: Judgement, moves: Moves, deadline: float) -> Judgement:
    """Take the first move that still breaks, again and again."""
    while (smaller := next(_broken(conjecture, moves(found.problem), deadline), None)) is not None:
        found = smaller
    return found


def _broken(conjecture: Conjecture, problems: Iterator[Problem], deadline: float) -> Iterator[Judgement]:
    """Judgements of the problems on which the claim breaks, until the deadline."""
    for candidate in problems:
        if time.monotonic() > deadline:
            return
        verdict = judge(conjecture, candidate)
        if verdict is not None and verdict.broken:
            yield verdict


def _structures(p: Problem) -> Iterator[Problem]:
    """Every problem that is smaller by one move."""
    contexts, vocab = p.shape
    spec = p.spec
    for c in range(contexts if contexts > 1 else 0):
        yield problem(np.delete(p.log_p, c, axis=0), np.delete(p.weights, c), spec)
    for v in range(vocab if vocab > max(2, spec.dim) else 0):
        rest = np.delete(p.log_p, v, axis=1)
        if np.isfinite(rest).any(axis=1).all():
            yield problem(rest, p.weights, spec)
    if spec.dim > 0:
        yield Problem(p.distribution, replace(spec, dim=spec.dim - 1))
    if spec.bias:
        yield Problem(p.distribution, replace(spec, bias=False))
    if not spec.is_unbounded:
        yield Problem(p.distribution, HeadSpec(spec.dim, spec.bias))
    if np.ptp(p.weights) > 0:
        yield problem(p.log_p, np.ones(contexts), spec)


def _rounded(p: Problem) -> Iterator[Problem]:
    """Logits rounded to few decimals, stretched to a largest of 1 or as they are, and weights to few shares."""
    logits = p.log_p - p.log_p.max(axis=1, keepdims=True)
    largest = max(float(-logits[p.support].min()), 1e-300)
    for decimals in DECIMALS:
        for stretch in (1 / largest, 1.0):
            for parts in PARTS if np.ptp(p.weights) > 0 else (1,):
                shares = np.maximum(np.round(p.weights / p.weights.max() * parts), 1)
                yield problem(np.round(stretch * logits, decimals), shares, p.spec)


def _simpler(p: Problem) -> Iterator[Problem]:
    """One logit more at 0, the largest of its context."""
    logits = p.log_p - p.log_p.max(axis=1, keepdims=True)
    for c, v in np.argwhere(p.support & (logits < 0)):
        plainer = logits.copy()
        plainer[c, v] = 0.0
        yield problem(plainer, p.weights, p.spec)
