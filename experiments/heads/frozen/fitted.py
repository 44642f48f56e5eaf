"""What a fit on frozen features is: the factors of its matrix, its loss, how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.heads.fitted import FitStatus
from synth._array import Array
from theory import Head


@dataclass(frozen=True, eq=False)
class FrozenFit:
    """The head with logits ``X B' A' + 1 b'``: ``A`` (V, r), ``B`` (r, D), ``b`` (V,) or ``None``; float64.

    ``gap`` and ``loss`` are nats per token of the factors as given, on the features as they came: above the entropy of
    the target, and in all.  ``penalty`` is ``ridge/2 |A B|^2``; what is minimised is ``objective = gap + penalty``.
    ``certified_excess`` bounds, to leading order, the distance of ``objective`` to the nearest minimum (``nan``: no
    certificate was reached); for a full head, a convex problem, that is the only one.  ``decrement``, ``trend``,
    ``spread`` and ``status`` are those of ``experiments.heads.Fit``; ``evaluations`` counts the descents at this rank,
    ``seconds`` everything; ``start`` and ``metric`` say which starting point won and which metric served it.
    """

    rank: int
    A: Array
    B: Array
    b: Array | None
    gap: float
    loss: float
    penalty: float
    status: FitStatus
    certified_excess: float
    decrement: float
    evaluations: float
    seconds: float
    trend: float
    start: str
    metric: str
    starts: int = 1
    spread: float = 0.0

    @property
    def W(self) -> Array:
        """The matrix ``A B`` (V, D)."""
        return self.A @ self.B

    @property
    def objective(self) -> float:
        """``gap + penalty``, nats: what the fit minimised."""
        return self.gap + self.penalty

    def head(self, features: Array) -> Head:
        """The head on these features (N, D) of the same library: hidden states ``X B'``, for bounds and evaluation."""
        return Head(features @ self.B.T, self.A, self.b)
