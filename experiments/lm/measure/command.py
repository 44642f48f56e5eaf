"""``rankfloor lm measure MODEL --text FILE``: one table and one page of figures, every number beside its null."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from experiments.config import EMBEDDED
from experiments.lm.corpus import moby_dick, read_text
from experiments.lm.measure.everything import SLICES, Effort, measure
from experiments.lm.measure.table import report, write
from experiments.provenance import provenance


@dataclass(frozen=True)
class MeasureConfig:
    """Which model, on which text, how much of it, and where the results go."""

    model: Annotated[str, tyro.conf.Positional]
    """A hub id, a model folder, a .gguf file, smollm2, or a .safetensors file with a head alone."""
    text: str = EMBEDDED
    """A text file (.txt or .gz), a folder of .txt files, sotu (once fetched), or moby-dick for the embedded one."""
    effort: Annotated[Effort, tyro.conf.arg(name="")] = field(default_factory=Effort)
    """How much is sampled."""
    out: Path = Path("runs/lm-measure")
    """Folder for the tables and the figure."""


def command(arguments: list[str]) -> None:
    """Load, measure, print the table, write parquet, CSV, JSON and figure."""
    config = tyro.cli(
        MeasureConfig,
        args=arguments,
        prog="rankfloor lm measure",
        description="Spectra, anisotropy, alignment with token frequency, gradient share and reachability of a "
        "language model's head, every number beside its null.",
    )
    text = text_of(config.text)
    from experiments.lm.load import load

    model = load(config.model)
    tokens = None if model.body is None else model.encode(text)
    measured = measure(model, tokens, config.effort, _say)
    facts = {
        "model": model.name, "caveats": model.caveats, "text": Path(config.text).stem, "slices": SLICES,
        "text_tokens": None if tokens is None else len(tokens), "effort": asdict(config.effort),
        "provenance": provenance(),
    }  # fmt: skip
    print(report(measured, facts), flush=True)
    paths = write(measured, facts, config.out)
    from experiments.figures.measure import draw

    drawn = draw(config.out, config.out / "measure")
    print("results: " + "  ".join(map(str, paths)) + "\nfigure:  " + "  ".join(map(str, drawn)))


def text_of(source: str) -> str:
    """The text that ``source`` names; the files of a folder one after the other as they are, by name."""
    if source == EMBEDDED:
        return moby_dick()
    from experiments.lm.fetch import fetched

    path = fetched(source) if source == "sotu" else Path(source)
    if not path.is_dir():
        return read_text(path)
    files = sorted(path.glob("*.txt"))
    if not files:
        raise ValueError(f"the folder {path} holds no .txt file; name a text file, or a folder of them")
    return "".join(map(read_text, files))


def _say(what: str) -> None:
    """What is being computed, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{what:40}", end="", file=sys.stderr, flush=True)
