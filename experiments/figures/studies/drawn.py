"""What the figure of a study is: a drawing, its caption and the numbers in it; found by the name of the study."""

from __future__ import annotations

import base64
import importlib
import io
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.figures.style import house_style, save

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Drawn:
    """A matplotlib figure with its caption, and the table of the numbers that it shows."""

    figure: Any
    caption: str
    data: pd.DataFrame

    def save(self, stem: Path) -> list[Path]:
        """Write ``stem``.png, .pdf and .csv, the numbers in full; returns the paths."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        self.data.to_csv(stem.with_suffix(".csv"), index=False)
        return [*save(self.figure, stem), stem.with_suffix(".csv")]

    def svg(self) -> str:
        """The drawing as the address of an embedded picture; closes the figure."""
        import matplotlib.pyplot as plt

        stream = io.BytesIO()
        self.figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
        plt.close(self.figure)
        return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()


def figure_names() -> list[str]:
    """Names of the studies that have a figure, from the listing of this folder."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(file.name.replace("_", "-") for file in files if file.name not in ("drawn", "parts"))


def figure_of(study: str) -> Callable[[pd.DataFrame], Drawn] | None:
    """The function that draws a study, or ``None`` when it has no figure of its own."""
    name = study.removesuffix("-small")
    if name not in figure_names():
        return None
    draw = importlib.import_module(f"{__package__}.{name.replace('-', '_')}").draw

    def in_style(records: pd.DataFrame) -> Drawn:
        with house_style():
            return draw(records)

    return in_style
