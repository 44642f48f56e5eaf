"""One width from start to end: updates, checkpoints, measurements; killed at any moment, it goes on where it was.

On one device, with the same number of threads and the same versions, a run that was interrupted and one that was not
are equal to the last bit: weights, averages of AdamW and position in the text are saved together, nothing is drawn on
the way (no dropout), and on CUDA only deterministic kernels are used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.lm.train.checkpoints import (
    State,
    clear_drafts,
    load_checkpoint,
    load_state,
    save_checkpoint,
    save_state,
)
from experiments.lm.train.config import TrainConfig
from experiments.lm.train.data import Text
from experiments.lm.train.log import Log
from experiments.lm.train.measure import measure
from experiments.lm.train.model import initial
from experiments.lm.train.schedule import BETAS, EPS, checkpoint_steps, parameter_groups, rate_factor

SAVE_EVERY = 30.0
"""Seconds after which the state is saved even without a checkpoint: what a kill can cost."""

Watcher = Callable[[int, int, float], None]
"""Told the width, the steps done so far, and the last batch's loss."""


@dataclass(frozen=True)
class Ladder:
    """What all widths share: settings, text, and the folder of the run."""

    config: TrainConfig
    text: Text
    folder: Path

    def width_folder(self, width: int) -> Path:
        """Where a width writes."""
        return self.folder / f"width-{width:04d}"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of the run."""
        return self.folder / "tokenizer.json"


class Trainer:
    """Model and optimiser of one width, and the log of its measurements."""

    def __init__(self, ladder: Ladder, width: int) -> None:
        config = ladder.config
        self.ladder, self.width = ladder, width
        self.folder = ladder.width_folder(width)
        self.folder.mkdir(parents=True, exist_ok=True)
        clear_drafts(self.folder)
        self.log = Log(self.folder / "log.jsonl")
        self.device = torch.device(config.device)
        self.model = initial(width, config.shape, config.recipe.seed, config.recipe.base_width).to(self.device)
        groups = parameter_groups(self.model, width, config.recipe)
        self.optimizer = torch.optim.AdamW(groups, lr=config.recipe.rate, betas=BETAS, eps=EPS)
        self.step, self.seconds, self.resumed = 0, 0.0, ""
        self._resume()

    def run(self, watch: Watcher | None = None) -> None:
        """Train to the end and measure every checkpoint.  ``ValueError`` if the loss stops being finite."""
        with _deterministic(self.device):
            self._catch_up()
            wanted, loss, begun, saved = set(checkpoint_steps(self.ladder.config)), float("nan"), _seconds(), 0.0
            while True:
                if self.step in wanted:
                    self._checkpoint()
                if self.step in wanted or time.monotonic() - saved > SAVE_EVERY:
                    self.seconds, begun = self.seconds + _seconds() - begun, _seconds()
                    self._save()
                    saved = time.monotonic()
                if self.step == self.ladder.config.steps:
                    return
                loss = self._update()
                if watch is not None:
                    watch(self.width, self.step, loss)

    def _update(self) -> float:
        """One step of AdamW on the next batch; returns the loss of that batch before the step."""
        config = self.ladder.config
        inputs, targets = self.ladder.text.batch(self.step, config.recipe.batch, config.recipe.seed)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor(self.step, config.steps, config.recipe)
        logits = self.model(torch.from_numpy(inputs).to(self.device))
        wanted = torch.from_numpy(targets).to(self.device)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.recipe.clip)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def _checkpoint(self) -> None:
        """Measure and store the model, if that has not been done."""
        self._require_finite()
        if all(row["step"] != self.step for row in self.log.rows):
            self.log.append(self._row(self.step))
        save_checkpoint(self.folder, self.step, self.model, self.ladder.config.shape, self.ladder.tokenizer)

    def _row(self, step: int) -> dict[str, Any]:
        config, text = self.ladder.config, self.ladder.text
        tokens = step * config.batch_tokens
        passes = tokens / text.inputs[text.training].size
        return {
            "width": self.width, "step": step, "tokens": tokens, "passes": passes, "seconds": self.seconds,
            **measure(self.model, text, config),
        }  # fmt: skip

    def _save(self) -> None:
        self._require_finite()
        state = State(
            self.step, self.model.state_dict(), self.optimizer.state_dict(), self.seconds, _place(self.device)
        )
        save_state(self.folder / "state.pt", state)

    def _resume(self) -> None:
        """Take up the saved state, if there is one; ``resumed`` says what to know about it."""
        state = load_state(self.folder / "state.pt", self.device)
        if state is None:
            return
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(state.optimizer)
        self.step, self.seconds = state.step, state.seconds
        if state.place != _place(self.device):
            self.resumed = (
                f"width {self.width} was trained up to step {state.step} on {state.place} and goes on on "
                f"{_place(self.device)}: from there on it may differ in rounding"
            )

    def _catch_up(self) -> None:
        """Measure stored checkpoints whose line in the log is lost, up to the state."""
        known = {row["step"] for row in self.log.rows}
        lost = [step for step in checkpoint_steps(self.ladder.config) if step < self.step and step not in known]
        if not lost:
            return
        here = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        for step in lost:
            load_checkpoint(self.folder, step, self.model)
            self.log.append(self._row(step))
        self.model.load_state_dict(here)

    def _require_finite(self) -> None:
        """Raise ``ValueError`` if the model does not give finite logits for the batch that comes next."""
        config = self.ladder.config
        inputs, _ = self.ladder.text.batch(self.step, config.recipe.batch, config.recipe.seed)
        with torch.no_grad():
            logits = self.model(torch.from_numpy(inputs).to(self.device))
        if not bool(torch.isfinite(logits).all()):
            raise ValueError(
                f"width {self.width} diverged before step {self.step}: its logits are not finite; lower --rate "
                f"(it is {config.recipe.rate:g}) or --clip"
            )


def finished(ladder: Ladder, width: int) -> bool:
    """Whether every checkpoint of a width has been measured."""
    folder = ladder.width_folder(width)
    steps = {row["step"] for row in Log(folder / "log.jsonl").rows} if folder.exists() else set()
    return set(checkpoint_steps(ladder.config)) <= steps


def _seconds() -> float:
    """Processor seconds of this process: what the work costs, however busy the machine is."""
    return time.process_time()


def _place(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{device.type}, {name}, torch {torch.__version__}"


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Only kernels whose result does not depend on the order in which threads finish."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
