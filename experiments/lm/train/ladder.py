"""All widths of a ladder, one after another, and the tables made of their logs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from experiments.atomic import replacing, write
from experiments.lm.train import data
from experiments.lm.train.checkpoints import load_checkpoint
from experiments.lm.train.config import TrainConfig, parameters, training_flops, validate
from experiments.lm.train.log import Log
from experiments.lm.train.measure import nulls, spike
from experiments.lm.train.model import GPTNeoX
from experiments.lm.train.schedule import checkpoint_steps
from experiments.lm.train.trainer import Ladder, Trainer, finished
from experiments.lm.train.watch import LadderWatch
from experiments.provenance import provenance
from theory.saturation import Finding, Rule, saturation

if TYPE_CHECKING:
    import pandas as pd

RULE = Rule()
"""How a late rise is judged: windows of three checkpoints, from a quarter of training on, at level 0.05."""


def prepare(config: TrainConfig) -> Ladder:
    """The text cut, the folder made, settings and nulls written to ``config.json``.

    Raises ``ValueError`` for settings that make no sense, a text that cannot be used, a folder that cannot be written,
    or a device that is not there.
    """
    validate(config)
    _require_device(config.device)
    folder = config.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write to {folder} ({error.strerror}); choose another --out") from error
    text = data.read(config, folder)
    facts = {
        "config": dataclasses.asdict(config),
        "text": {
            "name": text.name, "tokens": text.tokens, "vocab": text.vocab,
            "training_tokens": text.inputs[text.training].size, "held_out_tokens": text.inputs[text.held_out].size,
        },
        "steps": config.steps,
        "checkpoints": checkpoint_steps(config),
        "nulls": nulls(text, config),
        "provenance": provenance(),
    }  # fmt: skip
    write(folder / "config.json", json.dumps(facts, indent=1, default=str).encode())
    return Ladder(config, text, folder)


def train(ladder: Ladder, progress: LadderWatch) -> list[str]:
    """Train every width that is not finished; returns what a reader should know about those that were resumed."""
    notes = []
    for width in ladder.config.shape.widths:
        if finished(ladder, width):
            progress.skip(width, ladder.config.steps)
            continue
        trainer = Trainer(ladder, width)
        progress.skip(width, trainer.step)
        if trainer.resumed:
            notes.append(trainer.resumed)
        trainer.run(progress.watch)
    return notes


def curves(ladder: Ladder) -> pd.DataFrame:
    """One row per width and checkpoint, as measured; written to ``curves.parquet``."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for width in ladder.config.shape.widths:
        rows += sorted(Log(ladder.width_folder(width) / "log.jsonl").rows, key=lambda row: row["step"])
    table = pd.DataFrame(rows)
    _store(table, ladder.folder / "curves.parquet")
    return table


def judge(ladder: Ladder, measured: pd.DataFrame, rule: Rule = RULE) -> pd.DataFrame:
    """One row per width: what its training did in the end; written to ``saturation.parquet``.

    The fields of :class:`theory.saturation.Saturation` for the held-out loss, ``train_finding`` and ``train_rise`` for
    the loss on training text, and ``reading``: a late rise on held-out text alone is memorisation of a repeated text,
    only one on both is what large corpora seen once call saturation.  ``spike_share`` and ``spike_frequency`` are those
    of :func:`experiments.lm.train.measure.spike` at the last checkpoint.
    """
    import pandas as pd

    rows = []
    for width, run in measured.groupby("width"):
        held = saturation(run["tokens"], run["held_out"], run["held_out_stderr"], rule)
        seen = saturation(run["tokens"], run["train"], run["train_stderr"], rule)
        size = parameters(int(str(width)), ladder.config.shape)
        share, frequency = spike(_last_head(ladder, int(str(width)), int(run["step"].iloc[-1])), ladder.text)
        flat = {key: value for key, value in asdict(held).items() if key != "trend"}
        rows.append(
            {
                "width": width, **size, "flops_per_token": training_flops(int(str(width)), ladder.config.shape),
                "tokens_per_parameter": run["tokens"].iloc[-1] / sum(size.values()), **flat,
                "finding": held.finding.value, "late_tau": held.trend.tau, "late_p": held.trend.p_value,
                "train_finding": seen.finding.value, "train_rise": seen.rise,
                "reading": reading(held.finding, seen.finding), "spike_share": share, "spike_frequency": frequency,
                "seconds": run["seconds"].iloc[-1],
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    _store(table, ladder.folder / "saturation.parquet")
    return table


def _last_head(ladder: Ladder, width: int, step: int) -> np.ndarray:
    """The head (V, d) of a stored checkpoint, in float64."""
    model = GPTNeoX(width, ladder.config.shape)
    load_checkpoint(ladder.width_folder(width), step, model)
    return model.embed_out.weight.detach().double().numpy()


def reading(held_out: Finding, train: Finding) -> str:
    """What the two findings say together."""
    if held_out is Finding.TOO_SHORT:
        return "too few checkpoints"
    if held_out is not Finding.RISES:
        return "does not saturate"
    return "saturates: both losses rise" if train is Finding.RISES else "overfits: only the held-out loss rises"


def _require_device(name: str) -> None:
    try:
        torch.empty(1, device=torch.device(name))
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device {name!r} is not there ({str(error).splitlines()[0]}); use --device cpu, or cuda "
            "where there is a GPU"
        ) from error


def _store(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as stream:
        table.to_parquet(stream, index=False)
