"""Floors against the dimension: as the tokens grow, as the contexts grow, and as the spectrum falls faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.figures.studies.drawn import Drawn
from experiments.figures.studies.parts import line, over_seeds, panels

if TYPE_CHECKING:
    import pandas as pd

AXES = {"vocab": "V = {:g}", "contexts": "C = {:g}", "decay": r"$\sigma_i \propto i^{{-{:g}}}$"}
"""What each panel varies, and how it names a line."""


def draw(records: pd.DataFrame) -> Drawn:
    """One panel per quantity that varies while the others keep their commonest value; shares of the information."""
    records = records.assign(share=records["gap"] / records["information"])
    data = over_seeds(records, [*AXES, "dim"], ["gap", "share"])
    usual = {name: records[name].mode().iloc[0] for name in AXES}
    figure, axes = panels(len(AXES), 2.8, 2.9)
    for axis, (varied, label) in zip(axes, AXES.items(), strict=True):
        kept = data
        for name in usual.keys() - {varied}:
            kept = kept[kept[name] == usual[name]]
        for place, (value, rows) in enumerate(kept.groupby(varied)):
            line(axis, rows, "dim", "share", place, label.format(value))
        axis.set(xscale="log", yscale="log", xlabel="dimension d of the head")
        dims = sorted(kept["dim"].unique())
        axis.set_xticks(dims, [str(dim) for dim in dims])
        axis.minorticks_off()
        axis.set_ylim(0.8 * data["share"].min(), 1.2)
        axis.legend(frameon=False, loc="lower left")
    axes[0].set_ylabel("floor / mutual information")
    caption = (
        "Floors without a bias on logits of a power-law spectrum, as a share of the information that contexts carry; "
        f"medians over seeds with their range. Unless varied: C = {usual['contexts']}, V = {usual['vocab']}, "
        f"exponent {usual['decay']:g}."
    )
    return Drawn(figure, caption, data)
