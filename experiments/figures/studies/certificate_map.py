"""Fitted floor over certificate: a map over the scale of the logits and the dimension, one panel per limit M."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import over_seeds, panels

if TYPE_CHECKING:
    import pandas as pd


def draw(records: pd.DataFrame) -> Drawn:
    """Ratios as numbers on colours; a ratio of a head outside its class is in brackets."""
    data = over_seeds(records, ["limit", "scale", "dim"], ["ratio", "in_class"])
    limits = sorted(data["limit"].unique())
    figure, axes = panels(len(limits), 2.2, 2.3)
    for axis, limit in zip(axes, limits, strict=True):
        cells = data[data["limit"] == limit]
        ratio = cells.pivot(index="scale", columns="dim", values="ratio")
        inside = cells.pivot(index="scale", columns="dim", values="in_class")
        axis.imshow(np.log(np.maximum(ratio, 1.0)), cmap="cividis_r", vmin=0, vmax=np.log(6), origin="lower")
        for row, column in np.ndindex(ratio.shape):
            value = ratio.iloc[row, column]
            said = f"{value:.2f}" if inside.iloc[row, column] else f"({value:.2f})"
            axis.text(
                column, row, said, ha="center", va="center", fontsize=6.5, color="white" if value > 2.2 else "black"
            )
        axis.set_xticks(range(ratio.shape[1]), [str(dim) for dim in ratio.columns])
        axis.set_yticks(range(ratio.shape[0]), [f"{scale:g}" for scale in ratio.index])
        axis.set(title=f"M = {limit:g}", xlabel="dimension d of the head")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    axes[0].set_ylabel("scale of the log-ratios")
    optimal = int(records["globally_optimal"].sum())
    caption = (
        f"Fitted floor over certificate on Zipfian laws; {optimal} of {len(records)} fits are proved globally optimal "
        f"in their class. In brackets: the fitted head lies outside the class of heads with q >= exp(-M) p. "
        f"{int(records['verified'].sum())} of {len(records)} certificates were verified independently."
    )
    return Drawn(figure, caption, data)
