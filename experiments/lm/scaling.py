"""``rankfloor lm scaling [POINTS.csv]``: the same losses under both ways of counting parameters, side by side.

A law is fitted to the models from ``smallest`` parameters on (in total), extrapolated to the smaller ones, and refitted
without each fitted model in turn.  Positive gaps are losses above the law.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from experiments.table import align
from theory.scaling import GODEY, HOFFMANN, Count, Law, fit_law, leave_one_out, relative_gaps

if TYPE_CHECKING:
    import pandas as pd

DIGITISED = Path(__file__).parent / "data" / "godey2024-figure1.csv"
COLUMNS = ("model", "layers", "width", "vocab", "tokens", "loss")


@dataclass(frozen=True)
class ScalingConfig:
    """Which losses, which models are fitted, and which constants are kept."""

    points: Annotated[Path | None, tyro.conf.Positional] = None
    """CSV with columns model, layers, width, vocab, tokens, loss and perhaps best_loss (nats per token); without one,
    the points read off Figure 1b of Godey et al. (2024)."""
    smallest: float = 4e8
    """Models with at least this many parameters in total are fitted; the others are extrapolated to."""
    free: bool = False
    """Fit B, beta and E as well, instead of keeping Hoffmann's."""
    out: Path = Path("runs/lm-scaling")
    """Folder for the tables and the figure."""


def command(arguments: list[str]) -> None:
    """Fit, print the comparison, write parquet and figure."""
    config = tyro.cli(
        ScalingConfig,
        args=arguments,
        prog="rankfloor lm scaling",
        description="Scaling laws in Hoffmann's form through final losses, by total and by non-embedding parameters.",
    )
    points = read_points(config.points or DIGITISED)
    models, laws = compare(points, config.smallest, None if config.free else HOFFMANN)
    print(report(models, laws, config), flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    models.to_parquet(config.out / "scaling.parquet")
    laws.to_parquet(config.out / "laws.parquet")
    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    from experiments.figures.scaling import draw

    paths = draw(config.out, config.out / "scaling")
    print(f"results: {config.out / 'scaling.parquet'}\nfigure:  " + "  ".join(map(str, paths)))


def read_points(path: Path) -> pd.DataFrame:
    """The points of a CSV file, lines that start with ``#`` left out.  ``ValueError`` for missing columns or values."""
    import pandas as pd

    try:
        points = pd.read_csv(path, comment="#")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"cannot read the points {path} ({error}); give a CSV with columns {', '.join(COLUMNS)}"
        ) from None
    missing = [name for name in COLUMNS if name not in points.columns]
    if missing:
        raise ValueError(f"{path} lacks the column {missing[0]}; needed are {', '.join(COLUMNS)}")
    bad = points[list(COLUMNS)].isna().any(axis=1)
    if points.empty or bad.any():
        what = "no model" if points.empty else f"an empty cell in the row of {points.loc[bad, 'model'].iloc[0]}"
        raise ValueError(f"{path} has {what}; fill every column of {', '.join(COLUMNS)}")
    return points.assign(best_loss=points.get("best_loss", np.nan))


