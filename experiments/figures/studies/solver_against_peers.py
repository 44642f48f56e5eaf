"""Evaluations until each method is near the lowest gap found: a row per law and dimension, a panel per start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import MARKERS, WHEEL, over_seeds, panels

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 1e-4
"""Excess of which evaluations are drawn, nats: the table holds all."""

SHIFT = 0.16
"""Between the methods of a row, so that equal numbers stay apart."""


def draw(records: pd.DataFrame) -> Drawn:
    """Medians over seeds with their range; a method whose median seed does not arrive stands in the last lane."""
    named = records.assign(law=_law(records), evaluations=records["evaluations"].astype(float).fillna(np.inf))
    data = over_seeds(named, ["start", "law", "dim", "method", "excess"], ["evaluations", "final"])
    methods, begun = list(dict.fromkeys(records["method"])), sorted(data["start"].unique())
    rows = list(dict.fromkeys(zip(named["law"], named["dim"], strict=True)))
    near = data["excess"].unique()[np.argmin(np.abs(np.log(data["excess"].unique() / SHOWN)))]
    shown = data[data["excess"] == near]
    lane = 2.0 * float(records["max_evaluations"].max())
    figure, axes = panels(len(begun), 0.9 + 0.34 * len(rows), 3.4)
    for axis, start in zip(axes, begun, strict=True):
        axis.axvline(lane / 1.5, color=WHEEL[-1], lw=0.6, ls=":")
        for place, method in enumerate(methods):
            found = shown[(shown["start"] == start) & (shown["method"] == method)].set_index(["law", "dim"]).loc[rows]
            y = np.arange(len(rows)) + SHIFT * (place - (len(methods) - 1) / 2)
            value, low, high = (
                found[name].clip(1, lane) for name in ("evaluations", "evaluations_low", "evaluations_high")
            )
            axis.hlines(y, low, high, color=WHEEL[place], lw=1.0, alpha=0.5)
            axis.plot(value, y, MARKERS[place], color=WHEEL[place], ms=3.6, label=method)
        _axes(axis, rows, lane, start)
    for axis in axes[1:]:
        axis.set_yticks([])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods), frameon=False)
    caption = (
        f"Evaluations of the gap and its gradient until a method is within {near:g} nats of the lowest gap that any "
        "method found from the same start: medians over seeds with their range. In the lane on the right: not there "
        f"within {records['max_evaluations'].max():,} evaluations, or in another minimum. Adam is the best of its "
        "variants in every row; the search for it is not counted."
    )
    return Drawn(figure, caption, data)


def _axes(axis: Any, rows: list[tuple[str, int]], lane: float, start: str) -> None:
    axis.set(xscale="log", xlim=(0.8, lane * 1.7), ylim=(len(rows) - 0.45, -0.55))
    axis.set(xlabel="evaluations")
    axis.set_title(f"start: {start}", loc="left")
    decades = [10.0**power for power in range(int(np.log10(lane / 2)) + 1)]
    axis.set_xticks(decades, [f"{decade:g}" for decade in decades])
    axis.text(lane, -0.6, "not there", ha="center", va="bottom", fontsize=6.5, color=WHEEL[-1])
    axis.minorticks_off()
    axis.set_yticks(range(len(rows)), [f"{law}, d = {dim}" for law, dim in rows])
    axis.tick_params(axis="y", length=0)


def _law(records: pd.DataFrame) -> pd.Series:
    """A name for the law of each record: its family, and its scale where several are studied."""
    family = records["family"].str.replace("_", " ")
    if "scale" not in records:
        return family
    scale = records["scale"].map(lambda value: "" if value is None or np.isnan(value) else f" × {value:g}")
    return family + scale
