"""Where heads of rank r are moved about: points and directions on whitened features, and the way there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from synth._array import Array, namespace
from theory.frozen.heads import FrozenHead
from theory.frozen.problem import Block, Passes

Triple = tuple[Array, Array, Array]
"""A point or direction: ``A`` (V, r), ``B`` (r, k) on whitened features, ``c`` (V,)."""


def inner(x: Triple, y: Triple) -> float:
    """Euclidean inner product."""
    return sum(float(namespace(a).sum(a * b)) for a, b in zip(x, y, strict=True))


def combine(x: Triple, step: float, y: Triple) -> Triple:
    """``x + step y``."""
    return x[0] + step * y[0], x[1] + step * y[1], x[2] + step * y[2]


class Target(Protocol):
    """Features with the laws that a head is to match, in blocks of rows: a ``FrozenProblem``, or another table."""

    @property
    def passes(self) -> Passes:
        """Precision of the tables."""
        ...

    @property
    def rows(self) -> int:
        """Number N of contexts."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether tables are kept between passes."""
        ...

    @property
    def bias(self) -> bool:
        """Whether the heads have a bias."""
        ...

    @property
    def full_bias(self) -> Array:
        """An array of the shape of a bias (V,)."""
        ...

    def blocks(self) -> Iterator[Block]:
        """The rows."""
        ...


class Whitening(Protocol):
    """Coordinates ``z = (x - mean) T`` with their left inverse K: a ``Metric``, say."""

    @property
    def mean(self) -> Array:
        """(D,)."""
        ...

    @property
    def T(self) -> Array:
        """(D, k)."""
        ...

    @property
    def K(self) -> Array:
        """(k, D)."""
        ...


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates for heads of a problem: whitened features."""

    problem: Target
    metric: Whitening

    def enter(self, head: FrozenHead) -> Triple:
        """A head in these coordinates; what lies in directions without features is lost."""
        c = 0.0 * self.problem.full_bias if head.b is None else head.b
        if self.problem.bias:
            c = c + head.A @ (head.B @ self.metric.mean)
        return head.A, head.B @ self.metric.K.T, c

    def leave(self, point: Triple) -> FrozenHead:
        """The head on the features as they came."""
        A, B, c = point
        out = B @ self.metric.T.T
        return FrozenHead(A, out, c - A @ (out @ self.metric.mean) if self.problem.bias else None)

    def features(self, X: Array) -> Array:
        """Whitened features (n, k)."""
        return (X - self.metric.mean[None, :]) @ self.metric.T
