"""Widths along their training: losses, late course, anisotropy, singular entropies and rank of the head, with nulls.

Reads ``curves.parquet``, ``saturation.parquet`` and ``config.json`` of a run of ``rankfloor lm train``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.figures.style import COLUMN, house_style, save
from theory.saturation import Finding

GREY = "#6b6b6b"
NULL = {"ls": (0, (1, 1.5)), "lw": 0.8}
LATE = 0.25
"""Fraction of training from which late rises are tested."""


def draw(folder: Path, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf from the tables in ``folder``; returns the paths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    facts = json.loads((folder / "config.json").read_text())
    curves = pd.read_parquet(folder / "curves.parquet")
    judged = pd.read_parquet(folder / "saturation.parquet").set_index("width")
    runs = {int(str(width)): run.sort_values("tokens") for width, run in curves.groupby("width")}
    with house_style():
        colours = palette(list(runs))
        figure, axes = plt.subplots(2, 3, figsize=(2.1 * COLUMN, 4.2), layout="constrained")
        for panel, axis in zip((losses, late, anisotropy, entropies, ranks, spectra), axes.ravel(), strict=True):
            panel(axis, runs, colours, facts, judged)
            axis.spines[["top", "right"]].set_visible(False)
        _legend(figure, colours)
        return save(figure, stem)


def palette(widths: list[int]) -> dict[int, Any]:
    """From dark to light with the width, readable in grey."""
    import matplotlib as mpl

    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(widths)))
    return dict(zip(widths, shades, strict=True))


def losses(axis: Any, runs: dict[int, Any], colours: dict[int, Any], facts: dict[str, Any], judged: Any) -> None:
    """Held-out (solid) and training loss (dashed) against tokens; the unigram loss."""
    for width, run in runs.items():
        seen = run[run["tokens"] > 0]
        axis.plot(seen["tokens"], seen["held_out"], color=colours[width], lw=1.1)
        axis.plot(seen["tokens"], seen["train"], color=colours[width], lw=0.8, ls=(0, (4, 1.5)))
    axis.axhline(facts["nulls"]["unigram"], color=GREY, **NULL)
    _note(axis, facts["nulls"]["unigram"], "unigram")
    _by_tokens(axis, "loss (nats per token)", "a  loss; on training text dashed")


def late(axis: Any, runs: dict[int, Any], colours: dict[int, Any], facts: dict[str, Any], judged: Any) -> None:
    """Held-out loss above its best in the tested part, with the standard error of scatter; ends are named."""
    for width, run in runs.items():
        tested = run[run["tokens"] >= LATE * run["tokens"].max()]
        x, y = tested["tokens"] / 1e6, tested["held_out"] - tested["held_out"].min()
        scatter = judged.loc[width, "scatter"]
        rises = judged.loc[width, "finding"] == Finding.RISES.value
        axis.fill_between(x, y - scatter, y + scatter, color=colours[width], alpha=0.2, lw=0)
        axis.plot(x, y, color=colours[width], lw=1.6 if rises else 0.9)
        if rises:
            axis.plot(x.iloc[int(np.argmin(y))], 0.0, "o", color=colours[width], mfc="white", ms=4, zorder=4)
    axis.set_ylim(bottom=-0.005)
    axis.set_xlabel("tokens seen (millions)")
    axis.set_ylabel("held out, above its best (nats)")
    axis.set_title("b  late course; ring: rises again", loc="left")


def anisotropy(axis: Any, runs: dict[int, Any], colours: dict[int, Any], facts: dict[str, Any], judged: Any) -> None:
    """Of what the head multiplies, on held-out text."""
    for width, run in runs.items():
        seen = run[run["tokens"] > 0]
        axis.plot(seen["tokens"], [depths[-1] for depths in seen["anisotropy"]], color=colours[width], lw=1.1)
    by_token = facts["nulls"]["by_token"]
    axis.axhline(by_token, color=GREY, **NULL)
    _note(axis, by_token, "a direction per token")
    axis.set_ylim(0, 1)
    _by_tokens(axis, "mean pairwise cosine", "c  anisotropy, last layer")


def entropies(axis: Any, runs: dict[int, Any], colours: dict[int, Any], facts: dict[str, Any], judged: Any) -> None:
    """Singular entropy of sigma (dashed) and sigma^2 (solid), with those of Gaussian heads (dotted)."""
    for width, run in runs.items():
        seen = run[run["tokens"] > 0]
        axis.plot(seen["tokens"], seen["energy_entropy"], color=colours[width], lw=1.1)
        axis.plot(seen["tokens"], seen["singular_entropy"], color=colours[width], lw=0.8, ls=(0, (4, 1.5)))
        axis.axhline(_null(facts, "energy_entropy", width), color=colours[width], **NULL)
    axis.set_yscale("log")
    _by_tokens(axis, "KL from uniform (nats)", "d  singular entropy of W; σ dashed")


def ranks(axis: Any, runs: dict[int, Any], colours: dict[int, Any], facts: dict[str, Any], judged: Any) -> None:
    """Entropy rank over d of the head as it is (solid) and without its mean over tokens (dashed)."""
    for width, run in runs.items():
        seen = run[run["tokens"] > 0]
        axis.plot(seen["tokens"], seen["entropy_rank"] / width, color=colours[width], lw=1.1)
        axis.plot(seen["tokens"], seen["entropy_rank_centred"] / width, color=colours[width], lw=0.8, ls=(0, (4, 1.5)))
        axis.axhline(_null(facts, "entropy_rank", width) / width, color=colours[width], **NULL)
    axis.set_ylim(0, 1.03)
    _by_tokens(axis, "effective rank / d", "e  rank of W; centred dashed")


def spectra(axis: Any, runs: dict[int, Any], colours: dict[int, Any], facts: dict[str, Any], judged: Any) -> None:
    """Singular values over the largest: at the end (solid) and before training (dotted)."""
    for width, run in runs.items():
        for place, style in ((-1, {"lw": 1.1}), (0, NULL)):
            sigma = np.asarray(run["sigma"].iloc[place])
            axis.plot((np.arange(width) + 0.5) / width, sigma / sigma[0], color=colours[width], **style)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("i / d")
    axis.set_ylabel("σᵢ / σ₁")
    axis.set_title("f  σ of W; initial dotted", loc="left")


def _null(facts: dict[str, Any], name: str, width: int) -> float:
    """The value of a measure for a Gaussian head of this width."""
    return float(facts["nulls"][name][facts["config"]["shape"]["widths"].index(width)])


def _by_tokens(axis: Any, label: str, title: str) -> None:
    axis.set_xscale("log")
    axis.set_xlabel("tokens seen")
    axis.set_ylabel(label)
    axis.set_title(title, loc="left")


def _note(axis: Any, y: float, text: str) -> None:
    """Name a horizontal line at its left end, inside the axes."""
    axis.annotate(
        text, (0.02, y), (0, 2), xycoords=axis.get_yaxis_transform(), textcoords="offset points", fontsize=6, color=GREY
    )


def _legend(figure: Any, colours: dict[int, Any]) -> None:
    from matplotlib.lines import Line2D

    entries = [Line2D([], [], color=colour, lw=1.2, label=f"d = {width}") for width, colour in colours.items()]
    entries.append(Line2D([], [], color=GREY, label="dotted: null (W Gaussian; σ² in d)", **NULL))  # type: ignore[arg-type]
    figure.legend(handles=entries, loc="outside lower center", ncols=len(entries), frameon=False)
