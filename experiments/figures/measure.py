"""One page about a language model's head and states, every curve beside its null.

Reads the tables and ``config.json`` of a run of ``rankfloor lm measure``, and computes nothing.  Panels that need
states are left out for a head on its own.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from experiments.figures import measure_panels as panels
from experiments.figures.style import COLUMN, house_style, save

DPI = 200
"""A page of eight panels at 300 dots per inch makes a large file and shows no more."""


def draw(folder: Path, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf from the tables in ``folder``; returns the paths."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import pandas as pd

    facts = json.loads((folder / "config.json").read_text())
    tables = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    chosen = [panel for panel in panels.PANELS if panel.needs <= panels.present(tables)]
    rows = -(-len(chosen) // 2)
    with house_style(), mpl.rc_context({"savefig.dpi": DPI}):
        figure, axes = plt.subplots(rows, 2, figsize=(2 * COLUMN, 2.25 * rows), squeeze=False)
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.06)
        for letter, axis, panel in zip("abcdefgh", axes.ravel(), chosen, strict=False):
            panel.draw(axis, tables, facts)
            axis.set_title(f"{letter}   {panel.title}", loc="left", fontweight="bold", fontsize=8)
            axis.spines[["top", "right"]].set_visible(False)
        for axis in axes.ravel()[len(chosen) :]:
            axis.set_visible(False)
        figure.suptitle(_sentence(facts), x=0.01, ha="left", fontsize=7.5)
        return save(figure, stem)


def _sentence(facts: dict[str, Any]) -> str:
    """Model, caveats, text, loss, and how to read the page."""
    text = facts["model"] + (f" ({'; '.join(facts['caveats'])})" if facts["caveats"] else "")
    text += f": head {facts['vocab']:,} × {facts['dim']}"
    if facts["read"]:
        text += (
            f"; {facts['read']:,} tokens of {facts['text']} in {facts['slices']} passages, loss {facts['nll']:.2f} ± "
            f"{facts['nll_stderr']:.2f} nats per token"
        )
    text += (
        ". Grey: null models; open circles among dots, joined to what was measured, in the colours of the spectra. "
        "Bars: ± 2 standard errors, none where a number is exact for this head."
    )
    return "\n".join(textwrap.wrap(text, 124))
