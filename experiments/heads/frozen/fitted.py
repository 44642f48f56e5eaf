"""What a fit on frozen features is: the factors of its matrix, its loss, how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.heads.fitted import Outcome
from synth._array import Array
from theory import Head


@dataclass(frozen=True, eq=False)
class FrozenFit(Outcome):
    """The head with logits ``X B' A' + 1 b'``: ``A`` (V, r), ``B`` (r, D), ``b`` (V,) or ``None``; float64.

    ``gap`` and ``loss`` are those of the factors as given, on the features as they came.  ``penalty`` is
    ``ridge/2 |A B|^2``; what is minimised is ``objective = gap + penalty``, and ``certified_excess`` speaks of that.
    For a full head, a convex problem, the nearest minimum is the only one.  ``evaluations`` counts the descents at this
    rank, ``seconds`` everything.
    """

    rank: int
    A: Array
    B: Array
    b: Array | None
    penalty: float = 0.0

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
