"""``rankfloor completion SHELL``: a script that completes the command line, from what the commands say they take."""

from experiments.completion.command import CompletionConfig, script

__all__ = ["CompletionConfig", "script"]
