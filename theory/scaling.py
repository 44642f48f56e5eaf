"""Scaling laws in Hoffmann's form, and how much of a gap between models is the choice of what counts as a parameter.

Setting: final losses L (nats per token) of models with N parameters, trained on T tokens,

    L(N, T) = A / N^alpha + B / T^beta + E                                      (Hoffmann et al. 2022, eq. 2)

fitted by least squares of ``log L(N, T) - log loss``.  Either B, beta and E are kept (Hoffmann's, unless others are
given) and A, alpha are free; or all are.  When every model saw the same T, ``B / T^beta + E`` is one number: it is
fitted as E, with B = 0, since nothing tells its parts apart.

**What N counts.**  A decoder of L layers and width d has ``12 L d^2`` matrix parameters outside its embeddings; two
untied embeddings add ``2 V d``, and layer norms and biases ``13 L d + 2 d``.  Embeddings are most of a small model and
little of a large one, so the two conventions bend the curve at its small end, where extrapolations are read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from synth._check import integer, positive

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Law:
    """``A / N^alpha + B / T^beta + E``, nats per token."""

    A: float
    alpha: float
    B: float
    beta: float
    E: float

    def __call__(self, N: np.ndarray, T: np.ndarray | float) -> np.ndarray:
        """Predicted losses for N parameters and T tokens, shapes broadcast."""
        return self.A * np.power(N, -self.alpha) + self.unlimited(T)

    def unlimited(self, T: np.ndarray | float) -> np.ndarray:
        """Predicted losses of models without limit of size: ``B / T^beta + E``."""
        return self.B * np.power(T, -self.beta) + self.E


HOFFMANN = Law(A=406.4, alpha=0.34, B=410.7, beta=0.28, E=1.69)
"""Approach 3 of Hoffmann et al. (2022)."""

GODEY = replace(HOFFMANN, A=119.09, alpha=0.246)
"""Godey, de la Clergerie & Sagot (2024), Figure 1: A and alpha fitted on Pythia models from 410M on, the rest kept."""


class Count(Enum):
    """What N counts."""

    TOTAL = "total"
    NON_EMBEDDING = "non-embedding"

    def parameters(self, layers: int, width: int, vocab: int) -> int:
        """N of a decoder with untied embeddings, learned norms and biases, MLPs of four times the width."""
        integer("layers", layers, 1)
        integer("width", width, 1)
        integer("vocab", vocab, 1)
        matrices = 12 * layers * width**2
        return matrices if self is Count.NON_EMBEDDING else matrices + (13 * layers + 2 + 2 * vocab) * width


def fit_law(N: Numbers, T: Numbers, loss: Numbers, keep: Law | None = HOFFMANN) -> Law:
    """Least-squares law through n models: N, T and loss of shape (n,).

    ``keep`` holds B, beta and E while A and alpha are free; ``None`` frees all (A, alpha and E where T is one number).
    O(n) an evaluation, a hundred evaluations.  Raises ``ValueError`` for fewer models than free constants, values that
    are not positive and finite, and losses at or below a kept ``B / T^beta + E``.
    """
    n, t, y = _models(N, T, loss)
    free = 2 if keep is not None else 3 if np.all(t == t[0]) else 5
    if len(set(n.tolist())) < 2 or len(n) < free:
        raise ValueError(
            f"{len(n)} models of {len(set(n.tolist()))} sizes; {free} constants need as many models, 2 sizes"
        )
    if keep is not None:
        rest = keep.unlimited(t)
        if np.any(y <= rest):
            raise ValueError(
                f"loss {y.min():g} lies below the kept B/T^beta + E = {rest.max():g}; free them (keep=None)"
            )
        return _least_squares((n, t, y), keep, (0, 1), [_line(n, y - rest)])
    starts = []
    for share in (0.2, 0.5, 0.8, 0.95):  # of the smallest loss: where E starts
        excess = y - share * y.min()
        data = [] if free == 3 else _line(t, excess / 2)
        starts.append([*_line(n, excess if free == 3 else excess / 2), *data, math.log(share * y.min())])
    return _least_squares((n, t, y), replace(HOFFMANN, B=0.0), (0, 1, 4) if free == 3 else (0, 1, 2, 3, 4), starts)


def relative_gaps(law: Law, N: Numbers, T: Numbers, loss: Numbers) -> np.ndarray:
    """``loss / law(N, T) - 1``, shape (n,): positive where models do worse than the law."""
    n, t, y = _models(N, T, loss)
    return y / law(n, t) - 1


@dataclass(frozen=True)
class LeftOut:
    """The fit without model ``index``: its ``law`` and the relative ``gap`` of the model left out."""

    index: int
    law: Law
    gap: float


def leave_one_out(N: Numbers, T: Numbers, loss: Numbers, keep: Law | None = HOFFMANN) -> list[LeftOut]:
    """:func:`fit_law` without each model in turn, and how far off it is on that model: n fits."""
    n, t, y = _models(N, T, loss)
    out = []
    for index in range(len(n)):
        others = np.arange(len(n)) != index
        law = fit_law(n[others], t[others], y[others], keep)
        out.append(LeftOut(index, law, float(relative_gaps(law, n[[index]], t[[index]], y[[index]])[0])))
    return out


def _line(n: np.ndarray, excess: np.ndarray) -> list[float]:
    """``log A`` and alpha of ``excess = A / n^alpha`` by a straight line."""
    slope, intercept = np.polyfit(np.log(n), np.log(excess), 1)
    return [float(intercept), -float(slope)]


def _least_squares(models: tuple[np.ndarray, ...], base: Law, free: tuple[int, ...], starts: list[list[float]]) -> Law:
    """The best end over the starts; x holds the free ones of ``(log A, alpha, log B, beta, log E)``.

    Logarithms keep A, B and E positive.  With ``a = A / N^alpha`` and ``b = B / T^beta`` the derivatives of ``log L``
    are ``(a, -a log N, b, -b log T, E) / L``.
    """
    from scipy.optimize import least_squares

    n, t, y = models

    def law(x: np.ndarray) -> Law:
        constants = [base.A, base.alpha, base.B, base.beta, base.E]
        for place, value in zip(free, x, strict=True):
            constants[place] = float(value) if place in (1, 3) else math.exp(value)
        return Law(*constants)

    def residual(x: np.ndarray) -> np.ndarray:
        return np.log(law(x)(n, t) / y)

    def jacobian(x: np.ndarray) -> np.ndarray:
        at = law(x)
        a, b = at.A * np.power(n, -at.alpha), at.B * np.power(t, -at.beta)
        columns = np.stack([a, -a * np.log(n), b, -b * np.log(t), np.full(len(n), at.E)], axis=1)
        return columns[:, list(free)] / at(n, t)[:, None]

    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "x_scale": "jac"}
    with np.errstate(over="ignore"):
        ends = [least_squares(residual, start, jacobian, **tight) for start in starts]
    return law(min(ends, key=lambda end: end.cost).x)


def _models(*columns: Numbers) -> tuple[np.ndarray, ...]:
    arrays = tuple(np.asarray(column, dtype=np.float64) for column in columns)
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1 or len(arrays[0]) == 0:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"N, T and loss have shapes {shapes}; one number of each per model is needed")
    for name, array in zip(("N", "T", "loss"), arrays, strict=True):
        for value in array:
            positive(name, float(value))
    return arrays
