"""Kinds of heads side by side: gap against width, one line for each kind, one panel for each target.

Reads the records of finished runs and computes nothing.  Gaps below what fits resolve are drawn on the foot of the
axis; an open marker is a fit whose minimum was not certified, or whose infimum no finite head attains.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.figures.style import COLUMN, house_style, save

LOOKS = {
    "softmax": ("#000000", "o", "-"),
    "sigsoftmax": ("#56B4E9", "^", "--"),
    "monotonic": ("#009E73", "s", "-"),
    "plif": ("#CC79A7", "P", ":"),
    "mos": ("#D55E00", "D", "-"),
}
"""Okabe and Ito's palette, a marker and a dash for each kind."""

LABELS = {"mos": "mixture of softmaxes", "monotonic": "monotonic, learnt", "plif": "monotonic, piecewise linear"}

RESOLVED = 1e-6
"""Gaps below this are drawn at the foot of the axis: what fits of this tolerance tell from zero, nats."""


def draw(folders: Sequence[Path], stem: Path) -> list[Path]:
    """One panel per run folder, side by side, written to ``stem``.png and ``stem``.pdf; returns the paths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    with house_style():
        figure, axes = plt.subplots(
            1, len(folders), figsize=(max(COLUMN, 2.75 * len(folders)), 2.8), squeeze=False, layout="constrained"
        )
        for axis, folder in zip(axes[0], folders, strict=True):
            facts = json.loads((folder / "config.json").read_text())
            panel(axis, pd.read_parquet(folder / "heads.parquet"), facts)
        axes[0][0].set_ylabel("loss above the entropy (nats per token)")
        entries = (axis.get_legend_handles_labels() for axis in axes[0])
        found = {label: handle for pair in entries for handle, label in zip(*pair, strict=True)}
        columns = 2 if len(folders) == 1 else len(found)
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False)
        return save(figure, stem)


def panel(axis: Any, data: Any, facts: dict[str, Any]) -> None:
    """Draw one target: ``data`` has one row per head and width, ``facts`` is the run's ``config.json``."""
    foot = _foot(data["gap"])
    for name, (colour, marker, dash) in LOOKS.items():
        rows = data[data["head"] == name].sort_values("dim")
        if rows.empty:
            continue
        height = rows["gap"].where(rows["gap"] > RESOLVED, foot)
        axis.plot(rows["dim"], height, dash, color=colour, lw=1.1, zorder=3)
        for certified in (False, True):
            some = (rows["status"] == "converged") == certified
            axis.plot(
                rows["dim"][some], height[some], marker, color=colour, ms=4, mfc=colour if certified else "white",
                zorder=4, ls="none",
            )  # fmt: skip
        axis.plot([], [], dash, marker=marker, color=colour, ms=4, lw=1.1, label=LABELS.get(name, name))
    _axes(axis, data, foot)
    axis.set_title(_title(facts))


def _foot(gaps: Any) -> float:
    """Where gaps below ``RESOLVED`` are drawn: a little below the smallest that is shown."""
    shown = gaps[gaps > RESOLVED]
    return float(shown.min()) / 3 if len(shown) else RESOLVED


def _axes(axis: Any, data: Any, foot: float) -> None:
    """Log scales, ticks at 1, 2, 5 times powers of ten, and a foot for gaps that are not told from zero."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    dims = sorted(set(data["dim"]))
    axis.xaxis.set_major_locator(FixedLocator(dims))
    axis.xaxis.set_major_formatter(FixedFormatter([str(dim) for dim in dims]))
    vanishing = bool((data["gap"] <= RESOLVED).any())
    low, high = (foot if vanishing else 2 * foot), 1.3 * float(data["gap"].max())
    steps = (1, 2, 5) if high < 100 * low else (1,)
    ticks = [step * 10.0**power for power in range(-7, 4) for step in steps]
    shown = [tick for tick in ticks if (2 if vanishing else 1) * low <= tick <= high]
    labels = [f"{tick:g}" for tick in shown]
    if vanishing:
        shown, labels = [low, *shown], ["< 1e-6", *labels]
    axis.yaxis.set_major_locator(FixedLocator(shown))
    axis.yaxis.set_major_formatter(FixedFormatter(labels))
    for side in (axis.xaxis, axis.yaxis):
        side.set_minor_locator(NullLocator())
    axis.set_ylim(low / 1.2, high)
    axis.set_xlabel("width d of the head")
    axis.spines[["top", "right"]].set_visible(False)


def _title(facts: dict[str, Any]) -> str:
    name = (facts["name"] or facts["sentence"].split(":")[0].split(",")[0]).replace("_", " ").replace("-", " ")
    bias = "bias" if facts["config"]["bias"] else "no bias"
    rank = "" if facts["logit_rank"] is None else f", rank {facts['logit_rank']}"
    return f"{name}{rank} ({bias})\n{facts['contexts']:,} × {facts['vocab']:,}, H = {facts['entropy']:.2f} nats"
