"""How far models lie from a scaling law, by which of them it was fitted to and by what counts as a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import MARKERS, WHEEL, panels

if TYPE_CHECKING:
    import pandas as pd


def draw(records: pd.DataFrame) -> Drawn:
    """One panel per smallest model fitted; bars span the refits with one model left out; filled where fitted."""
    sizes = sorted(records["smallest"].unique())
    figure, axes = panels(len(sizes), 2.6, 2.7)
    for axis, smallest in zip(axes, sizes, strict=True):
        rows = records[records["smallest"] == smallest]
        for place, (convention, own) in enumerate(rows.groupby("convention", sort=False)):
            colour = WHEEL[place]
            axis.vlines(own["N"], 100 * own["gap_low"], 100 * own["gap_high"], color=colour, lw=1.0)
            for fitted, face in ((True, colour), (False, "white")):
                part = own[own["fitted"] == fitted]
                axis.plot(part["N"], 100 * part["gap"], MARKERS[place], color=colour, mfc=face, ms=4)
            axis.plot([], [], MARKERS[place], color=colour, ms=4, label=f"N: {convention} parameters")
        axis.axhline(0, color=WHEEL[-1], lw=0.7, ls="--", zorder=0)
        axis.set(xscale="log", xlabel="parameters N", title=f"fitted from {smallest:.0e} parameters on")
    axes[0].set_ylabel("loss above the law (%)")
    axes[0].legend(frameon=False)
    small = records[~records["fitted"]].groupby(["smallest", "convention"], sort=False)["gap"].mean()
    said = "; ".join(f"from {size:.0e}, {name}: {100 * gap:+.1f} %" for (size, name), gap in small.items())
    caption = (
        "Final losses of Pythia models, read off a published figure, against the law of the larger ones (filled), bars "
        f"over refits. Mean of the others: {said}."
    )
    columns = ["smallest", "convention", "model", "N", "loss", "fitted", "predicted", "gap", "gap_low", "gap_high"]
    return Drawn(figure, caption, records[[*columns, "best_gap", "A", "alpha"]])
