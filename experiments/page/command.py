"""``rankfloor report`` and ``rankfloor figure``: what a store has to show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.page.assemble import page_of
from experiments.studies import Store


@dataclass(frozen=True)
class ReportConfig:
    """Write one self-contained HTML page of a study: verdicts, figure, tables that sort, provenance."""

    store: Annotated[Path, tyro.conf.Positional]
    """Folder of a study's results."""
    out: Path | None = None
    """File to write; by default report.html in the store."""


@dataclass(frozen=True)
class FigureConfig:
    """Draw the figure of a study from its store alone: PNG, PDF and the numbers as CSV."""

    store: Annotated[Path, tyro.conf.Positional]
    """Folder of a study's results."""
    out: Path | None = None
    """Stem of the files; by default figure in the store."""


def report(arguments: list[str]) -> int:
    """``rankfloor report``; returns 1 when a bound is violated."""
    config = tyro.cli(ReportConfig, args=arguments, prog="rankfloor report")
    page = page_of(Store(config.store))
    path = config.out or config.store / "report.html"
    page.save(path)
    print(f"{page.verdict.sentence}\nreport: {path}")
    return int(bool(page.verdict.violated))


def figure(arguments: list[str]) -> None:
    """``rankfloor figure``.  ``ValueError`` for a study without a figure or without records."""
    from experiments.figures.studies import figure_names, figure_of

    config = tyro.cli(FigureConfig, args=arguments, prog="rankfloor figure")
    store = Store(config.store)
    name = str(store.plan.study["name"])
    draw, records = figure_of(name), store.frame()
    if draw is None:
        raise ValueError(f"the study {name!r} has no figure; studies with one are {', '.join(figure_names())}")
    if not len(records):
        raise ValueError(f"{config.store} holds no records yet; run the study first")
    drawn = draw(records)
    print(drawn.caption)
    print("figure:  " + "  ".join(map(str, drawn.save(config.out or config.store / "figure"))))
