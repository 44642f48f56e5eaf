"""The house style: one column wide, colour-blind-safe, readable in print and on a screen; PDF and PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COLUMN = 3.5
"""Width of one column, inches."""

COLOURS = {"fit": "#0072B2", "proved": "#56B4E9", "exact": "#D55E00", "predicted": "#6b6b6b", "limited": "#009E73"}
"""Okabe and Ito's palette: one colour per role, the same in every figure."""


@contextmanager
def house_style() -> Iterator[None]:
    """Draw inside the house style; the Agg canvas, so that no display is needed."""
    import matplotlib as mpl
    import seaborn as sns

    mpl.use("Agg")
    settings: Any = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 6.5,
        "pdf.fonttype": 42,
        "savefig.dpi": 300,
        "axes.linewidth": 0.7,
    }
    with sns.axes_style("ticks"), mpl.rc_context(settings):
        yield


def save(figure: Any, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf and close the figure; returns the paths."""
    import matplotlib.pyplot as plt

    paths = [stem.with_suffix(".png"), stem.with_suffix(".pdf")]
    for path in paths:
        figure.savefig(path, bbox_inches="tight", metadata={"CreationDate": None} if path.suffix == ".pdf" else None)
    plt.close(figure)
    return paths
