"""The ``rankfloor`` command: thin.  Each sub-command parses its arguments, calls its job, prints the outcome.

Heavy libraries are imported by the jobs, so that ``--help`` answers at once.  Bad input is one line on standard error
and exit code 2; an interrupt leaves the finished ranks on disk and exits with 130.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = """\
rankfloor: how low can a softmax head of dimension d go?

commands
  floor    fit and bound the floor curve of one distribution
  heads    other kinds of heads beside softmax: mixtures, sigsoftmax, learnt increasing functions
  demo     three floor curves in one figure: a Zipfian law, all 2-subsets of 12 tokens, Moby Dick trigrams
  bounds   list the bounds in the catalogue
  falsify  hunt for a counterexample to a bound of your own: module:function
  gallery  published claims, recomputed and judged
  run      a study: a grid of trials and seeds, run anywhere, kept in a store
  status   what a store holds;  retry: its failed trials again;  export: its tables as csv or parquet
  figure   the figure of a study, from its store;  report: one HTML page of everything in a store
  lm       real language models and real text: see rankfloor lm --help

examples
  rankfloor floor --family zipf --contexts 1000 --vocab 500 --rank 200 --dims 1 2 4 8 16 32 64
  rankfloor floor --corpus book.txt --order 3 --vocab 2048
  rankfloor floor --config configs/zipf.toml --dims 1 2 4
  rankfloor run configs/gap-exponent.toml --small --jobs 2
  rankfloor status runs/gap-exponent-small
  rankfloor retry runs/gap-exponent-small
  rankfloor export runs/gap-exponent-small --format csv
  rankfloor figure runs/gap-exponent-small
  rankfloor report runs/gap-exponent-small
  rankfloor heads --family mixture --components 2 --rank 4 --dims 1 2 4 8 --heads softmax mos sigsoftmax monotonic
  rankfloor lm saturation pythia/evals
  rankfloor falsify mybounds:my_bound --side lower --seconds 60
  rankfloor floor --help
"""


@dataclass(frozen=True)
class Command:
    """A sub-command: its name and the function that takes the remaining arguments."""

    name: str
    run: Callable[[list[str]], int | None]


def floor(arguments: list[str]) -> None:
    """``rankfloor floor``: one floor curve, its table, parquet and figure."""
    import tyro

    from experiments.config import FloorConfig, load_config

    path, rest = _take_config(arguments)
    default = load_config(path) if path is not None else FloorConfig()
    config = tyro.cli(
        tyro.conf.OmitArgPrefixes[FloorConfig],
        args=rest,
        default=default,
        prog="rankfloor floor",
        description="Fit softmax heads of growing dimension to one distribution and bound their floors from both "
        "sides.  --config FILE reads a TOML file first; the flags below override it.",
    )
    from experiments.report import floor_report

    floor_report([config], config.folder / "floor")


def demo(arguments: list[str]) -> None:
    """``rankfloor demo``: the three configurations of ``configs/demo``, one figure."""
    import tyro

    out = tyro.cli(Path, args=arguments, default=Path("runs"), prog="rankfloor demo") if arguments else Path("runs")
    from experiments.demo import configurations
    from experiments.report import floor_report

    floor_report(configurations(out), out / "demo")


def bounds(arguments: list[str]) -> None:
    """``rankfloor bounds``: names, sides and first lines of every bound."""
    if arguments:
        raise ValueError(f"rankfloor bounds takes no arguments, found {arguments[0]!r}; leave it out")
    from theory import catalogue

    width = max(len(entry.name) for entry in catalogue)
    for entry in catalogue:
        print(f"{entry.name:{width}}  {entry.side.value:10}  {entry.summary}")


def falsify(arguments: list[str]) -> int:
    """``rankfloor falsify``: exit code 0 when nothing was found, 1 when the claim is broken."""
    import tyro

    from experiments.falsify_command import FalsifyConfig, run

    return run(tyro.cli(FalsifyConfig, args=arguments, prog="rankfloor falsify"))


def gallery(arguments: list[str]) -> None:
    """``rankfloor gallery [NAME ...]``: published claims, each recomputed and judged."""
    from theory.gallery import gallery as published

    for claim in [published[name] for name in arguments] or published:
        print(claim.account(), flush=True)


def lm(arguments: list[str]) -> None:
    """``rankfloor lm SUB``: the sub-commands of :mod:`experiments.lm.cli`."""
    from experiments.lm.cli import lm as dispatch

    dispatch(arguments)


def deferred(name: str, module: str) -> Command:
    """``rankfloor NAME``: the function of that name in ``module``, imported when it is called."""

    def call(arguments: list[str]) -> int | None:
        from importlib import import_module

        return getattr(import_module(module), name)(arguments)

    return Command(name, call)


COMMANDS = {
    command.name: command
    for command in (Command("floor", floor), Command("demo", demo), Command("bounds", bounds), Command("lm", lm))
}
COMMANDS |= {command.name: command for command in (Command("falsify", falsify), Command("gallery", gallery))}
COMMANDS |= {name: deferred(name, "experiments.studies.command") for name in ("run", "status", "retry", "export")}
COMMANDS |= {"heads": deferred("heads", "experiments.heads_command")}
COMMANDS |= {name: deferred(name, "experiments.page.command") for name in ("figure", "report")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(EXAMPLES, end="")
        return 0
    try:
        if given[0] not in COMMANDS:
            raise ValueError(f"no command is named {given[0]!r}; choose one of: {', '.join(COMMANDS)}")
        return COMMANDS[given[0]].run(given[1:]) or 0
    except ValueError as error:
        print(f"rankfloor: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("rankfloor: stopped; finished ranks are on disk, run the same command again to go on", file=sys.stderr)
        return 130


def _take_config(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The file named by ``--config`` and the other arguments."""
    for place, argument in enumerate(arguments):
        if argument == "--config":
            if place + 1 == len(arguments):
                raise ValueError("--config needs a file name after it, for instance configs/zipf.toml")
            return Path(arguments[place + 1]), arguments[:place] + arguments[place + 2 :]
        if argument.startswith("--config="):
            return Path(argument.split("=", 1)[1]), arguments[:place] + arguments[place + 1 :]
    return None, arguments


if __name__ == "__main__":
    sys.exit(main())
