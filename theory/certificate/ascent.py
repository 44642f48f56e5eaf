"""The ascent: L-BFGS on the smoothed dual in preconditioned variables, colder from stage to stage.

Plain ascent stalls, for the dual has kinks where the d-th and later singular values meet and where an entry's maximum
is attained twice, and its optimum has many of both.  At a temperature it is smooth.  Before each stage, colder than
the last, the variables are scaled by an estimate of the diagonal of the Hessian, which grows as kinks sharpen.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synth._array import Array, namespace
from theory.certificate.dual import Dual, Metric, Point, Temperatures
from theory.certificate.lbfgs import descend
from theory.certificate.peak import Peak

Watch = Callable[[int, float], None]
"""Told the evaluations spent and the best value so far, nats."""

HEAD_SHARE = 0.3
"""Curvature of the spectral part in a scaled target, as a share of its largest."""


SLOW, PATIENCE = 1e-6, 8
"""A stage ends after this many steps in a row that gain less than that share of the gap."""

STIFFEST = 0.05
"""Least curvature left at an inner maximum, as a share of the loss's own."""


FLATTEST, IDLEST = 1e-6, 1e-12
"""Least curvature in the logarithm of a weight and in a target, relative to the temperature.  Where a metric has left
an entry out, the gradient in its target is rounding alone: divided by its curvature it would leave all bounds."""

LARGEST_METRIC, LARGEST_SHIFT = (1e6, 150.0, 150.0), 50.0
"""Bounds on ``z``, ``log r``, ``log s``, and on ``t``, within which nothing overflows."""

FAINTEST = -149.0
"""Where ``log r`` and ``log s`` end: a metric that gives a context or token less gives it nothing."""


@dataclass
class Climb:
    """The state of an ascent: the dual, the gap that sets the units of temperature, and the best certificate so far."""

    dual: Dual
    gap: float
    best: Point
    value: float = -float("inf")
    watch: Watch | None = None
    evaluations: int = 0

    def heat(self, temperature: float, count: int) -> Temperatures:
        """Temperatures of a stage: relative to the mean tail eigenvalue, and to the gap, at the expected floor."""
        return Temperatures(temperature * self.gap / self.dual.width / count, temperature * self.gap)

    def run(self, point: Point, temperatures: Sequence[float], evaluations: int) -> Point:
        """Ascend from ``point`` through the stages, at most ``evaluations`` in all; returns the last point."""
        stop = self.evaluations + evaluations
        for number, temperature in enumerate(temperatures):
            budget = (stop - self.evaluations) // (len(temperatures) - number)
            point = self._stage(point, temperature, self.evaluations + budget)
        return point

    def _stage(self, point: Point, temperature: float, stop: int) -> Point:
        heat = self.heat(temperature, len(point.metrics))
        scale = preconditioner(self.dual, point, heat)

        def negative(x: Array) -> tuple[float, Array]:
            trial = _floored(_unpack(x, scale))
            if not _sane(trial):
                return float("inf"), x
            found = self.dual(trial, heat)
            self._note(trial, found.value)
            return -found.smooth, -_pack(found.gradient.map(operator.truediv, scale))

        x = _pack(point.map(operator.mul, scale))
        last, slow = float("inf"), 0
        for step, value in descend(negative, x):
            x = step
            slow = slow + 1 if last - value <= SLOW * self.gap else 0
            if self.evaluations >= stop or slow == PATIENCE:
                break
            last = value
        return _floored(_unpack(x, scale))

    def _note(self, point: Point, value: float) -> None:
        """Count the evaluation and keep the best."""
        self.evaluations += 1
        if value > self.value:
            self.value, self.best = value, point
        if self.watch is not None:
            self.watch(self.evaluations, self.value)


def preconditioner(dual: Dual, point: Point, heat: Temperatures) -> Point:
    """Square roots of an estimate of the diagonal of the Hessian, in the shape of the point.

    In ``z``: ``2 omega`` times the share of the head and of the inner root's drift, ``2 Omega / (w e^E - 2 Omega)``,
    and the variance of the two-point law over its temperature.  In ``log r`` and ``log s``: the variance of
    ``omega (E - z)^2`` over its temperature and half its mean, summed over the row or column.  In ``t``: the toll's
    curvature and the variance of the slope over its temperature.
    """
    price = dual.price(point, heat.entrywise)
    xp = namespace(dual.log_p)
    quadratic = dual.quadratic(point.metrics)
    omega = quadratic.omega
    variance = _variance(price)
    force = dual.box.w * xp.exp(price.root)
    bend = xp.maximum(force - 2 * omega, STIFFEST * force)
    inner = (price.root < dual.box.high) & (force > omega * STIFFEST)
    drift = xp.where(inner, price.share * 2 * omega / xp.where(inner, bend, xp.ones_like(bend)), xp.zeros_like(omega))
    temperature = dual.box.w * heat.entrywise
    scales = []
    for metric in point.metrics:
        part = metric.omega
        h = 2 * part * (HEAD_SHARE + drift) + 4 * part**2 * variance / temperature
        energy = price.second - 2 * metric.z * price.first + metric.z**2 * price.mass
        jump = (price.end - metric.z) ** 2 - (price.root - metric.z) ** 2
        k = part**2 * jump**2 * price.share * (1 - price.share) / temperature + 0.5 * part * energy
        least = xp.full_like(h, FLATTEST * heat.entrywise)
        sums = (xp.sum(k, axis=axis) for axis in (1, 0))
        logs = [xp.sqrt(xp.maximum(total, part)) for total, part in zip(sums, (least[:, 0], least[0, :]), strict=True)]
        scales.append(Metric(xp.sqrt(xp.maximum(h, xp.full_like(h, IDLEST * heat.entrywise))), *logs))
    slopes = 2 * omega * (price.root - price.end) - dual.box.w * (xp.exp(price.root) - xp.exp(price.end))
    spread = xp.sum(slopes**2 * price.share * (1 - price.share) / temperature, axis=1)
    return Point(tuple(scales), xp.sqrt(spread + dual.weights * xp.exp(point.shift)))


def _sane(point: Point) -> bool:
    """Whether a trial point of a line search can be evaluated without overflow."""
    xp = namespace(point.shift)
    limits = (*LARGEST_METRIC * len(point.metrics), LARGEST_SHIFT)
    return all(float(xp.max(xp.abs(part))) < limit for part, limit in zip(point.parts, limits, strict=True))


def _floored(point: Point) -> Point:
    """The point with no weight below ``FAINTEST``: else a metric that leaves a token out would end the ascent."""
    clip = namespace(point.shift).clip
    metrics = (Metric(z, clip(log_r, FAINTEST, None), clip(log_s, FAINTEST, None)) for z, log_r, log_s in point.metrics)
    return Point(tuple(metrics), point.shift)


def _variance(price: Peak) -> Array:
    """Variance of the uncapped maximiser."""
    xp = namespace(price.mass)
    variance = price.second - price.first**2
    return xp.where(variance > 0, variance, xp.zeros_like(variance))


def _pack(point: Point) -> Array:
    xp = namespace(point.shift)
    return xp.concat([xp.reshape(part, (-1,)) for part in point.parts])


def _unpack(x: Array, scale: Point) -> Point:
    """The point in unscaled variables."""
    xp, at = namespace(x), 0

    def unscaled(h: Array) -> Array:
        nonlocal at
        size = math.prod(h.shape)
        at += size
        return xp.reshape(x[at - size : at], h.shape) / h

    return scale.map(unscaled)
