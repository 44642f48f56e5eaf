"""Coordinates in which a peer works: raw unknowns, or unknowns whitened by the weights of their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth._array import Array
from tests.bench.recorder import Recorder


@dataclass(frozen=True)
class Coordinates:
    """``x = scales * y``: gap and gradient as functions of y."""

    recorder: Recorder
    whitened: bool

    def begin(self) -> tuple[Array, Array]:
        """The scales and the starting point, in these coordinates."""
        x = self.recorder.begin(self.whitened)
        scales = self.recorder.problem.scales(self.recorder.objective) if self.whitened else np.ones_like(x)
        return scales, x / scales

    def evaluate(self, scales: Array, y: Array) -> tuple[float, Array]:
        """Gap and gradient at y."""
        at = self.recorder.evaluate(scales * y)
        return at.gap, scales * at.gradient
