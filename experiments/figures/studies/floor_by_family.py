"""The floor against the dimension, one line per family, relative to the information that contexts carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import WHEEL, ZERO, line, over_seeds, panels

if TYPE_CHECKING:
    import pandas as pd


def draw(records: pd.DataFrame) -> Drawn:
    """Medians over seeds with their range; the proved lower bounds as dashes of the same colour."""
    data = over_seeds(records, ["family", "dim"], ["gap", "lower", "upper"])
    figure, (axis,) = panels(1, 3.4, 4.6)
    for place, (family, rows) in enumerate(data.groupby("family")):
        line(axis, rows, "dim", "gap", place, str(family).replace("_", " "))
        proved = rows[rows["lower"] > ZERO]
        axis.plot(proved["dim"], proved["lower"], "--", color=WHEEL[place % len(WHEEL)], lw=0.7)
    axis.plot([], [], "--", color=WHEEL[-1], lw=0.7, label="proved from below")
    axis.set(yscale="log", xlabel="dimension d of the head", ylabel="floor above the entropy (nats per token)")
    axis.set_xscale("symlog", linthresh=1, base=2)
    axis.set_xlim(-0.1, None)
    dims = sorted(data["dim"].unique())
    axis.set_xticks(dims, [str(dim) for dim in dims])
    axis.minorticks_off()
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    held = int(records["holds"].sum())
    caption = (
        f"Floors with a bias by family, medians over seeds with their range; values below {ZERO:g} are drawn there. "
        f"Proved lower bound <= fit <= proved upper bound on {held:,} of {len(records):,} fits."
    )
    return Drawn(figure, caption, data)
