"""Gaps of several kinds of heads at equal width, a panel per law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import ZERO, line, over_seeds, panels

if TYPE_CHECKING:
    import pandas as pd

SAID = {"mos": "mixture of softmaxes"}
"""Names that read better in a legend."""


def draw(records: pd.DataFrame) -> Drawn:
    """Medians over seeds with their range; values below the least one drawn are at the foot."""
    data = over_seeds(records, ["family", "head", "dim"], ["gap", "states", "columns", "shared"])
    families = sorted(data["family"].unique())
    figure, axes = panels(len(families), 2.8, 3.0)
    for axis, family in zip(axes, families, strict=True):
        rows = data[data["family"] == family]
        for place, head in enumerate(records["head"].unique()):
            line(axis, rows[rows["head"] == head], "dim", "gap", place, SAID.get(head, head))
        axis.set(yscale="log", ylim=(ZERO / 2, None), title=family.replace("_", " "), xlabel="width d")
    axes[0].set_ylabel("gap above the entropy (nats per token)")
    axes[0].legend(frameon=False)
    caption = (
        "Gaps of kinds of heads at equal width, medians over seeds with their range. Equal width is not equal size: "
        "the table gives the unknowns per context, per token and shared."
    )
    return Drawn(figure, caption, data)
