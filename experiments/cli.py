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


@dataclass(frozen=True)
class Command:
    """A sub-command: the function that takes the remaining arguments, one line of help, and arguments that work."""

    run: Callable[[list[str]], int | None]
    summary: str
    example: str = ""


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
    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: rankfloor bounds\n\nEvery bound of the catalogue: its name, its side and what it is.")
        return
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
    from typing import Annotated

    import tyro

    names = tyro.cli(
        Annotated[tuple[str, ...], tyro.conf.arg(name="claim", help="Names of claims; all of them by default.")],
        args=arguments,
        default=(),
        prog="rankfloor gallery",
        description="Published claims, each recomputed from its premises and judged.",
    )
    from theory.gallery import gallery as published

    for claim in [published[name] for name in names] or published:
        print(claim.account(), flush=True)


def lm(arguments: list[str]) -> None:
    """``rankfloor lm SUB``: the sub-commands of :mod:`experiments.lm.cli`."""
    from experiments.lm.cli import lm as dispatch

    dispatch(arguments)


def completion(arguments: list[str]) -> None:
    """``rankfloor completion SHELL``: a script that completes this command line."""
    import tyro

    from experiments.completion import CompletionConfig, script

    config = tyro.cli(CompletionConfig, args=arguments, prog="rankfloor completion")
    print(script(config.shell, list(COMMANDS), main), end="")


def deferred(name: str, module: str) -> Callable[[list[str]], int | None]:
    """The function ``name`` of ``module``, imported when it is called."""

    def call(arguments: list[str]) -> int | None:
        from importlib import import_module

        return getattr(import_module(module), name)(arguments)

    return call


STUDIES, PAGE = "experiments.studies.command", "experiments.page.command"

COMMANDS = {
    "floor": Command(
        floor,
        "fit and bound the floor curve of one distribution",
        "--family zipf --contexts 1000 --vocab 500 --rank 200 --dims 1 2 4 8 16 32 64",
    ),
    "heads": Command(
        deferred("heads", "experiments.heads_command"),
        "other kinds of heads beside softmax: mixtures, sigsoftmax, learnt increasing functions",
        "--family mixture --components 2 --rank 4 --dims 1 2 4 8 --heads softmax mos sigsoftmax monotonic",
    ),
    "demo": Command(
        demo, "three floor curves in one figure: a Zipfian law, all 2-subsets of 12 tokens, Moby Dick trigrams"
    ),
    "bounds": Command(bounds, "list the bounds in the catalogue"),
    "falsify": Command(
        falsify,
        "hunt for a counterexample to a bound of your own: module:function",
        "mybounds:my_bound --side lower --seconds 60",
    ),
    "gallery": Command(gallery, "published claims, recomputed and judged", "table-1-lambada"),
    "run": Command(
        deferred("run", STUDIES),
        "a study: a grid of trials and seeds, run anywhere, kept in a store",
        "configs/gap-exponent.toml --small --jobs 2",
    ),
    "status": Command(deferred("status", STUDIES), "what a store holds", "runs/gap-exponent-small"),
    "retry": Command(deferred("retry", STUDIES), "the failed trials of a store again", "runs/gap-exponent-small"),
    "export": Command(
        deferred("export", STUDIES), "a store as csv or parquet tables", "runs/gap-exponent-small --format csv"
    ),
    "figure": Command(deferred("figure", PAGE), "the figure of a study, from its store", "runs/gap-exponent-small"),
    "report": Command(
        deferred("report", PAGE), "one HTML page of everything in a store", "runs/gap-exponent-small --out page.html"
    ),
    "lm": Command(lm, "real language models and real text: see rankfloor lm --help", "saturation pythia/evals"),
    "completion": Command(completion, "a script that completes this command line in bash, zsh or fish", "bash"),
}


def help_page() -> str:
    """What ``rankfloor --help`` prints: every command, and a line that works for each."""
    width = max(map(len, COMMANDS))
    listed = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    more = ["floor --corpus book.txt --order 3 --vocab 2048", "floor --config configs/demo/zipf.toml --dims 1 2 4"]
    lines = [*more, *(f"{name} {command.example}" for name, command in COMMANDS.items() if command.example)]
    return "\n".join(
        [
            "rankfloor: how low can a softmax head of dimension d go?",
            "",
            "commands",
            *listed,
            "",
            "examples",
            *(f"  rankfloor {line}" for line in lines),
            "  rankfloor floor --help",
            "",
        ]
    )


def example_of(arguments: Sequence[str]) -> str | None:
    """A line that works for the command whose help is asked for; ``None`` when no help is."""
    if not {"-h", "--help"} & set(arguments[1:]) or arguments[0] not in COMMANDS:
        return None
    if arguments[0] == "lm":
        from experiments.lm.cli import SUBCOMMANDS

        named = SUBCOMMANDS.get(arguments[1])
        return f"rankfloor lm {arguments[1]} {named.example}".rstrip() if named else None
    return f"rankfloor {arguments[0]} {COMMANDS[arguments[0]].example}".rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(help_page(), end="")
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
        print("rankfloor: stopped; what is finished is on disk, run the same command again to go on", file=sys.stderr)
        return 130
    finally:
        if example := example_of(given):
            print(f"\nexample: {example}")


def _take_config(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The file named by ``--config`` and the other arguments."""
    for place, argument in enumerate(arguments):
        if argument == "--config":
            if place + 1 == len(arguments):
                raise ValueError("--config needs a file name after it, for instance configs/demo/zipf.toml")
            return Path(arguments[place + 1]), arguments[:place] + arguments[place + 2 :]
        if argument.startswith("--config="):
            return Path(argument.split("=", 1)[1]), arguments[:place] + arguments[place + 1 :]
    return None, arguments


if __name__ == "__main__":
    sys.exit(main())
