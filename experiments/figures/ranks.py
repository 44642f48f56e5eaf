"""Heads of growing rank on frozen features: loss by rank, loss by W-error, the prediction, the size of the sample.

Reads ``curve.parquet``, ``heads.parquet`` and ``config.json`` of a run of ``rankfloor lm ranks``.  The first two panels
mirror Figures 6 and 8 of Godey, de la Clergerie & Sagot (2024).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.figures.style import COLUMN, house_style, save

STYLES: dict[str, tuple[str, str, str]] = {
    "trained": ("#0072B2", "o", "trained"),
    "predicted": ("#6b6b6b", "none", "two secant steps"),
    "unigram": ("#009E73", "none", "truncated, unigram metric"),
    "information": ("#CC79A7", "none", "truncated, information metric"),
    "whitened": ("#E69F00", "none", "truncated, whitened"),
    "raw": ("#D55E00", "none", "truncated SVD of W"),
    "literal": ("#000000", "x", "the paper's recipe"),
}
"""Colour, marker and label of each head."""

VISIBLE = 1e-6
"""Divergence in nats below which a head is the full one, as far as the passes tell, and left out of a log scale."""


def draw(folder: Path, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf from the tables in ``folder``; returns the paths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    curve, heads = pd.read_parquet(folder / "curve.parquet"), pd.read_parquet(folder / "heads.parquet")
    facts = json.loads((folder / "config.json").read_text())
    main = curve["contexts"].mode().iloc[0]
    own, lines = curve[curve["contexts"] == main].sort_values("rank"), heads[heads["contexts"] == main]
    with house_style():
        figure, axes = plt.subplots(2, 2, figsize=(2.1 * COLUMN, 5.2), layout="constrained")
        _by_rank(axes[0, 0], lines)
        _by_w_error(axes[0, 1], own, lines)
        _predicted(axes[1, 0], own, lines)
        for axis in axes[:, 0]:
            _tick(axis, sorted(own["rank"]))
        if curve.groupby("rank")["contexts"].nunique().max() > 1:
            _by_size(axes[1, 1], curve, heads)
        else:
            axes[1, 1].axis("off")
        for axis in axes.flat:
            axis.spines[["top", "right"]].set_visible(False)
        caveats = f" ({'; '.join(facts['caveats'])})" if facts["caveats"] else ""
        figure.suptitle(
            f"{facts['name']}{caveats}, V = {facts['vocab']:,}, D = {facts['dim']}; fitted on {main:,} contexts, "
            f"{facts['held_out']:,} held out",
            fontsize=7,
        )
        return save(figure, stem)


def _tick(axis: Any, ranks: list[int]) -> None:
    """Name the ranks that were fitted on a logarithmic axis."""
    axis.set_xticks(ranks, [str(rank) for rank in ranks])
    axis.set_xticks([], minor=True)


def _by_rank(axis: Any, lines: Any) -> None:
    """Figure 6: cross-entropy of the next token, held out, by rank."""
    full = lines[lines["head"] == "full"]["out_loss"].iloc[0]
    top = lines[lines["head"].isin(["trained", "unigram"])]["out_loss"].max() + 1  # above it, the legend
    for name, (colour, marker, label) in STYLES.items():
        own = lines[lines["head"] == name].sort_values("rank")
        if not len(own):
            continue
        shown = own["out_loss"].where(own["out_loss"] <= top)
        axis.errorbar(
            own["rank"], shown, own["out_loss_stderr"], color=colour, ms=3, lw=1, label=label + _beyond(own, top),
            marker=marker if shown.notna().sum() > 1 else "o",
        )  # fmt: skip
    axis.axhline(full, color="#999999", lw=0.8, ls="--", label="full head")
    axis.set(xscale="log", xlabel="rank r", ylabel="loss held out, nats per token", ylim=(full - 0.2, top + 1))
    axis.set_title("loss by rank (their Figure 6)", loc="left")
    axis.legend(frameon=False, fontsize=5.5)


def _beyond(own: Any, top: float) -> str:
    """What the legend says of losses above the axis."""
    least, most = own["out_loss"].min(), own["out_loss"].max()
    if most <= top:
        return ""
    return f" (off the axis, from {least:.1f})" if least > top else f" (up to {most:.1f})"


def _by_w_error(axis: Any, own: Any, lines: Any) -> None:
    """Figure 8: loss of the trained heads by the W-error of the full head at their rank, in four metrics."""
    trained = lines[lines["head"] == "trained"].sort_values("rank")
    for name in ("raw", "whitened", "unigram", "information"):
        colour = STYLES[name][0]
        axis.plot(own[f"werror_{name}"], trained["out_loss"], color=colour, marker="o", ms=3, lw=1, label=name)
    axis.set(xlabel="W-error at rank r", ylabel="loss of the trained head, held out")
    axis.set_title("loss by W-error (their Figure 8)", loc="left")
    axis.legend(frameon=False, title="metric of the W-error", title_fontsize=6)


def _predicted(axis: Any, own: Any, lines: Any) -> None:
    """What was predicted and what was trained: divergence from the full head, in the sample and held out."""
    own = own[own["trained"] > VISIBLE]
    axis.fill_between(
        own["rank"], own["low"], own["upper"], color="#56B4E9", alpha=0.35, lw=0, label="predicted interval"
    )
    axis.plot(own["rank"], own["predicted"], color="#6b6b6b", lw=1, label="predicted")
    axis.plot(own["rank"], own["half_tail_unigram"], color="#009E73", lw=0.8, ls=":", label="half the tail (unigram)")
    axis.plot(own["rank"], own["trained"], color="#0072B2", marker="o", ms=3, lw=0, label="trained, in the sample")
    outside = lines[(lines["head"] == "trained") & lines["rank"].isin(own["rank"])].sort_values("rank")
    if own["out_low"].notna().all() and len(own):
        axis.fill_between(own["rank"], own["out_low"], own["out_high"], color="#E69F00", alpha=0.25, lw=0)
        axis.plot(own["rank"], own["out_predicted"], color="#E69F00", lw=1, label="predicted, held out")
    axis.errorbar(
        outside["rank"], outside["out_kl"], outside["out_kl_stderr"], color="#D55E00", marker="s", ms=3, lw=0,
        elinewidth=1, label="trained, held out",
    )  # fmt: skip
    axis.set(xscale="log", xlabel="rank r", ylabel="divergence from the full head, nats")
    if len(own):  # a sweep of nothing but full heads has nothing for a log scale
        axis.set_yscale("log")
    axis.set_title("predicted without training", loc="left")
    axis.legend(frameon=False, fontsize=5.5, loc="lower left")


def _by_size(axis: Any, curve: Any, heads: Any) -> None:
    """One rank by the number of contexts."""
    ranks = curve.groupby("rank")["contexts"].nunique()
    rank = int(ranks.idxmax())
    own = curve[curve["rank"] == rank].sort_values("contexts")
    for part, colour, label in (("in_kl", "#0072B2", "in the sample"), ("out_kl", "#D55E00", "held out")):
        for name, style in (("trained", "-"), ("unigram", ":")):
            chosen = heads[(heads["rank"] == rank) & (heads["head"] == name)].sort_values("contexts")
            axis.errorbar(
                chosen["contexts"], chosen[part], chosen[f"{part}_stderr"], color=colour, ls=style, marker="o", ms=3,
                lw=1, label=f"{name}, {label}",
            )  # fmt: skip
    if own["out_low"].notna().all():
        axis.fill_between(own["contexts"], own["out_low"], own["out_high"], color="#E69F00", alpha=0.25, lw=0)
        axis.plot(own["contexts"], own["out_predicted"], color="#E69F00", lw=1, label="predicted, held out")
    axis.set(xscale="log", xlabel="contexts fitted on", ylabel="divergence from the full head, nats", ylim=(0, None))
    axis.set_title(f"the size of the sample, r = {rank}", loc="left")
    axis.legend(frameon=False, fontsize=5.5)
