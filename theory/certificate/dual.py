"""The value of a certificate and its derivatives, smoothed for the ascent.

A certificate is a set of metrics ``k = 1 .. K``, each a target ``z_k`` (C, V) and a rank-one weight ``r_k s_k'``, and
a shift ``t_c`` of every row's log errors.  It claims (``docs/theorems/conjugate-certificate.md``)

    g(d) >= sum_k sum_{j > d} min(sigma_j(X_k)^2, cap / K) - sum_cv T_cv - sum_c pi_c rho(t_c),
    X_k = [Pi_r] D_r^{1/2} (L + z_k) D_s^{1/2} Pi_s,      T_cv of ``theory.certificate.peak`` with
    q(E) = sum_k r_kc s_kv (E - z_kcv)^2 on the box of the row's log errors, moved by t_c.

With ``Y`` the occupation numbers of the eigenvalues ``lambda`` of ``X'X`` and ``R = X (I - Y)``, the spectral part has
the derivatives ``2 sqrt(omega) R`` in ``z`` and ``R X`` (entrywise, summed over rows or columns) in ``log omega``; the
gauge and the bias need no terms of their own because they minimise.  The price has those given in ``Peak``, the toll
``pi_c rho(t_c)`` of the shift has ``pi_c (e^{t_c} - 1)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from synth._array import Array, like, namespace, to_numpy
from theory.certificate.occupancy import occupancy
from theory.certificate.peak import Box, Peak, Quadratic, peak


class Metric(NamedTuple):
    """A target ``z`` (C, V) of the log error, and the logarithms of the weights ``r`` (C,) and ``s`` (V,)."""

    z: Array
    log_r: Array
    log_s: Array

    @property
    def omega(self) -> Array:
        """``r_c s_v``, (C, V)."""
        return namespace(self.z).exp(self.log_r[:, None] + self.log_s[None, :])


class Point(NamedTuple):
    """Where the dual is evaluated: metrics, and the shift ``t`` (C,) of the rows' log errors."""

    metrics: tuple[Metric, ...]
    shift: Array

    @property
    def parts(self) -> tuple[Array, ...]:
        """All arrays in one order."""
        return (*(part for metric in self.metrics for part in metric), self.shift)

    def map(self, function: Callable[..., Array], *others: Point) -> Point:
        """``function`` of the corresponding arrays of this point and others."""
        parts = [function(*parts) for parts in zip(self.parts, *(other.parts for other in others), strict=True)]
        metrics = tuple(Metric(*parts[at : at + 3]) for at in range(0, len(parts) - 1, 3))
        return Point(metrics, parts[-1])


@dataclass(frozen=True)
class Temperatures:
    """How much is smoothed: ``spectral`` in the units of an eigenvalue, ``entrywise`` relative to each weight."""

    spectral: float
    entrywise: float


COLD = Temperatures(0.0, 0.0)
"""No smoothing: the value of the certificate itself."""