def compare(points: pd.DataFrame, smallest: float, keep: Law | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit each convention; one row per model and convention, and one row per law (left-out refits included).

    Models: convention, model, N, T, loss, best_loss, fitted, predicted, gap, best_gap, and ``gap_low``, ``gap_high``
    over the refits.  Laws: convention, left_out ("" for the full fit), A, alpha, B, beta, E, rms (relative, of the
    fitted models).
    """
    import pandas as pd

    shapes = points[["layers", "width", "vocab"]].itertuples(index=False)
    total = np.array([Count.TOTAL.parameters(*map(int, shape)) for shape in shapes], dtype=float)
    fitted = total >= smallest
    if not fitted.any():
        raise ValueError(
            f"the largest model has {total.max():.3g} parameters; lower --smallest, which is {smallest:.3g}"
        )
    T, loss = points["tokens"].to_numpy(float), points["loss"].to_numpy(float)
    models, laws = [], []
    for count in Count:
        shapes = points[["layers", "width", "vocab"]].itertuples(index=False)
        N = np.array([count.parameters(*map(int, shape)) for shape in shapes], dtype=float)
        law = fit_law(N[fitted], T[fitted], loss[fitted], keep)
        refits = leave_one_out(N[fitted], T[fitted], loss[fitted], keep)
        gaps = np.array([relative_gaps(each.law, N, T, loss) for each in refits])
        models.append(
            points.assign(
                convention=count.value, N=N, T=T, fitted=fitted, predicted=law(N, T),
                gap=relative_gaps(law, N, T, loss), best_gap=points["best_loss"] / law(N, T) - 1,
                gap_low=gaps.min(axis=0), gap_high=gaps.max(axis=0),
            )
        )  # fmt: skip
        names = points["model"].to_numpy()[fitted]
        for left_out, each in [("", law), *((str(names[refit.index]), refit.law) for refit in refits)]:
            error = relative_gaps(each, N[fitted], T[fitted], loss[fitted])
            laws.append(
                {
                    "convention": count.value,
                    "left_out": left_out,
                    **asdict(each),
                    "rms": float(np.sqrt(np.mean(error**2))),
                }
            )
    return pd.concat(models, ignore_index=True), pd.DataFrame(laws)


def report(models: pd.DataFrame, laws: pd.DataFrame, config: ScalingConfig) -> str:
    """The comparison as text."""
    kept = "all constants free" if config.free else f"B = {HOFFMANN.B}, beta = {HOFFMANN.beta}, E = {HOFFMANN.E} kept"
    parts = [f"L(N, T) = A / N^alpha + B / T^beta + E, {kept}; fitted from {config.smallest:.3g} parameters on"]
    parts += [_law_lines(models, laws, count) for count in Count]
    parts.append(_side_by_side(models))
    if config.points is None:
        total = models[models["convention"] == Count.TOTAL.value]
        small = total[~total["fitted"]]
        theirs = relative_gaps(GODEY, total["N"], total["T"], total["loss"])[~total["fitted"].to_numpy()]
        best = (small["best_loss"] / GODEY(small["N"].to_numpy(), small["T"].to_numpy()) - 1).to_numpy()
        parts.append(
            f"with the constants printed in the paper (A = {GODEY.A}, alpha = {GODEY.alpha}, total parameters) the "
            f"smaller models lie {_signed(theirs.mean())} off at their last checkpoint and {_signed(best.mean())} at "
            "their best; the points are read off a figure"
        )
    return "\n\n".join(parts) + "\n"


def _law_lines(models: pd.DataFrame, laws: pd.DataFrame, count: Count) -> str:
    own = laws[laws["convention"] == count.value]
    law, refits = own.iloc[0], own.iloc[1:]
    small = models[(models["convention"] == count.value) & ~models["fitted"]]
    lines = [
        f"{count.value} parameters: A = {law['A']:.2f}, alpha = {law['alpha']:.4f}, E = {law['E']:.3f}; "
        f"rms {law['rms']:.2%} on the {len(refits)} fitted models",
        f"  each fitted model left out in turn: A {refits['A'].min():.1f} to {refits['A'].max():.1f}, "
        f"alpha {refits['alpha'].min():.4f} to {refits['alpha'].max():.4f}",
    ]
    if len(small):
        best = small["best_gap"].mean()
        lines.append(
            f"  mean gap of the {len(small)} smaller models: {_signed(small['gap'].mean())} (left out in turn: "
            f"{_signed(small['gap_low'].mean())} to {_signed(small['gap_high'].mean())})"
            + ("" if np.isnan(best) else f"; at their best checkpoint {_signed(best)}")
        )
    return "\n".join(lines)


def _side_by_side(models: pd.DataFrame) -> str:
    """One line per model: loss, and predicted loss and gap under each convention."""
    header = ["model", "loss", "fitted"]
    first = models[models["convention"] == Count.TOTAL.value]
    lines = [[row.model, f"{row.loss:.3f}", "yes" if row.fitted else ""] for row in first.itertuples()]
    for count in Count:
        header += [f"N ({count.value})", "law", "gap"]
        own = models[models["convention"] == count.value]
        for line, row in zip(lines, own.itertuples(), strict=True):
            line += [f"{row.N:.3g}", f"{row.predicted:.3f}", _signed(row.gap)]
    small = first[~first["fitted"]]["model"]
    means = [models[(models["convention"] == count.value) & ~models["fitted"]]["gap"].mean() for count in Count]
    flips = len(small) > 0 and means[0] * means[1] < 0
    verdict = "\nthe sign of the mean gap of the smaller models depends on what N counts" if flips else ""
    return align([header, *lines], left={0}) + verdict


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}%"
