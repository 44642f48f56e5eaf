"""``rankfloor lm train [TEXT]``: train a ladder of widths and measure it along the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tyro

from experiments.lm.train.config import PRESETS, TrainConfig
from experiments.table import align
from synth._check import member

if TYPE_CHECKING:
    import pandas as pd

    from experiments.lm.train.trainer import Ladder


def command(arguments: list[str]) -> None:
    """Train, print the table, write parquet and figure; the same command again goes on where a run was stopped."""
    config = tyro.cli(
        tyro.conf.OmitArgPrefixes[TrainConfig],
        args=arguments,
        default=PRESETS[preset(arguments)],
        prog="rankfloor lm train",
        description="Train small GPT-NeoX language models of growing width on one text, from the same batches, and "
        "measure loss, anisotropy and the spectrum of the head along the way.  --preset sets all defaults at once. "
        "A run that was stopped goes on when the same command is given again.",
    )
    from experiments.figures.training import draw
    from experiments.lm.train import ladder as job
    from experiments.lm.train.watch import LadderWatch

    ladder = job.prepare(config)
    with LadderWatch(config) as progress:
        notes = job.train(ladder, progress)
    measured = job.curves(ladder)
    judged = job.judge(ladder, measured)
    print(report(ladder, measured, judged), flush=True)
    for note in notes:
        print(f"note: {note}")
    paths = draw(ladder.folder, ladder.folder / "training")
    print(f"results: {ladder.folder / 'curves.parquet'}\nfigure:  " + "  ".join(map(str, paths)))


def preset(arguments: list[str]) -> str:
    """The preset named among the arguments, ``tiny`` if none is.  ``ValueError`` for an unknown one."""
    for place, argument in enumerate(arguments):
        if argument == "--preset" and place + 1 < len(arguments):
            return member("preset", arguments[place + 1], PRESETS)
        if argument.startswith("--preset="):
            return member("preset", argument.split("=", 1)[1], PRESETS)
    return "tiny"


def report(ladder: Ladder, measured: pd.DataFrame, judged: pd.DataFrame) -> str:
    """Everything the command says, as text."""
    config, text = ladder.config, ladder.text
    passes = measured["passes"].max()
    return "\n\n".join(
        [
            f"{text.name}: {text.tokens:,} tokens, V = {text.vocab:,}, {len(text.held_out) / len(text.inputs):.0%} "
            f"held out; {config.steps:,} updates of {config.batch_tokens:,} tokens, {passes:.1f} passes over the "
            f"training part; {config.shape.layers} layers",
            _losses(measured, judged),
            _spectra(measured, judged),
            "late rise of the held-out loss, last window of three checkpoints above the best, nats per token; "
            "detectable: the smallest that would be called one\n" + _judgement(judged),
        ]
    )


def _losses(measured: pd.DataFrame, judged: pd.DataFrame) -> str:
    header = ("d", "parameters", "tokens each", "held out", "+-", "best held out", "train", "processor seconds")
    lines = []
    for row in judged.itertuples():
        run = measured[measured["width"] == row.width]
        end = run.iloc[-1]
        lines.append(
            (
                str(row.width), f"{row.body + row.embeddings:,}", f"{row.tokens_per_parameter:.0f}",
                f"{end['held_out']:.3f}", f"{end['held_out_stderr']:.3f}", f"{run['held_out'].min():.3f}",
                f"{end['train']:.3f}", f"{row.seconds:.0f}",
            )
        )  # fmt: skip
    return align([header, *lines])


def _spectra(measured: pd.DataFrame, judged: pd.DataFrame) -> str:
    """Measures at their extreme and at the end; the spike is the largest singular value of the centred head."""
    spikes = judged.set_index("width")
    header = ("d", "anisotropy max", "final", "entropy of sigma final", "of sigma^2 max", "final", "final, centred",
              "effective rank final", "centred", "of features", "spike's share", "with log counts")  # fmt: skip
    lines = []
    for width, run in measured.groupby("width"):
        end, anisotropy = run.iloc[-1], run["anisotropy"].map(lambda depths: depths[-1])
        lines.append(
            (
                str(width), f"{anisotropy.max():.3f}", f"{anisotropy.iloc[-1]:.3f}", f"{end['singular_entropy']:.3f}",
                f"{run['energy_entropy'].max():.3f}", f"{end['energy_entropy']:.3f}",
                f"{end['energy_entropy_centred']:.3f}", f"{end['entropy_rank']:.1f}",
                f"{end['entropy_rank_centred']:.1f}", f"{end['feature_rank']:.1f}",
                f"{spikes.loc[width, 'spike_share']:.2f}", f"{spikes.loc[width, 'spike_frequency']:.2f}",
            )
        )  # fmt: skip
    return align([header, *lines])


def _judgement(judged: pd.DataFrame) -> str:
    from experiments.lm.saturation import p_value

    header = (
        "d",
        "rise",
        "detectable",
        "held out",
        "noise",
        "scatter",
        "p items",
        "p scatter",
        "train rise",
        "reading",
    )
    lines = [
        (
            str(row.width), f"{row.rise:.4f}", f"{row.detectable:.4f}", f"{row.held_out:+.4f}", f"{row.item_noise:.4f}",
            f"{row.scatter:.4f}", p_value(row.p_items), p_value(row.p_scatter), f"{row.train_rise:.4f}", row.reading,
        )
        for row in judged.itertuples()
    ]  # fmt: skip
    return align([header, *lines], left={9})
