"""One line that tells how a ladder is doing, with rate and time left; silent when the output is not a terminal."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

from experiments.lm.train.config import TrainConfig, training_flops


class LadderWatch:
    """A progress bar over all widths, each step counted by its floating-point operations."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.work = {width: training_flops(width, config.shape) * config.batch_tokens for width in config.shape.widths}
        self.done = dict.fromkeys(self.work, 0)
        self.bar = tqdm(
            total=sum(self.work.values()) * config.steps / 1e9,
            disable=not sys.stderr.isatty(),
            leave=False,
            unit="GFLOP",
            bar_format="{percentage:3.0f}% |{bar:20}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
        )

    def __enter__(self) -> LadderWatch:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.bar.close()

    def skip(self, width: int, steps: int) -> None:
        """Count updates of a width that were done before; they do not enter the rate."""
        self.done[width] = steps
        if not self.bar.disable:
            self.bar.initial += steps * self.work[width] / 1e9
            self.bar.n += steps * self.work[width] / 1e9

    def watch(self, width: int, step: int, loss: float) -> None:
        """Show that a width has had ``step`` updates."""
        tokens = step * self.config.batch_tokens
        self.bar.set_postfix_str(f"d = {width}, {tokens / 1e6:.2f}M tokens, batch loss {loss:.3f}", refresh=False)
        self.bar.update((step - self.done[width]) * self.work[width] / 1e9)
        self.done[width] = step
