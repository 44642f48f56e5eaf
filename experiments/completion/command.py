"""What ``rankfloor completion`` takes and prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from experiments.completion.rows import Main, all_rows
from experiments.completion.shells import SHELLS


@dataclass(frozen=True)
class CompletionConfig:
    """Print a script that completes the command line.

    bash: eval "$(rankfloor completion bash)"; zsh: eval "$(rankfloor completion zsh)"

    fish: rankfloor completion fish | source

    It takes a few seconds to make; written to a file once, it costs nothing when a shell starts: in
    ~/.local/share/bash-completion/completions/rankfloor, as _rankfloor in a folder of zsh's fpath, in
    ~/.config/fish/completions/rankfloor.fish.
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]
    """The shell that is to read it."""


def script(shell: str, commands: Sequence[str], main: Main) -> str:
    """The script for ``shell`` (bash, zsh or fish) that completes the ``commands`` that ``main`` carries out.

    Every command is imported for it, which takes seconds.
    """
    return SHELLS[shell](all_rows(commands, main))
