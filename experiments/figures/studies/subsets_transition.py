"""All k-subsets of V tokens: the floor against d / 2k drops to zero at 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import MARKERS, WHEEL, ZERO, panels
from experiments.figures.style import COLOURS

if TYPE_CHECKING:
    import pandas as pd


def draw(records: pd.DataFrame) -> Drawn:
    """Fitted floors with the proved lower bound below them, a line per pair (k, V)."""
    data = records[["k", "vocab", "dim", "gap", "lower", "lower_name", "exact", "status"]].copy()
    data["share"] = data["dim"] / (2 * data["k"])
    figure, (axis,) = panels(1, 3.0)
    for place, ((k, vocab), rows) in enumerate(data.groupby(["k", "vocab"])):
        colour = WHEEL[place % len(WHEEL)]
        style = MARKERS[place % len(MARKERS)] + "-"
        axis.plot(
            rows["share"],
            rows["gap"].clip(lower=ZERO),
            style,
            color=colour,
            ms=3.6,
            lw=1.1,
            label=f"k = {k}, V = {vocab}",
        )
        proved = rows[rows["lower"] > 0]
        axis.plot(proved["share"], proved["lower"], "_", color=colour, ms=8, mew=1.4)
    axis.plot([], [], "_", color=COLOURS["predicted"], ms=8, mew=1.4, label="proved from below")
    axis.axvline(1.0, color=COLOURS["exact"], lw=0.8, ls="--", zorder=0)
    axis.annotate("d = 2k", (1.0, 1.0), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                  va="top", color=COLOURS["exact"], fontsize=7)  # fmt: skip
    axis.set(yscale="log", xlabel="dimension as a share of 2k", ylabel="floor above the entropy (nats per token)")
    axis.legend(frameon=False)
    below, from_there = data[data["share"] < 1], data[data["share"] >= 1]
    caption = (
        f"Every k-subset of V tokens, uniform on it. Least fitted floor below d = 2k: {below['gap'].min():.3g} nats; "
        f"greatest from d = 2k on, where the infimum is 0 and no finite head reaches it: {from_there['gap'].max():.2g}."
    )
    return Drawn(figure, caption, data)
