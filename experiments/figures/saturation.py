"""Training curves of published runs, one panel per width: which rise again at the end and which do not.

Reads ``curves.parquet``, ``saturation.parquet`` and ``config.json`` of a run of ``rankfloor lm saturation``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.figures.style import COLOURS, COLUMN, house_style, save
from theory.saturation import Finding

RUN = ["version", "model", "shots", "series"]
DASHES = {0: "-", 5: (0, (4, 1.5))}
COLUMNS_OF_PANELS = 3
ROOM = 0.12
"""A panel shows the curve from this fraction of training on; the descent before dwarfs everything."""


def draw(folder: Path, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf from the tables in ``folder``; returns the paths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    facts = json.loads((folder / "config.json").read_text())
    judged = pd.read_parquet(folder / "saturation.parquet")
    curves = pd.read_parquet(folder / "curves.parquet").merge(judged, on=RUN)
    widths = sorted(curves["width"].unique())
    columns = min(COLUMNS_OF_PANELS, len(widths))
    rows = -(-len(widths) // columns)
    with house_style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(max(2 * COLUMN, COLUMN * columns / 1.5) if columns > 1 else COLUMN, 2.15 * rows),
            squeeze=False, layout="constrained",
        )  # fmt: skip
        for axis, width in zip(axes.ravel(), widths, strict=False):
            panel(axis, curves[curves["width"] == width], facts)
            axis.set_title(f"d = {width}", loc="left")
        for axis in axes.ravel()[len(widths) :]:
            axis.set_visible(False)
        for axis in axes[:, 0]:
            axis.set_ylabel(_measure(facts["metric"]))
        for column in range(columns):
            last = max(row for row in range(rows) if row * columns + column < len(widths))
            axes[last, column].set_xlabel("tokens seen (billions)")
        _legend(figure, sorted(curves["shots"].unique()))
        return save(figure, stem)


def panel(axis: Any, curves: Any, facts: dict[str, Any]) -> None:
    """All runs of one width; a ring at the best checkpoint of those that rise."""
    for _, run in curves.groupby(RUN, sort=False):
        shown = run[run["tokens"] >= ROOM * run["tokens"].max()]
        first = run.iloc[0]
        rises = first["finding"] == Finding.RISES.value
        colour = COLOURS["exact"] if rises else COLOURS["fit"]
        axis.plot(
            shown["tokens"] / 1e9, shown[facts["metric"]], color=colour, ls=DASHES.get(first["shots"], ":"),
            lw=1.2 if rises else 0.8, alpha=1.0 if rises else 0.75, zorder=3 if rises else 2,
        )  # fmt: skip
        if rises:
            best = run[run["step"] == first["best_step"]]
            axis.plot(best["tokens"] / 1e9, best[facts["metric"]], "o", color=colour, mfc="white", ms=4, zorder=4)
    _axes(axis, facts["metric"])
    _names(axis, curves, facts["metric"])


def _names(axis: Any, curves: Any, metric: str) -> None:
    """What sets the runs of a panel apart, at the right end of each curve; names that would overlap are moved apart."""
    ends = curves.sort_values("tokens").groupby(RUN, sort=False).tail(1).sort_values(metric)
    lows, highs = axis.get_ylim()
    logarithmic = _is_perplexity(metric)
    place = -float("inf")
    for end in ends.itertuples():
        y = getattr(end, metric)
        height = _height(y, lows, highs, logarithmic)
        place = max(height, place + 0.062)
        axis.annotate(
            _name(end), (end.tokens / 1e9, y), (1.015, place), textcoords="axes fraction", fontsize=5, va="center",
            color=COLOURS["exact"] if end.finding == Finding.RISES.value else COLOURS["fit"],
        )  # fmt: skip


def _name(run: Any) -> str:
    batch = f", {run.batch_tokens / 2**20:g}M batch" if run.batch_tokens != 2_097_152 else ""
    model = run.model.split("-")[0] + (" deduped" if run.deduped else "")
    return f"{run.version} {model}{batch}, {run.shots}-shot"


def _height(y: float, low: float, high: float, logarithmic: bool) -> float:
    """Where y lies on an axis, 0 to 1, in the panel's scale."""
    from math import log

    return log(y / low) / log(high / low) if logarithmic else (y - low) / (high - low)


def _axes(axis: Any, metric: str) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    if _is_perplexity(metric):
        low, high = axis.get_ylim()
        axis.set_yscale("log")
        axis.set_ylim(low, high)
        ticks = [m * 10.0**k for k in range(-1, 9) for m in (1, 1.5, 2, 3, 4, 5, 6, 8)]
        axis.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlim(right=305)
    axis.spines[["top", "right"]].set_visible(False)


def _is_perplexity(metric: str) -> bool:
    return "ppl" in metric or "perplexity" in metric


def _measure(metric: str) -> str:
    known = {"lambada_openai_ppl": "LAMBADA perplexity", "wikitext_word_perplexity": "WikiText word perplexity"}
    return known.get(metric, metric.replace("_", " "))


def _legend(figure: Any, shots: list[int]) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=COLOURS["exact"], lw=1.2, marker="o", mfc="white", ms=4, label="late rise (ring: best)"),
        Line2D([], [], color=COLOURS["fit"], lw=0.8, label="no late rise"),
    ]
    entries += [Line2D([], [], color="black", lw=0.8, ls=DASHES.get(n, ":"), label=f"{n}-shot") for n in shots]
    figure.legend(handles=entries, loc="outside lower center", ncols=len(entries), frameon=False)
