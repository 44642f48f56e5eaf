"""Pieces that study figures share: panels side by side, medians over seeds with their range, and scales with a zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.figures.style import COLUMN

if TYPE_CHECKING:
    import pandas as pd

ZERO = 1e-9
"""Gaps below this are drawn at it, nats: an infimum of zero has no place on a log scale."""

WHEEL = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6b6b6b")
"""Okabe and Ito's colours for the lines of one panel."""

MARKERS = "osD^vPX"


def panels(count: int, height: float = 2.5, width: float = COLUMN) -> tuple[Any, Sequence[Any]]:
    """A figure of ``count`` panels in a row."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, count, figsize=(width * count, height), squeeze=False, layout="constrained")
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[0]


def over_seeds(records: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Median, least and greatest of ``values`` over what is left (the seeds): ``x``, ``x_low``, ``x_high``."""
    groups = records.groupby(list(by), dropna=False, sort=True)[list(values)]
    median, low, high = groups.median(), groups.min().add_suffix("_low"), groups.max().add_suffix("_high")
    return median.join(low).join(high).join(groups.size().rename("seeds")).reset_index()


def line(axis: Any, data: pd.DataFrame, x: str, y: str, place: int, label: str) -> None:
    """Median against ``x`` with the range over the seeds as a band."""
    colour = WHEEL[place % len(WHEEL)]
    low, high = (data[f"{y}_{end}"].clip(lower=ZERO) for end in ("low", "high"))
    axis.fill_between(data[x], low, high, color=colour, alpha=0.18, lw=0)
    axis.plot(
        data[x],
        data[y].clip(lower=ZERO),
        MARKERS[place % len(MARKERS)] + "-",
        color=colour,
        ms=3.4,
        lw=1.1,
        label=label,
    )