@dataclass(frozen=True)
class Dual:
    """The concave-in-``(omega z, omega)`` function that certificates are found on.

    ``log_p`` and the arrays of ``box`` are (C, V), ``weights`` (C,) the contexts' ``pi_c``, on one device.  ``dim`` is
    that of the head; a ``bias`` is the best for its metric, so ``Pi_r`` projects ``sqrt(r)`` away on the left as
    ``Pi_s`` does ``sqrt(s)`` on the right.
    """

    log_p: Array
    weights: Array
    box: Box
    dim: int
    bias: bool = False
    cap: float = math.inf

    @property
    def width(self) -> int:
        """Singular values beyond the head's: those a certificate may count."""
        contexts, vocab = self.log_p.shape
        return min(contexts - int(self.bias), vocab - 1) - self.dim

    def start(self, metric: Metric) -> Point:
        """One metric and no shift."""
        return Point((metric,), 0 * self.weights)

    def quadratic(self, metrics: Sequence[Metric]) -> Quadratic:
        """``sum_k omega_k (E - z_k)^2`` completed to one square."""
        weights = [metric.omega for metric in metrics]
        omega = sum(weights[1:], start=weights[0])
        if len(metrics) == 1:
            return Quadratic(omega, metrics[0].z, 0 * omega)
        moments = [weight * metric.z for weight, metric in zip(weights, metrics, strict=True)]
        centre = sum(moments[1:], start=moments[0]) / omega
        parts = [w * (metric.z - centre) ** 2 for w, metric in zip(weights, metrics, strict=True)]
        return Quadratic(omega, centre, sum(parts[1:], start=parts[0]))

    def price(self, point: Point, temperature: float = 0.0) -> Peak:
        """The entrywise maxima."""
        heat = self.box.w * temperature if temperature > 0 else None
        return peak(self.quadratic(point.metrics), self.box.shifted(point.shift), self.cap, heat)

    def toll(self, shift: Array) -> float:
        """``sum_c pi_c rho(t_c)``: what a shift costs."""
        xp = namespace(shift)
        return float(xp.sum(self.weights * (xp.expm1(shift) - shift)))

    def scaled(self, metric: Metric) -> Array:
        """``X = [Pi_r] D_r^{1/2} (L + z) D_s^{1/2} Pi_s``."""
        xp = namespace(metric.z)
        target = self.log_p + metric.z
        s = xp.exp(metric.log_s - xp.max(metric.log_s))
        centred = target - ((target @ s) / xp.sum(s))[:, None]
        if self.bias:
            r = xp.exp(metric.log_r - xp.max(metric.log_r))
            centred = centred - ((r @ centred) / xp.sum(r))[None, :]
        return centred * xp.exp((metric.log_r[:, None] + metric.log_s[None, :]) / 2)

    def __call__(self, point: Point, heat: Temperatures = COLD) -> Evaluation:
        """Value, smoothed value and its gradient.

        Cost: per metric one symmetric eigenvalue problem of size min(C, V) and two products with it; O(K C V) beyond.
        """
        xp = namespace(self.log_p)
        price, toll = self.price(point, heat.entrywise), self.toll(point.shift)
        value, smooth = -float(xp.sum(price.value)) - toll, -float(xp.sum(price.smooth)) - toll
        stack = xp.stack([self.scaled(metric) for metric in point.metrics])
        tail, smooth_tail, residuals = self._tails(stack, heat.spectral, self.cap / len(point.metrics))
        value, smooth, gradient = value + tail, smooth + smooth_tail, []
        for k, metric in enumerate(point.metrics):
            X, R = stack[k, ...], residuals[k, ...]
            omega = metric.omega
            d_z = 2 * xp.sqrt(omega) * R + 2 * omega * (price.first - metric.z * price.mass)
            d_log = R * X - omega * (price.second - 2 * metric.z * price.first + metric.z**2 * price.mass)
            gradient.append(Metric(d_z, xp.sum(d_log, axis=1), xp.sum(d_log, axis=0)))
        d_shift = -xp.sum(price.push, axis=1) - self.weights * xp.expm1(point.shift)
        return Evaluation(value, smooth, Point(tuple(gradient), d_shift))

    def _tails(self, X: Array, temperature: float, cap: float) -> tuple[float, float, Array]:
        """Capped tail energies of X (K, C, V), added up, the same smoothed, and ``R = X (I - Y)``.

        Without the capped directions, which do not move their tail.
        """
        xp = namespace(X)
        wide, transposed = X.shape[1] <= X.shape[2], xp.permute_dims(X, (0, 2, 1))
        energies, U = xp.linalg.eigh(X @ transposed if wide else transposed @ X)
        host = to_numpy(energies)
        capped = host.clip(0.0, cap)
        sharp, _ = occupancy(capped, self.dim, 0.0)
        y, entropy = occupancy(capped, self.dim, temperature)
        kept = like((1 - y) * (host < cap), X)
        B = (U * kept[:, None, :]) @ xp.permute_dims(U, (0, 2, 1))
        tail, smooth = np.sum((1 - sharp) * capped), np.sum((1 - y) * capped) - np.sum(entropy)
        return float(tail), float(smooth), B @ X if wide else X @ B


class Evaluation(NamedTuple):
    """What the ascent sees at a point."""

    value: float
    smooth: float
    gradient: Point
