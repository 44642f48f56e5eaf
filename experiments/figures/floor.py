"""The floor curve: fitted floors between the proved bounds, against the head's dimension, on a log scale.

Reads the records of finished runs and computes nothing.  Zero has its own line at the foot of the axis: an exact zero
is drawn there, and a bound of zero proves nothing there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.figures.style import COLOURS, COLUMN, house_style, save

SMALLEST = 1e-9
"""Gaps below this are drawn on the line of zero, nats."""

LINEAR = 10
"""Curves that end at this dimension or before have a linear axis."""

MARKERS = {"converged": "o", "unattained": "v", "limit": "s", "stalled": "s"}
MEANING = {
    "converged": "fitted floor, certified",
    "unattained": "fitted, infimum not attained",
    "limit": "fitted, not certified",
    "stalled": "fitted, not certified",
}


def draw(folders: Sequence[Path], stem: Path) -> list[Path]:
    """One panel per run folder, side by side, written to ``stem``.png and ``stem``.pdf; returns the paths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    with house_style():
        figure, axes = plt.subplots(
            1, len(folders), figsize=(COLUMN * len(folders), 2.9), squeeze=False, layout="constrained"
        )
        for axis, folder in zip(axes[0], folders, strict=True):
            facts = json.loads((folder / "config.json").read_text())
            panel(axis, pd.read_parquet(folder / "floor.parquet"), facts)
        axes[0][0].set_ylabel("loss above the entropy (nats per token)")
        _legend(figure, axes[0])
        return save(figure, stem)


def panel(axis: Any, data: Any, facts: dict[str, Any]) -> None:
    """Draw one curve: ``data`` has one row per dimension, ``facts`` is the run's ``config.json``."""
    zero = _zero_line(data)
    height = data[["gap", "lower", "upper"]].clip(lower=zero)
    dims = data["dim"]
    axis.fill_between(dims, height["lower"], height["upper"], color=COLOURS["proved"], alpha=0.22, lw=0)
    axis.plot(dims, height["upper"], color=COLOURS["proved"], lw=1.2, label="proved upper bound")
    proves = data["lower"] > SMALLEST
    axis.plot(
        dims[proves], height["lower"][proves], color=COLOURS["proved"], lw=1.2, ls="--", label="proved lower bound"
    )
    _predicted(axis, data, zero)
    axis.plot(dims, height["gap"], color=COLOURS["fit"], lw=0.9, zorder=3)
    for status, rows in data.groupby("status", sort=False):
        axis.plot(
            rows["dim"], rows["gap"].clip(lower=zero), MARKERS[status], color=COLOURS["fit"], ms=3.8, zorder=4,
            mfc=COLOURS["fit"] if status == "converged" else "white", label=MEANING[status],
        )  # fmt: skip
    known = data[data["exact"].notna()]
    if len(known):
        axis.plot(
            known["dim"], known["exact"].clip(lower=zero), "*", color=COLOURS["exact"], ms=8, zorder=5, mec="white",
            mew=0.4, clip_on=False, label="exact value",
        )  # fmt: skip
    _axes(axis, data, zero)
    _first_zero(axis, known, zero)
    axis.set_title(_title(facts))


def _legend(figure: Any, axes: Any) -> None:
    """One legend for all panels, below them."""
    entries = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    columns = 2 if len(axes) == 1 else len(entries)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False)


def _predicted(axis: Any, data: Any, zero: float) -> None:
    if "predicted" not in data or data["predicted"].isna().all():
        return
    rows = data[data["predicted"].notna() & (data["predicted"] > zero)]
    axis.plot(rows["dim"], rows["predicted"], ":", color=COLOURS["predicted"], lw=1, label="near-unigram prediction")


def _first_zero(axis: Any, known: Any, zero: float) -> None:
    """Name the first dimension whose floor is exactly zero."""
    vanishing = known[known["exact"] == 0]["dim"]
    if len(vanishing):
        first = vanishing.min()
        axis.annotate(
            f"exactly 0 at d = {first}", (first, zero), (-26, 40), textcoords="offset points", ha="right", fontsize=6.5,
            color=COLOURS["exact"], arrowprops={"arrowstyle": "->", "color": COLOURS["exact"], "lw": 0.7},
        )  # fmt: skip


def _zero_line(data: Any) -> float:
    """Where zero is drawn: a third of a decade below the smallest positive value shown."""
    shown = data[["gap", "lower", "upper"]].to_numpy().ravel()
    shown = shown[(shown > SMALLEST) & (shown < float("inf"))]
    return float(shown.min()) / 3 if len(shown) else SMALLEST


def _axes(axis: Any, data: Any, zero: float) -> None:
    """Log scales, a tick at each dimension, and a line marked 0."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, NullLocator

    dims = list(data["dim"])
    axis.set_yscale("log")
    if max(dims) > LINEAR:
        axis.set_xscale("symlog" if min(dims) == 0 else "log", base=2, **({"linthresh": 1} if min(dims) == 0 else {}))
    if min(dims) == 0:
        axis.set_xlim(-0.06 * (max(dims) if max(dims) <= LINEAR else 4), None)
    axis.xaxis.set_major_locator(FixedLocator(dims))
    axis.xaxis.set_major_formatter(FixedFormatter([str(dim) for dim in dims]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("dimension d of the head")
    low, high = zero, float(data[["gap", "upper"]].replace(float("inf"), 0).to_numpy().max()) * 1.6
    axis.set_ylim(low, high)
    ticks = [tick for tick in LogLocator(numticks=8).tick_values(low, high) if 1.5 * low <= tick <= high]
    axis.yaxis.set_major_locator(FixedLocator([zero, *ticks]))
    axis.yaxis.set_major_formatter(FixedFormatter(["0", *[_power(tick) for tick in ticks]]))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.spines[["top", "right"]].set_visible(False)


def _power(value: float) -> str:
    return f"$10^{{{round(math.log10(value))}}}$"


def _title(facts: dict[str, Any]) -> str:
    name = facts["config"]["name"] or facts["sentence"].split(":")[0].split(",")[0]
    size = f"{facts['contexts']:,} contexts × {facts['vocab']:,} tokens, H = {facts['entropy']:.2f} nats"
    bias = "with bias" if facts["config"]["heads"]["bias"] else "no bias"
    return f"{name.replace('-', ' ')} ({bias})\n{size}"
