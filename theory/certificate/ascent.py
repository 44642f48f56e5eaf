"""The ascent: L-BFGS on the smoothed dual in preconditioned variables, colder from stage to stage.

Plain ascent stalls, for the dual has kinks where the d-th and later singular values meet and where an entry's maximum
is attained twice, and its optimum has many of both.  At a temperature it is smooth.  Before each stage, colder than
the last, the variables are scaled by an estimate of the diagonal of the Hessian, which grows as kinks sharpen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from synth._array import Array, namespace
from theory.certificate.dual import Dual, Metric, Temperatures
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


FLATTEST = 1e-6
"""Least curvature in the logarithm of a weight, relative to the temperature."""

LARGEST_TARGET, LARGEST_LOGS = 1e6, (150.0, 150.0)
"""Bounds on ``z`` and on ``log r`` and ``log s`` within which nothing overflows."""


@dataclass
class Climb:
    """The state of an ascent: the dual, the gap that sets the units of temperature, and the best certificate so far."""

    dual: Dual
    gap: float
    watch: Watch | None = None
    evaluations: int = 0
    value: float = -float("inf")
    best: list[Metric] = field(default_factory=list)

    def heat(self, temperature: float, count: int) -> Temperatures:
        """Temperatures of a stage: relative to the mean tail eigenvalue, and to the gap, at the expected floor."""
        return Temperatures(temperature * self.gap / self.dual.width / count, temperature * self.gap)

    def run(self, metrics: list[Metric], temperatures: Sequence[float], evaluations: int) -> list[Metric]:
        """Ascend from ``metrics`` through the stages, at most ``evaluations`` in all; returns the last point."""
        stop = self.evaluations + evaluations
        for number, temperature in enumerate(temperatures):
            budget = (stop - self.evaluations) // (len(temperatures) - number)
            metrics = self._stage(metrics, temperature, self.evaluations + budget)
        return metrics

    def _stage(self, metrics: list[Metric], temperature: float, stop: int) -> list[Metric]:
        heat = self.heat(temperature, len(metrics))
        scale = preconditioner(self.dual, metrics, heat)

        def negative(x: Array) -> tuple[float, Array]:
            point = _unpack(x, scale)
            if not _sane(point):
                return float("inf"), x
            found = self.dual(point, heat)
            self._note(point, found.value)
            return -found.smooth, -_pack([_over(*pair) for pair in zip(found.gradient, scale, strict=True)])

        x = _pack([_times(*pair) for pair in zip(metrics, scale, strict=True)])
        last, slow = float("inf"), 0
        for point, value in descend(negative, x):
            x = point
            slow = slow + 1 if last - value <= SLOW * self.gap else 0
            if self.evaluations >= stop or slow == PATIENCE:
                break
            last = value
        return _unpack(x, scale)

    def _note(self, point: list[Metric], value: float) -> None:
        """Count the evaluation and keep the best."""
        self.evaluations += 1
        if value > self.value:
            self.value, self.best = value, point
        if self.watch is not None:
            self.watch(self.evaluations, self.value)


def preconditioner(dual: Dual, metrics: list[Metric], heat: Temperatures) -> list[Metric]:
    """Square roots of an estimate of the diagonal of the Hessian, in the shape of the metrics.

    In ``z``: ``2 omega`` times the share of the head and of the inner root's drift, ``2 Omega / (w e^E - 2 Omega)``,
    and the variance of the two-point law over its temperature.  In ``log r`` and ``log s``: the variance of
    ``omega (E - z)^2`` over its temperature and half its mean, summed over the row or column.
    """
    price = dual.price(metrics, heat.entrywise)
    xp = namespace(dual.log_p)
    omega = dual.quadratic(metrics).omega
    variance = _variance(price)
    force = dual.box.w * xp.exp(price.root)
    bend = xp.maximum(force - 2 * omega, STIFFEST * force)
    inner = (price.root < dual.box.high) & (force > omega * STIFFEST)
    drift = xp.where(inner, price.share * 2 * omega / xp.where(inner, bend, xp.ones_like(bend)), xp.zeros_like(omega))
    temperature = dual.box.w * heat.entrywise
    scales = []
    for metric in metrics:
        part = metric.omega
        h = 2 * part * (HEAD_SHARE + drift) + 4 * part**2 * variance / temperature
        energy = price.second - 2 * metric.z * price.first + metric.z**2 * price.mass
        jump = (price.end - metric.z) ** 2 - (price.root - metric.z) ** 2
        k = part**2 * jump**2 * price.share * (1 - price.share) / temperature + 0.5 * part * energy
        least = xp.full_like(h, FLATTEST * heat.entrywise)
        sums = (xp.sum(k, axis=axis) for axis in (1, 0))
        logs = [xp.sqrt(xp.maximum(total, part)) for total, part in zip(sums, (least[:, 0], least[0, :]), strict=True)]
        scales.append(Metric(xp.sqrt(h), *logs))
    return scales


def _sane(metrics: list[Metric]) -> bool:
    """Whether a trial point of a line search can be evaluated without overflow."""
    xp = namespace(metrics[0].z)
    sizes = [float(xp.max(xp.abs(part))) for metric in metrics for part in metric]
    return all(size < limit for size, limit in zip(sizes, (LARGEST_TARGET, *LARGEST_LOGS) * len(metrics), strict=True))


def _variance(price: Peak) -> Array:
    """Variance of the uncapped maximiser."""
    xp = namespace(price.mass)
    variance = price.second - price.first**2
    return xp.where(variance > 0, variance, xp.zeros_like(variance))


def _times(metric: Metric, scale: Metric) -> Metric:
    return Metric(*(part * h for part, h in zip(metric, scale, strict=True)))


def _over(metric: Metric, scale: Metric) -> Metric:
    return Metric(*(part / h for part, h in zip(metric, scale, strict=True)))


def _pack(metrics: list[Metric]) -> Array:
    xp = namespace(metrics[0].z)
    return xp.concat([xp.reshape(part, (-1,)) for metric in metrics for part in metric])


def _unpack(x: Array, like: list[Metric]) -> list[Metric]:
    """The metrics in unscaled variables."""
    xp, at, metrics = namespace(x), 0, []
    for scale in like:
        parts = []
        for h in scale:
            size = int(h.shape[0]) if h.ndim == 1 else int(h.shape[0] * h.shape[1])
            parts.append(xp.reshape(x[at : at + size], h.shape) / h)
            at += size
        metrics.append(Metric(*parts))
    return metrics
