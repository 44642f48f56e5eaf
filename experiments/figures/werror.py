"""W-error of the n-grams of a text against d, one colour per order, each beside its Zipf null (dashed).

Reads ``werror.parquet`` of a run of ``rankfloor lm werror``.  Where a spectrum is only bounded, the interval is shaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.figures.style import COLUMN, house_style, save

ORDERS = {1: "#999999", 2: "#0072B2", 3: "#009E73", 4: "#E69F00", 5: "#D55E00"}
"""Okabe and Ito's palette, one colour per n."""


def draw(folder: Path, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf from the table in ``folder``; returns the paths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    curves = pd.read_parquet(folder / "werror.parquet")
    with house_style():
        figure, axis = plt.subplots(figsize=(COLUMN * 1.15, 2.7), layout="constrained")
        for order, own in curves.groupby("order"):
            shown = own[own["dim"] > 0]
            if len(shown) > 1:  # a single context has rank one, and no curve
                _curve(axis, int(str(order)), shown)
        axis.plot([], [], color="black", lw=0.8, ls=(0, (2, 1.5)), label="Zipf null: all contexts one-hot")
        axis.axhline(0.5, color="#cccccc", lw=0.6, zorder=0)
        axis.set_xscale("log")
        axis.set_ylim(-0.02, 1.02)
        axis.set_xlabel("dimension d")
        axis.set_ylabel("W-error")
        first = curves.iloc[0]
        axis.set_title(f"{first['text']}, {first['tokens']:,} tokens, V = {first['vocab']:,}", loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=6, loc="lower left")
        return save(figure, stem)


def _curve(axis: Any, order: int, own: Any) -> None:
    from matplotlib.colors import to_rgb

    colour = ORDERS[order]
    label = f"n = {order}, {own['one_hot'].iloc[0]:.0%} of contexts one-hot"
    if own["exact"].all():
        axis.plot(own["dim"], own["upper"], color=colour, lw=1.3, label=label, zorder=3)
    else:
        axis.fill_between(own["dim"], own["lower"], own["upper"], color=colour, alpha=0.3, lw=0, zorder=2)
        axis.plot(own["dim"], own["upper"], color=colour, lw=1.1, label=f"{label} (bounds)", zorder=3)
        axis.plot(own["dim"], own["lower"], color=colour, lw=0.7, zorder=3)
    shade = [0.55 * channel for channel in to_rgb(colour)]
    axis.plot(own["dim"], own["zipf"], color=shade, lw=0.7, ls=(0, (2, 1.5)), zorder=4)
