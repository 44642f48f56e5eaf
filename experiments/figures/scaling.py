"""Final losses against parameters under both conventions, the fitted law through them, and the gaps side by side.

Reads ``scaling.parquet`` and ``laws.parquet`` of a run of ``rankfloor lm scaling``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.figures.style import COLOURS, COLUMN, house_style, save
from theory.scaling import Count, Law

MARKS = {Count.TOTAL.value: ("o", COLOURS["fit"]), Count.NON_EMBEDDING.value: ("s", COLOURS["exact"])}


def draw(folder: Path, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf from the tables in ``folder``; returns the paths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    models, laws = pd.read_parquet(folder / "scaling.parquet"), pd.read_parquet(folder / "laws.parquet")
    with house_style():
        figure, axes = plt.subplots(1, 3, figsize=(2 * COLUMN, 2.5), layout="constrained")
        for axis, count in zip(axes, Count, strict=False):
            law_panel(axis, models[models["convention"] == count.value], laws[laws["convention"] == count.value])
            axis.set_xlabel(f"N, {count.value} parameters")
        loss_axes(axes[:2], models)
        axes[0].legend(frameon=False, fontsize=5.5)
        axes[0].set_ylabel("final loss (nats per token)")
        gap_panel(axes[2], models)
        return save(figure, stem)


def law_panel(axis: Any, models: Any, laws: Any) -> None:
    """Losses and the law, dashed where it is extrapolated; refits without one model in grey."""
    mark, colour = MARKS[models["convention"].iloc[0]]
    N, T = models["N"].to_numpy(), float(models["T"].iloc[0])
    edge = N[models["fitted"]].min()
    below, above = np.geomspace(N.min() / 1.5, edge, 60), np.geomspace(edge, N.max() * 1.5, 60)
    for refit in laws.itertuples():
        law = Law(refit.A, refit.alpha, refit.B, refit.beta, refit.E)
        if refit.left_out:
            label = "one fitted model left out" if refit.Index == laws.index[1] else None
            axis.plot(below, law(below, T), color="#bbbbbb", lw=0.6, zorder=1, label=label)
        else:
            axis.plot(above, law(above, T), color=COLOURS["predicted"], lw=1.2, zorder=2, label="fitted law")
            axis.plot(below, law(below, T), color=COLOURS["predicted"], lw=1.2, ls="--", zorder=2, label="extrapolated")
    fitted = models["fitted"]
    axis.plot(models["N"][fitted], models["loss"][fitted], mark, color=colour, ms=4, zorder=3, label="model, fitted")
    axis.plot(
        models["N"][~fitted], models["loss"][~fitted], mark, color=colour, mfc="white", ms=4, zorder=3,
        label="model, not fitted",
    )  # fmt: skip


def loss_axes(axes: Any, models: Any) -> None:
    """One log scale for the losses of both conventions, wide enough for what the laws predict."""
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    shown = models[["loss", "predicted"]].to_numpy()
    low, high = shown.min() / 1.03, shown.max() * 1.03
    for axis in axes:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylim(low, high)
        axis.yaxis.set_major_locator(FixedLocator([tick for tick in np.arange(1, 12, 0.5) if low <= tick <= high]))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_locator(NullLocator())
        axis.spines[["top", "right"]].set_visible(False)


def gap_panel(axis: Any, models: Any) -> None:
    """Gap to the law per model, with the range over the refits; zero is the law."""
    from matplotlib.ticker import PercentFormatter

    names = list(dict.fromkeys(models["model"]))
    place = np.arange(len(names))
    axis.axhline(0, color=COLOURS["predicted"], lw=0.8)
    for shift, (convention, own) in zip((-0.14, 0.14), models.groupby("convention", sort=False), strict=True):
        mark, colour = MARKS[convention]
        gap, fitted = own["gap"].to_numpy(), own["fitted"].to_numpy()
        axis.vlines(place + shift, own["gap_low"], own["gap_high"], color=colour, lw=1, alpha=0.6)
        axis.plot(place[fitted] + shift, gap[fitted], mark, color=colour, ms=3.5, label=f"{convention} parameters")
        axis.plot(place[~fitted] + shift, gap[~fitted], mark, color=colour, mfc="white", ms=3.5)
    axis.set_xticks(place, names, rotation=45)
    axis.set_ylabel("loss above the law")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=5.5, loc="lower right", title="range: one model left out", title_fontsize=5.5)
