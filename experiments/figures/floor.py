"""The floor curve: fitted floors between the proved bounds, against the head's dimension, on a log scale.

Reads the records of finished runs and computes nothing.  Zero has its own line at the foot of the axis: an exact zero
is drawn there, and a bound of zero proves nothing there.  A limited class has a fit and a bound of its own; a bound for
all heads that lies out of their sight is then said in words.
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

SIGHT = 0.3
"""Beside a limited class, bounds for all heads are drawn down to this share of the lowest other curve."""

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
    dims = data["dim"]
    _proved(axis, data, zero)
    _limited(axis, data, zero)
    _predicted(axis, data, zero)
    axis.plot(dims, data["gap"].clip(lower=zero), color=COLOURS["fit"], lw=0.9, zorder=3)
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


def _proved(axis: Any, data: Any, zero: float) -> None:
    """The band between the proved bounds for all heads; the lower one in words where it is out of sight."""
    dims, colour = data["dim"], COLOURS["proved"]
    lower, upper = data["lower"].clip(lower=zero), data["upper"].clip(lower=zero)
    hidden = _has_limit(data) and bool((data["lower"] < zero).any())
    axis.fill_between(dims, zero if hidden else lower, upper, color=colour, alpha=0.22, lw=0)
    axis.plot(dims, upper, color=colour, lw=1.2, label="proved upper bound")
    if hidden:
        text = f"proved for all heads: at least {data['lower'].min():.0e} to {data['lower'].max():.0e}"
        axis.annotate(text, (0.06, 0.04), xycoords="axes fraction", fontsize=6.5, color=COLOURS["predicted"])
        return
    shown = data["lower"] > SMALLEST
    name = "proved lower bound, all heads" if _has_limit(data) else "proved lower bound"
    axis.plot(dims[shown], lower[shown], color=colour, lw=1.2, ls="--", label=name)


def _limited(axis: Any, data: Any, zero: float) -> None:
    """Fits inside the limited class and the bound below them."""
    if not _has_limit(data):
        return
    colour, rows = COLOURS["limited"], data[data["limited_gap"].notna()]
    name = rf"$q \geq e^{{-{data['limit'].iloc[0]:g}}} p$"
    axis.plot(
        rows["dim"], rows["limited_gap"].clip(lower=zero), "D-", color=colour, lw=0.9, ms=3.2, mfc="white", zorder=3.5,
        label=f"fitted inside {name}",
    )  # fmt: skip
    lower = data["limited_lower"].clip(lower=zero)
    axis.fill_between(
        rows["dim"], lower[rows.index], rows["limited_gap"].clip(lower=zero), color=colour, alpha=0.15, lw=0
    )
    proves = data["limited_lower"] > zero
    axis.plot(
        data["dim"][proves], lower[proves], "^--", color=colour, lw=1.2, ms=3.2, label=f"proved lower bound, {name}"
    )


def _has_limit(data: Any) -> bool:
    return "limit" in data and bool(data["limit"].notna().any())


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
    limited = ["limited_gap", "limited_lower"] if _has_limit(data) else []
    foot = _smallest(data[["gap", "upper", *limited]])
    every = _smallest(data[["gap", "upper", "lower", *limited]])
    return (max(every, SIGHT * foot) if limited else every) / 3


def _smallest(columns: Any) -> float:
    """The smallest value that is drawn above the line of zero."""
    values = columns.to_numpy(dtype=float).ravel()
    values = values[(values > SMALLEST) & (values < float("inf"))]
    return float(values.min()) if len(values) else SMALLEST


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
    ticks = [tick for tick in LogLocator(numticks=8).tick_values(low, high) if 2.5 * low <= tick <= high]
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
