"""Proved floors against the range of the logits, a line per dimension: where rank binds and where the budget does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import WHEEL, ZERO, panels

if TYPE_CHECKING:
    import pandas as pd


def draw(records: pd.DataFrame) -> Drawn:
    """Brackets of the floor: proved from below solid, from above dotted; filled where the rank binds."""
    data = records[["k", "vocab", "dim", "logit_range", "lower", "lower_by", "upper", "upper_by", "binds"]].copy()
    figure, (axis,) = panels(1, 3.2, 4.6)
    for place, (dim, rows) in enumerate(data.sort_values("logit_range").groupby("dim")):
        colour, width = WHEEL[place % len(WHEEL)], 2.6 - 0.5 * place  # lines that coincide stay visible
        axis.plot(rows["logit_range"], rows["upper"].clip(lower=ZERO), ":", color=colour, lw=0.9)
        axis.plot(rows["logit_range"], rows["lower"].clip(lower=ZERO), "-", color=colour, lw=width, label=f"d = {dim}")
        for binds, filled in (("rank", colour), ("budget", "white")):
            own = rows[rows["binds"] == binds]
            axis.plot(own["logit_range"], own["lower"], "o", color=colour, mfc=filled, ms=4)
    axis.plot([], [], ":", color=WHEEL[-1], lw=0.9, label="proved from above")
    axis.plot([], [], "o", color=WHEEL[-1], ms=4, label="the rank binds")
    axis.plot([], [], "o", color=WHEEL[-1], mfc="white", ms=4, label="the range binds")
    axis.set(xscale="log", yscale="log", ylim=(ZERO / 2, None), xlabel="largest range of the logits of a context")
    axis.set_ylabel("floor above the entropy (nats per token)")
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    first = data.iloc[0]
    caption = (
        f"All {first['k']}-subsets of {first['vocab']} tokens: proved brackets of the floor of heads whose logits "
        f"differ by at most the range given. Values below {ZERO:g} are drawn there."
    )
    return Drawn(figure, caption, data)
