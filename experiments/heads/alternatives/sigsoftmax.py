"""Sigsoftmax (Kanai, Fujiwara, Yamanaka & Adachi 2018): ``q_v ∝ exp(z_v) sigma(z_v)``.

    phi(z) = z + log sigma(z) = z - log(1 + e^-z),       phi'(z) = 1 + sigma(-z)  in (1, 2)

``phi`` is concave, with two straight ends: ``z - log(1 + e^-z) = 2z - log(1 + e^z)``, so it is z up to e^-z for
large z and 2z up to e^z for very negative z.  A softmax head does not change when W becomes ``W + 1 u'``, which moves
all logits of context c by ``u . h_c``.  Take u so long that every context with h_c != 0 is moved far out, to one end or
the other, and halve the states of those moved to the end of slope 2: the logits there become linear again, and what is
lost is at most

    |log q' - log softmax(A)| <= e^{-r},    r the distance of the nearest logit from 0  (h_c = 0 is uniform in both).

With a bias, raise the bias by a constant instead.  So **every softmax head is a limit of sigsoftmax heads of the same
width**, with or without a bias, though in general not one of them; a fit may end at that limit, at infinite logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from experiments.heads.alternatives.kind import Containment, SoftmaxHeads
from experiments.heads.alternatives.parts import Parts, lift
from experiments.heads.alternatives.pointwise import Pointwise
from experiments.heads.alternatives.softmax import plain

CLOSE = 1e-12
"""What an embedded softmax head may lose in a log-probability by being embedded, nats."""

LARGEST_LOGIT = 1e6
"""Logits are moved no further: beyond it their rounding would cost more than the bend of ``phi``."""

RAISES = (0.0, 3.0)
"""Constants added to the logits where descents begin: within the bend of ``phi``, where it can be made use of."""

MIDDLE = 1.5
"""``phi'(0)``: logits are divided by it where they cannot be raised."""

DIRECTIONS = 64
"""Random directions u tried; the one that moves the context it moves least furthest is taken."""


@dataclass(frozen=True)
class Sigsoftmax(Pointwise):
    """``q ∝ exp(z) sigma(z)``, ``z = H W' + 1 b'``."""

    name = "sigsoftmax"
    summary = "exp(z) sigma(z), normalised: a fixed concave function on the logits"
    containment = Containment.CLOSURE

    def phi(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """``A - log(1 + e^-A)``."""
        return A - np.logaddexp(0.0, -A)

    def derivative(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """``1 + sigma(-A)``."""
        return 1.0 + expit(-A)

    def embeddings(self, softmax: SoftmaxHeads) -> Iterator[tuple[str, Parts]]:
        """The softmax head of the same width, its logits moved far out; see the module."""
        parts = plain(softmax(self.dim))
        Wt = parts.Wt - parts.Wt.mean(axis=0)
        far = -np.log(CLOSE) + float(np.abs(lift(parts.S, self.bias) @ Wt.T).max())
        yield "softmax, moved far out", self._moved(Parts(parts.S, Wt, parts.theta), min(far, LARGEST_LOGIT))

    def departures(self, softmax: SoftmaxHeads, rng: np.random.Generator) -> Iterator[tuple[str, Parts]]:
        """The softmax head moved only so far that the bend still acts, or scaled by the slope at zero."""
        parts = plain(softmax(self.dim))
        yield "softmax, scaled", Parts(parts.S / MIDDLE, parts.Wt, parts.theta)
        for distance in RAISES:
            yield f"softmax, moved by {distance:g}", self._moved(parts, distance)

    def _moved(self, parts: Parts, distance: float) -> Parts:
        """The bias raised by ``distance``, or W moved along u until every context has gone so far, if it can."""
        Wt = parts.Wt.copy()
        if self.bias:
            Wt[:, self.dim] += distance
            return Parts(parts.S, Wt, parts.theta)
        u = self._direction(parts.S)
        moves = parts.S @ u
        nearest = np.abs(moves[moves != 0]).min(initial=np.inf)
        length = min(distance / nearest, LARGEST_LOGIT / max(float(np.abs(moves).max()), 1e-300))
        return Parts(np.where(moves < 0, 0.5, 1.0)[:, None] * parts.S, Wt + length * u, parts.theta)

    def _direction(self, H: np.ndarray) -> np.ndarray:
        """A unit vector (d,) with no small product with a state."""
        tried = np.random.default_rng(self.dim).standard_normal((DIRECTIONS, self.dim))
        tried /= np.linalg.norm(tried, axis=1, keepdims=True)
        moves = np.abs(tried @ H[np.any(H != 0, axis=1)].T)
        return tried[int(np.argmax(moves.min(axis=1, initial=np.inf)))]
