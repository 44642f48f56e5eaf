"""The panels of the page of ``rankfloor lm measure``: each draws one table on one pair of axes, nulls in grey."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Tables = Mapping[str, Any]

MATRICES = {"head W": "#0072B2", "centred J W": "#009E73", "on data J W Σ^½": "#E69F00", "logits Q A J": "#D55E00"}
"""Okabe and Ito's palette, one colour per matrix."""

NAMES = {
    "head W": "head $W$", "centred J W": "centred $JW$", "on data J W Σ^½": r"on data $JW\Sigma^{1/2}$",
    "logits Q A J": "logits less mean $QAJ$",
}  # fmt: skip
NULL = "#8a8a8a"
DASH = (0, (3, 1.5))


@dataclass(frozen=True)
class Panel:
    """A title, what draws it, and the tables and kinds of rows it needs."""

    title: str
    draw: Callable[[Any, Tables, Mapping[str, Any]], None]
    needs: frozenset[str] = field(default_factory=frozenset)


def present(tables: Tables) -> frozenset[str]:
    """Names of the tables there are, and ``states`` where something was measured on states."""
    states = {"states"} if (tables["spectra"]["matrix"] == "logits Q A J").any() else set()
    return frozenset(set(tables) | states)


def head_spectra(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """The head and the centred head, each divided by its root mean square, and Marchenko and Pastur's law."""
    spectra = tables["spectra"]
    for matrix, width in (("head W", 2.0), ("centred J W", 1.1)):  # they coincide where rows have mean zero
        own = spectra[spectra["matrix"] == matrix]
        scale = (own["sigma"] ** 2).mean() ** 0.5
        axis.plot(own["i"], own["sigma"] / scale, color=MATRICES[matrix], lw=width, label=NAMES[matrix])
    axis.plot(own["i"], own["marchenko_pastur"] / scale, color=NULL, lw=1, ls=DASH, label="Marchenko–Pastur")
    _spectral_axes(axis)


def data_spectra(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """What the head makes of the states, beside Gaussian heads on the same states."""
    spectra = tables["spectra"]
    for matrix in ("on data J W Σ^½", "logits Q A J"):
        own = spectra[spectra["matrix"] == matrix]
        scale = (own["sigma"] ** 2).mean() ** 0.5
        axis.plot(own["i"], own["sigma"] / scale, color=MATRICES[matrix], lw=1.3, label=NAMES[matrix], zorder=3)
        label = "Gaussian head, same states" if matrix == "logits Q A J" else None
        axis.plot(own["i"], own["null"] / scale, color=NULL, lw=2.4, alpha=0.45, label=label)
    axis.plot(own["i"], own["marchenko_pastur"] / scale, color=NULL, lw=1, ls=DASH, label="Marchenko–Pastur")
    _spectral_axes(axis)


def entropies(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """Singular entropies in both normalisations."""
    _dots(
        axis,
        tables,
        {"singular entropy of σ (nats)": r"of $\sigma$", "singular entropy of σ² (nats)": r"of $\sigma^2$"},
    )
    axis.set_xlabel("divergence from a flat spectrum (nats)")


def ranks(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """Effective ranks."""
    shown = {
        "effective rank exp H(σ)": r"exp $H(\sigma)$", "participation ratio of σ²": "participation",
        "stable rank": "stable rank", "dimensions for 90 % of ‖·‖²": "dims, 90 %",
    }  # fmt: skip
    _dots(axis, tables, shown)
    axis.axvline(facts["dim"], color="#cccccc", lw=0.6, zorder=0)
    axis.set_xlabel(f"dimensions (line: D = {facts['dim']})")


def anisotropy(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """Mean cosine by layer; the last place, which the head multiplies, is set apart."""
    rows = tables["measures"]
    own = rows[rows["measure"] == "anisotropy (mean cosine)"].reset_index(drop=True)
    at = range(len(own))
    axis.errorbar(
        list(at)[:-1], own["value"][:-1], yerr=2 * own["stderr"][:-1], color="#0072B2", lw=1, marker="o", ms=2.5,
        elinewidth=0.8, label="layers",
    )  # fmt: skip
    axis.errorbar(
        [len(own) - 1], own["value"][-1:], yerr=2 * own["stderr"][-1:], color="#D55E00", marker="D", ms=4,
        elinewidth=0.8, ls="", label="after the final norm",
    )  # fmt: skip
    axis.axhline(0, color=NULL, lw=1, ls=DASH, label=f"isotropic (sd {own['null_spread'].iloc[0]:.0e})")
    axis.set_xlabel("layer (0: embedding)")
    axis.set_ylabel("mean cosine")
    axis.set_ylim(min(-0.03, own["value"].min() - 0.05), 1.02)
    axis.legend(frameon=False)


def frequency(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """The top singular vector of the centred head on the tokens of the text, against how often they occur."""
    table, rows = tables["frequency"], tables["measures"]
    scale = facts["vocab"] ** 0.5
    axis.hexbin(
        table["count"], table["centred"] * scale, gridsize=42, xscale="log", bins="log", cmap="Greens", mincnt=1,
        linewidths=0.1,
    )  # fmt: skip
    middle = table.assign(bin=(table["count"].map(lambda n: n.bit_length()))).groupby("bin")
    centres = middle.median()
    kept = middle.size() >= 5
    axis.plot(
        centres["count"][kept], centres["centred"][kept] * scale, "-o", color="black", lw=1, ms=2.5, label="median"
    )
    axis.set_xscale("log")
    axis.set_xlabel(f"count in the text ({len(table):,} tokens occur)")
    axis.set_ylabel(r"$\sqrt{V}\,u_1$ of $JW$")
    found = rows[rows["measure"].str.startswith("|correlation|")]
    lines = [f"{NAMES[row.of]}: |r| = {row.value:.3f}" for row in found.itertuples()]
    lines.append(f"counts permuted: {found['null'].iloc[0]:.3f}")
    axis.text(0.98, 0.03, "\n".join(lines), transform=axis.transAxes, ha="right", va="bottom", fontsize=6.5)


def gradient(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """Energy of the logit gradient in the first k singular directions of W."""
    table, rows = tables["gradient"], tables["measures"]
    axis.plot(table["k"], table["share"], color="#0072B2", lw=1.3, label="this model")
    axis.plot(table["k"], table["null"], color=NULL, lw=1, ls=DASH, label="isotropic gradient, about $k/V$")
    own = rows[rows["measure"].str.startswith("share of the logit gradient's energy")].iloc[0]
    norm = rows[rows["measure"].str.startswith("share of the logit gradient's norm")].iloc[0]
    axis.errorbar(
        table["k"].iloc[-1], own["value"], yerr=2 * own["stderr"], color="#0072B2", marker="o", ms=3, elinewidth=0.8
    )
    _logarithmic(axis, "x", "y")
    axis.set_xlabel("first k singular directions of $W$")
    axis.set_ylabel("share of gradient energy")
    axis.text(
        0.98, 0.05, f"all D: energy {own['value']:.3f} (null {own['null']:.3f})\nnorm {norm['value']:.3f} "
        f"(null {norm['null']:.3f})", transform=axis.transAxes, ha="right", va="bottom", fontsize=6.5,
    )  # fmt: skip
    axis.legend(frameon=False, loc="upper left")


def reach(axis: Any, tables: Tables, facts: Mapping[str, Any]) -> None:
    """Random sets put on top by the state of least norm, beside a Gaussian head, and tokens that never win."""
    rows = tables["measures"]
    sets = rows[rows["measure"].str.endswith("-sets on top")]
    sizes = sets["measure"].str.extract(r"(\d+)-sets")[0].astype(int)
    axis.plot(sizes, sets["null"], color=NULL, lw=1, ls=DASH, label="Gaussian head, exact")
    axis.errorbar(
        sizes,
        sets["value"],
        yerr=2 * sets["stderr"],
        color="#0072B2",
        marker="o",
        ms=3,
        lw=1,
        elinewidth=0.8,
        label="this head",
    )
    axis.set_xscale("log", base=2)
    ticks = [m for m in (1, 2, 4, 8, 16, 32, 64) if sizes.min() <= m <= sizes.max()]
    axis.set_xticks(ticks, [str(m) for m in ticks])
    axis.set_ylim(-0.03, 1.05)
    axis.set_xlabel("size m of a random set of tokens")
    axis.set_ylabel("share of sets on top (at least)")
    axis.text(
        0.03, 0.32, f"{len(facts['never'])} of {facts['sampled']:,} random tokens\nproved never to win",
        transform=axis.transAxes, fontsize=6.5, va="bottom",
    )  # fmt: skip
    axis.legend(frameon=False, loc="lower left")


def _logarithmic(axis: Any, *which: str) -> None:
    """Log scales with ticks named at powers of ten only, and at 2 and 5 times one where the range is short."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    for name in which:
        one = getattr(axis, f"{name}axis")
        getattr(axis, f"set_{name}scale")("log")
        one.set_minor_formatter(NullFormatter())
        low, high = sorted(getattr(axis, f"get_{name}lim")())
        if high < 10 * low:
            one.set_major_locator(LogLocator(subs=(1, 2, 5)))
            one.set_major_formatter(ScalarFormatter())


def _spectral_axes(axis: Any) -> None:
    _logarithmic(axis, "x", "y")
    axis.set_xlabel("index i")
    axis.set_ylabel(r"$\sigma_i$ / root mean square")
    axis.legend(frameon=False)


def _dots(axis: Any, tables: Tables, shown: Mapping[str, str]) -> None:
    """One line of dots per measure: filled the matrices, open their nulls, in the same colour and joined."""
    rows = tables["measures"]
    for line, measure in enumerate(shown):
        own = rows[rows["measure"] == measure]
        for place, row in enumerate(own.itertuples()):
            height, colour = line + 0.17 * (place - (len(own) - 1) / 2), MATRICES[str(row.of)]
            axis.plot([row.null, row.value], [height, height], color=NULL, lw=0.6, zorder=1)
            axis.plot(row.null, height, "o", ms=3.2, mfc="white", mec=NULL, mew=0.9, zorder=2)
            axis.errorbar(
                row.value, height, xerr=2 * row.stderr if row.stderr == row.stderr else None, fmt="o", ms=3.6,
                color=colour, elinewidth=0.8, zorder=3,
            )  # fmt: skip
    axis.set_yticks(range(len(shown)), shown.values())
    axis.set_ylim(len(shown) - 0.4, -0.6)
    _logarithmic(axis, "x")


PANELS = (
    Panel("Spectrum of the head", head_spectra),
    Panel("Spectrum on the text", data_spectra, frozenset({"states"})),
    Panel("Singular entropy", entropies),
    Panel("Effective ranks", ranks),
    Panel("Anisotropy by layer", anisotropy, frozenset({"states"})),
    Panel("Top direction and token frequency", frequency, frozenset({"frequency"})),
    Panel("Logit gradient passed back", gradient, frozenset({"gradient"})),
    Panel("Sets of tokens on top", reach),
)
"""The page, in reading order."""
