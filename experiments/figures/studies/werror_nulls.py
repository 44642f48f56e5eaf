"""W-error of n-grams of growing order beside the Zipf null of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import WHEEL, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(records: pd.DataFrame) -> Drawn:
    """One panel per vocabulary, a colour per order: solid what was measured, dashed its null."""
    columns = ["vocab", "order", "dim", "lower", "upper", "zipf", "one_hot", "contexts"]
    data = records[columns].assign(apart=(records["upper"] - records["zipf"]).abs())
    vocabs = sorted(data["vocab"].unique())
    figure, axes = panels(len(vocabs), 2.8, 3.0)
    for axis, vocab in zip(axes, vocabs, strict=True):
        _panel(axis, data[(data["vocab"] == vocab) & (data["dim"] > 0)], vocab)
    axes[0].set_ylabel("W-error: relative Frobenius error")
    tested = data[data["dim"] > 0]
    largest = tested.groupby("order")["apart"].max()
    said = ", ".join(f"{value:.3f}" for value in largest)
    caption = (
        "W-error of the n-grams of a text (solid) and what it would be if every context had one continuation (dashed). "
        f"Largest distance between them at orders {', '.join(map(str, largest.index))}: {said}."
    )
    return Drawn(figure, caption, data)


def _panel(axis: Axes, rows: pd.DataFrame, vocab: int) -> None:
    for place, (order, own) in enumerate(rows.groupby("order")):
        colour = WHEEL[place % len(WHEEL)]
        label = f"n = {order}, {own['one_hot'].iloc[0]:.0%} of rows one-hot"
        axis.plot(own["dim"], own["upper"], color=colour, lw=1.2, label=label)
        axis.plot(own["dim"], own["zipf"], "--", color=colour, lw=0.8)
    axis.plot([], [], "--", color=WHEEL[-1], lw=0.8, label="Zipf null")
    axis.set(xscale="log", ylim=(0, 1), xlabel="dimension d", title=f"V = {vocab}")
    axis.legend(frameon=False)
