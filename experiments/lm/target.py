"""``rankfloor lm target MODEL``: the floor curve of a real model's own next-token laws, fitted and bounded.

How much of what the model says at C contexts could a head of dimension d express, with hidden states of its own choice?
For a neural model with a linear head the floor is exactly zero at its own dimension D (and at C, if that is less).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from experiments.config import EMBEDDED, FloorConfig, Heads, Solver
from experiments.source import Described

if TYPE_CHECKING:
    from experiments.lm.backoff import BackoffModel
    from experiments.lm.laws import Texted


@dataclass(frozen=True)
class TargetConfig:
    """Which model, at which contexts, over which tokens, and how its curve is fitted."""

    model: Annotated[str | None, tyro.conf.Positional] = None
    """smollm2, a model folder, a .gguf file, or a hub id; pocketsphinx-lm or a .lm.bin file for a back-off model."""
    arpa: Path | None = None
    """A back-off n-gram model in the ARPA format (plain or .gz), instead of MODEL."""
    text: str = EMBEDDED
    """The text whose contexts are taken: a file (.txt or .gz), a folder of .txt files, sotu, or moby-dick."""
    contexts: int = 500
    """Number of contexts C."""
    vocab: int | None = None
    """Condition on this many most probable tokens: another law.  All tokens unless given."""
    window: int = 512
    """Neural models: tokens in a window."""
    seed: int = 0
    """Back-off models: seed of the walk over the text."""
    heads: Heads = field(default_factory=Heads)
    solver: Solver = field(default_factory=Solver)
    out: Path = Path("runs/lm-target")
    """Folder for the results."""


def command(arguments: list[str]) -> None:
    """Fit and bound the curve, print the table, write parquet and figure."""
    config = tyro.cli(
        tyro.conf.OmitArgPrefixes[TargetConfig],
        args=arguments,
        prog="rankfloor lm target",
        description="The floor curve of a real model's own next-token laws at the contexts of a text: how much of them "
        "heads of smaller dimension could express, fitted and bounded from both sides.",
    )
    described = target(config)
    name = described.distribution.known.parameters["model"]
    plan = FloorConfig(heads=config.heads, solver=config.solver, name=str(name))
    from experiments.figures.floor import draw
    from experiments.floor import curve_of
    from experiments.report import account

    curve = curve_of(described, plan, config.out / f"{name}-{_key(config, described)}")
    print(account(curve), flush=True)
    print("figure:  " + "  ".join(map(str, draw([curve.folder], curve.folder / "floor"))))


def target(config: TargetConfig) -> Described:
    """The distribution that ``config`` names.  ``ValueError`` for contradictory choices and whatever cannot be read."""
    if (config.model is None) == (config.arpa is None):
        found = "neither a model nor --arpa" if config.model is None else "both a model and --arpa"
        raise ValueError(f"{found} given; choose one, for instance: rankfloor lm target smollm2")
    from experiments.lm.laws import backoff_target, model_target

    text = _text(config.text)
    backoff = _backoff(config)
    if backoff is not None:
        return backoff_target(*backoff, text, config.contexts, config.vocab, config.seed)
    from experiments.lm.load import load

    return model_target(load(str(config.model)), text, config.contexts, config.vocab, config.window)


def _backoff(config: TargetConfig) -> tuple[str, BackoffModel] | None:
    """Name and back-off model, or ``None`` where a neural one is named."""
    from experiments.lm.arpa import read_arpa
    from experiments.lm.fetch import fetched
    from experiments.lm.sphinx import is_sphinx, read_sphinx

    if config.arpa is not None:
        return config.arpa.name.removesuffix(".gz").removesuffix(".arpa"), read_arpa(config.arpa)
    path = fetched("pocketsphinx-lm") if config.model == "pocketsphinx-lm" else Path(str(config.model))
    if is_sphinx(path):
        return path.name.removesuffix(".bin").removesuffix(".lm"), read_sphinx(path)
    return None


def _text(name: str) -> Texted:
    from experiments.lm.laws import Texted
    from experiments.lm.measure.command import text_of

    return Texted("Moby Dick" if name == EMBEDDED else Path(name).stem, text_of(name))


def _key(config: TargetConfig, described: Described) -> str:
    """Hash of everything the numbers depend on: the laws themselves, the heads and the solver."""
    distribution = described.distribution
    laws = hashlib.sha256(distribution.log_p.tobytes() + distribution.weights.tobytes()).hexdigest()
    parts = {"laws": laws, "heads": dataclasses.asdict(config.heads), "solver": dataclasses.asdict(config.solver)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
