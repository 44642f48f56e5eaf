"""The floor against the root of the tail energy: slope 2 at the optimum, and the slope 1 of a first-order bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import WHEEL, line, over_seeds, panels

if TYPE_CHECKING:
    import pandas as pd


def draw(records: pd.DataFrame) -> Drawn:
    """Floors against eps, a line per dimension, each with its fitted slope; guides of slope 1 and 2."""
    positive = records[records["gap"] > 0]
    data = over_seeds(positive, ["dim", "eps"], ["gap", "tail"])
    figure, (axis,) = panels(1, 3.0)
    slopes = {}
    for place, (dim, rows) in enumerate(data.groupby("dim")):
        slopes[dim] = float(np.polyfit(np.log(rows["eps"]), np.log(rows["gap"]), 1)[0])
        line(axis, rows, "eps", "gap", place, f"d = {dim}: slope {slopes[dim]:.3f}")
    eps, top = np.array([data["eps"].min(), data["eps"].max()]), float(data["gap"].max())
    for order, style in ((2, "-."), (1, ":")):
        axis.plot(eps, 2 * top * (eps / eps[1]) ** order, style, color=WHEEL[-1], lw=0.9, label=f"slope {order}")
    axis.set(xscale="log", yscale="log", xlabel="size ε of the departure from the unigram law")
    axis.set_ylabel("floor above the entropy (nats per token)")
    axis.legend(frameon=False)
    said = ", ".join(f"{slope:.3f}" for slope in slopes.values())
    caption = (
        "Floors with a bias on laws log p0 + eps M, medians over seeds with their range: fitted slopes "
        f"{said} at d = {', '.join(map(str, slopes))}. At the optimum the loss is second order in what the head lacks."
    )
    return Drawn(figure, caption, data.assign(slope=data["dim"].map(slopes)))
