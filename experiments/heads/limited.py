"""``fit_limited``: a head of the class ``q >= e^-M p`` with a small gap; ``fit`` imposes no limits.

One descent starts from the fit without limits, though that may lie hundreds of nats outside, one from another head:
from a closed form, from a head of the class of smaller dimension, or from the *envelope* ``q_v = max_c p_cv / Z``,
whichever is lowest with the pull.  The envelope is a head of one dimension (of none with a bias) that lies in the class
for every ``M >= log Z``.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

from experiments.heads import starts
from experiments.heads.descent import Options, Watch
from experiments.heads.fitted import Fit, FitStatus
from experiments.heads.lbfgs import Plan, minimise
from experiments.heads.pulled import Pulled
from synth import ContextualDistribution
from synth._array import Array, device
from theory import Head, HeadSpec

ROUND = 40
"""Evaluations after which the multipliers are renewed at the latest."""

GROWTH, SLOW = 3.0, 0.5
"""What the factor grows by after a round that leaves more than this share of the least excess over the limit."""

ENOUGH, PATIENCE = 1e-4, 5
"""The descent ends when so many rounds in a row, all of them inside, have not lowered the gap by this share."""

HISTORY = 20
"""Pairs that L-BFGS keeps."""


def fit_limited(
    distribution: ContextualDistribution,
    spec: HeadSpec,
    fitted: Fit,
    below: Fit | None = None,
    options: Options | None = None,
    watch: Watch | None = None,
) -> Fit | None:
    """A fit of the class ``spec`` (``max_underestimate = M``): ``fitted`` where it lies there, else a descent.

    ``fitted`` is a fit of the same dimension without limits, ``below`` one of the class and of smaller dimension, which
    the result never lies above.  ``options.max_evaluations`` limits each of two descents.  The head lies in the class,
    so its gap is an upper bound on the floor of the class; it is not certified to be near a minimum (status ``limit``,
    excess ``nan``).
    ``None`` where no head of the class was found: the class may be empty.
    Cost: an evaluation takes some three times that of ``fit``; a few tables (C, V) are held.
    Raises ``ValueError`` for a class without the limit.
    """
    if spec.max_underestimate is not None and fitted.head.belongs_to(spec, distribution):
        return replace(fitted, spec=spec)
    options, began = options or Options(), time.perf_counter()
    objective = Pulled(distribution, spec, options.chunk_entries)
    smaller = envelope(objective) if below is None else below.head
    others = [("envelope" if below is None else "appended", starts.appended(objective, smaller))]
    other = min([*others, *starts.closed_forms(objective)], key=lambda start: objective.value(start[1]))
    fallback = _Inside(spec, distribution)
    fallback.keep(padded(objective, smaller))
    results, evaluations = [(fallback, other[0])], 0.0
    for name, x in (("fitted", objective.pack(fitted.head)), other):
        fresh = Pulled(distribution, spec, options.chunk_entries)
        results.append((_descend(fresh, x, _Inside(spec, distribution), options, watch), name))
        evaluations += fresh.evaluations
    inside, name = min(results, key=lambda result: result[0].gap)
    if inside.head is None:
        return None
    return replace(
        fitted,
        spec=spec,
        head=inside.head,
        gap=inside.gap,
        loss=distribution.entropy + inside.gap,
        status=FitStatus.LIMIT,
        certified_excess=math.nan,
        decrement=math.nan,
        evaluations=evaluations,
        seconds=time.perf_counter() - began,
        trend=inside.trend,
        start=name,
        metric="averaged",
        starts=2,
        spread=max(found.gap for found, _ in results if found.head is not None) - inside.gap,
    )


class _Inside:
    """The lowest head of the class met so far."""

    def __init__(self, spec: HeadSpec, distribution: ContextualDistribution) -> None:
        self.spec, self.distribution = spec, distribution
        self.head: Head | None = None
        self.gap, self.trend = math.inf, 0.0

    def keep(self, head: Head) -> bool:
        """Take the head where it lies in the class and lower; whether the gap fell by more than ``ENOUGH`` of it."""
        if not head.belongs_to(self.spec, self.distribution):
            return False
        gap, before = head.gap(self.distribution), self.gap
        if gap < before:
            self.trend = before - gap if self.head is not None else 0.0
            self.head, self.gap = head, gap
        return gap < (1 - ENOUGH) * before


def _descend(objective: Pulled, x: Array, inside: _Inside, options: Options, watch: Watch | None) -> _Inside:
    """Rounds of descent with multipliers renewed between them, until ``inside`` gains no more; returns it."""
    least, idle = math.inf, 0
    while objective.evaluations < options.max_evaluations and idle < PATIENCE:
        upto = min(objective.evaluations + ROUND, options.max_evaluations)
        x = minimise(objective, x, Plan(options.tolerance, upto, history=HISTORY), watch).x
        objective.renew(x)
        head = objective.head(x)
        fell = inside.keep(head)
        worst = head.underestimate(objective.distribution)
        if worst > objective.most and worst - objective.limit > SLOW * least:
            objective.steepen(GROWTH)
        least = min(least, worst - objective.limit)
        idle = 0 if fell or worst > objective.most else idle + 1
    return inside


def envelope(objective: Pulled) -> Head:
    """``q_v`` proportional to the largest ``p_cv`` of any context: no dimension with a bias, else one; uniform at 0."""
    xp, place = objective.xp, objective.pi
    columns = 0 if objective.spec.bias else min(1, objective.dim)
    tops = objective.base
    for start, stop in objective.ranges():
        block = objective.distribution.table.block(start, stop)
        tops = xp.maximum(tops, xp.exp(xp.max(block, axis=0)))
    log_tops = xp.log(tops)
    H = xp.ones((objective.contexts, columns), dtype=place.dtype, device=device(place))
    W = xp.reshape(log_tops, (-1, 1))[:, :columns]
    return Head(H, W, log_tops if objective.spec.bias else None)


def padded(objective: Pulled, head: Head) -> Head:
    """The head with columns of zeros up to the dimension of the class: the same laws."""
    xp, extra = objective.xp, objective.dim - head.dim
    H, W = (xp.zeros((M.shape[0], extra), dtype=M.dtype, device=device(M)) for M in (head.H, head.W))
    return Head(xp.concat([head.H, H], axis=1), xp.concat([head.W, W], axis=1), head.b)
