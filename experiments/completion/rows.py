"""What can follow which words of the command line, read from the help of every command.

Keys are ``COMMAND|`` for the first words after a command, ``COMMAND|-`` for its flags, and ``COMMAND|--flag`` for the
values of a flag.  Where there is no row, shells offer files.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress

Main = Callable[[Sequence[str]], int]
"""What runs a command line."""

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*")
CHOICES = re.compile(r"(--[a-z][a-z0-9.-]*) \[?\{([^}|]+,[^}|]+)\}")
FIRST = re.compile(r"usage: [\w ]+ (?:\[[^]]*\] )*\{([\w,-]+)\}")


def all_rows(commands: Sequence[str], main: Main) -> dict[str, list[str]]:
    """The rows of all commands that ``main`` carries out, and of those of ``lm``."""
    from experiments.lm.cli import SUBCOMMANDS

    rows = {"|": list(commands), "|-": ["--help"]}
    for command in [*commands, *(f"lm {name}" for name in SUBCOMMANDS)]:
        rows |= rows_of(command, help_of(command, main))
    return rows | {"lm|": list(SUBCOMMANDS)} | _names()


def help_of(command: str, main: Main) -> str:
    """What ``rankfloor COMMAND --help`` prints, without its example."""
    said = io.StringIO()
    with redirect_stdout(said), suppress(SystemExit):  # parsers of arguments end so after their help
        main([*command.split(), "--help"])
    return said.getvalue().rpartition("\nexample:")[0] or said.getvalue()


def rows_of(command: str, said: str) -> dict[str, list[str]]:
    """The rows of one command from its help; one that takes nothing but flags has them as its first words."""
    flags = sorted({*FLAG.findall(said), "--help"})
    rows = {f"{command}|-": flags}
    for flag, choices in CHOICES.findall(said):
        rows[f"{command}|{flag}"] = [choice for choice in choices.split(",") if choice != "None"]
    if first := FIRST.search(said):
        rows[f"{command}|"] = first[1].split(",")
    elif "positional arguments" not in said and "STUDY.toml" not in said:
        rows[f"{command}|"] = flags
    return rows


def _names() -> dict[str, list[str]]:
    """Names from the catalogues, which no help lists in full."""
    from experiments.heads.alternatives import alternatives
    from experiments.lm.fetch import ITEMS
    from synth import families
    from theory import catalogue
    from theory.gallery import gallery

    laws = list(families.catalogue)
    return {
        "floor|--family": laws,
        "heads|--family": laws,
        "heads|--heads": list(alternatives),
        "falsify|": [entry.name for entry in catalogue],
        "gallery|": [claim.name for claim in gallery],
        "lm fetch|": list(ITEMS),
    }
