"""Completion of the command line, in the shells themselves where they are installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from experiments.cli import COMMANDS, main
from experiments.completion.rows import all_rows, rows_of
from experiments.completion.shells import SHELLS
from experiments.lm.cli import SUBCOMMANDS

ASKED = {
    "rankfloor fl": {"floor"},
    "rankfloor lm me": {"measure"},
    "rankfloor floor --fam": {"--family"},
    "rankfloor floor --dims 1 2 --family zip": {"zipf", "zipf_counts"},
    "rankfloor export runs/here --format c": {"csv"},
    "rankfloor heads --heads softmax mono": {"monotonic"},
    "rankfloor completion fi": {"fish"},
    "rankfloor lm train --pre": {"--preset"},
    "rankfloor falsify majo": {"majorization"},
}
"""What is typed before the tab, and all that can follow."""

BASH = """{script}
COMP_WORDS=({line})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_rankfloor
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

ZSH = """compdef() {{ }}
{script}
compadd() {{ shift; print -l -- "$@" }}
_files() {{ print files }}
words=({line})
CURRENT=$#words
_rankfloor
"""

FISH = """{script}
complete -C "{line}"
"""

ASKING = {"bash": (BASH, ["--norc", "-c"]), "zsh": (ZSH, ["-f", "-c"]), "fish": (FISH, ["--no-config", "-c"])}


@pytest.fixture(scope="module")
def rows():
    return all_rows(list(COMMANDS), main)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes(shell, rows):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    frame, options = ASKING[shell]
    for line, expected in ASKED.items():
        asked = frame.format(script=SHELLS[shell](rows), line=line)
        done = subprocess.run([shell, *options, asked], capture_output=True, text=True, check=True)
        found = {word for word in done.stdout.split() if word.startswith(line.split()[-1])}
        assert found == expected, line
        assert done.stderr == ""


def test_every_command_and_its_flags_are_there(rows):
    assert rows["|"] == list(COMMANDS)
    assert rows["lm|"] == list(SUBCOMMANDS)
    for command in [*COMMANDS, *(f"lm {name}" for name in SUBCOMMANDS)]:
        assert "--help" in rows[f"{command}|-"]
    assert {"--vocab", "--bias", "--no-bias", "--config"} <= set(rows["floor|-"])
    assert "|".join(rows["lm compress|--method"]) == "truncated|newton|trained"
    assert "status|" not in rows  # a folder: left to the shell


def test_rows_are_read_from_a_help():
    said = """usage: rankfloor x [-h] [--a-b {None,u,v}] {one,two}
    ╭ positional arguments ╮
    │ {one,two}  Which, see --other-flag. │
    ╭ options ╮
    │ --a-b {None,u,v}   Text - with dashes -- and {braces} │
    │ --c, --no-c │
    """
    assert rows_of("x", said) == {
        "x|-": ["--a-b", "--c", "--help", "--no-c", "--other-flag"],
        "x|--a-b": ["u", "v"],
        "x|": ["one", "two"],
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script(shell, capsys):
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert "floor|--family" in said
    assert "example:" not in said
