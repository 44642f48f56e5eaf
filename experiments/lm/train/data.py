"""The text as windows: which are trained on, which are held out, and which batch comes at which step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import EMBEDDED
from experiments.lm import corpus
from experiments.lm.train.config import TrainConfig
from experiments.lm.train.seeds import named

BLOCK, EVERY = 8, 10
"""Windows in a block, and one block of how many is held out: all over the text, so that both parts are alike."""


@dataclass(frozen=True, eq=False)
class Text:
    """A text cut into windows: ``inputs`` and ``targets`` (windows, window), and which windows each part has.

    Each token but the first is the target of exactly one window, so no held-out target is ever trained on.  (The
    byte-pair vocabulary has seen the whole text.)
    """

    name: str
    vocab: int
    tokens: int
    inputs: np.ndarray
    targets: np.ndarray
    training: np.ndarray
    held_out: np.ndarray

    def batch(self, step: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of the update after ``step``: a function of step and seed alone.

        Each pass over the training windows has an order of its own.  So the step is all of the position in the data
        that a run must remember, and no state of a generator is kept.
        """
        count = len(self.training)
        passes, places = np.divmod(np.arange(step * size, (step + 1) * size), count)
        chosen = self.training[
            [_order(seed, number, count)[place] for number, place in zip(passes.tolist(), places.tolist(), strict=True)]
        ]
        return self.inputs[chosen], self.targets[chosen]

    def sample(self, part: np.ndarray, windows: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of ``windows`` windows spread evenly over a part, or of all it has."""
        places = np.unique(np.linspace(0, len(part) - 1, min(windows, len(part))).round().astype(int))
        return self.inputs[part[places]], self.targets[part[places]]


def read(config: TrainConfig, folder: Path) -> Text:
    """Cut the text of ``config`` with the tokenizer in ``folder``/tokenizer.json, which is trained if absent.

    Raises ``ValueError`` for an unreadable text, or one too short for two windows in each part.
    """
    raw = corpus.moby_dick() if config.text == EMBEDDED else corpus.read_text(config.text)
    tokenizer = _tokenizer(raw, config.shape.vocab, folder / "tokenizer.json")
    vocab = tokenizer.get_vocab_size()
    if vocab != config.shape.vocab:
        raise ValueError(
            f"the text yields only {vocab} different tokens, {config.shape.vocab} were asked for; set --vocab {vocab} "
            "or give a longer text"
        )
    ids = np.array(tokenizer.encode(raw).ids, dtype=np.int64)
    return cut(ids, vocab, config.shape.window, Path(config.text).stem)


def cut(ids: np.ndarray, vocab: int, window: int, name: str) -> Text:
    """A ``Text`` of token numbers (N,): block number 9 of each ten is held out."""
    windows = (len(ids) - 1) // window
    inputs = ids[: windows * window].reshape(windows, window)
    targets = ids[1 : windows * window + 1].reshape(windows, window)
    held = np.arange(windows) // BLOCK % EVERY == EVERY - 1
    training, held_out = np.flatnonzero(~held), np.flatnonzero(held)
    if len(held_out) < 2:
        raise ValueError(
            f"{name} has {len(ids):,} tokens, {BLOCK * EVERY * window:,} are needed to hold out a block of {BLOCK} "
            f"windows of {window}; give a longer text or a smaller window"
        )
    return Text(name, vocab, len(ids), inputs, targets, training, held_out)


@lru_cache(maxsize=4)
def _order(seed: int, number: int, count: int) -> np.ndarray:
    """In which order pass ``number`` takes ``count`` windows."""
    return named(seed, "order", number).permutation(count)


def _tokenizer(text: str, vocab: int, path: Path) -> Any:
    """The tokenizer stored at ``path``; trained on ``text`` and stored if there is none."""
    from tokenizers import Tokenizer

    if not path.exists():
        corpus.train_tokenizer(text, vocab).save(str(path))
    return Tokenizer.from_file(str(path))
