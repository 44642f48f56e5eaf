"""One line that tells how a ladder is doing; silent when the output is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from tqdm import tqdm

from experiments.heads.lbfgs import Trace


class LadderProgress:
    """A progress bar over the dimensions of a ladder, each counted by ``d + 4`` (its cost, roughly)."""

    def __init__(self, title: str, dims: Sequence[int]) -> None:
        self.bar = tqdm(
            total=sum(map(_cost, dims)),
            desc=title,
            disable=not sys.stderr.isatty(),
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar:20}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
            unit="work",
        )

    def __enter__(self) -> LadderProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.bar.close()

    def watch(self, dim: int, trace: Trace) -> None:
        """Show an iteration of the fit of dimension ``dim``."""
        if not self.bar.disable and trace.iterations % 5 == 0:
            self.bar.set_postfix_str(f"d = {dim}, gap {trace.at.gap:.6f}, still to fall ~{trace.decrement:.0e}")

    def done(self, dim: int) -> None:
        """Count dimension ``dim`` as finished."""
        self.bar.update(_cost(dim))


def _cost(dim: int) -> int:
    return dim + 4
