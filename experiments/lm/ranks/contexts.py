"""Contexts of a real text for a head on frozen features: some to fit on, the others held out.

Windows are dealt at random, whole windows to one side, so that the two sides are alike and share no context.  The first
N rows of the fitting side are its sample of size N: smaller samples are part of larger ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.lm.collect import collect
from experiments.lm.model import LanguageModel


@dataclass(frozen=True, eq=False)
class Contexts:
    """Features ``X`` (N, D) float32 and tokens that follow ``y`` (N,); runs of ``window`` rows share a window."""

    X: np.ndarray
    y: np.ndarray
    window: int

    def __len__(self) -> int:
        return len(self.y)

    def first(self, count: int) -> Contexts:
        """The first ``count`` rows."""
        return Contexts(self.X[:count], self.y[:count], self.window)


@dataclass(frozen=True, eq=False)
class Material:
    """The full head ``W`` (V, D), ``b`` (V,) or ``None``, with contexts to fit it on and contexts held out."""

    name: str
    caveats: tuple[str, ...]
    W: np.ndarray
    b: np.ndarray | None
    fitted: Contexts
    held_out: Contexts


def material(model: LanguageModel, text: str, counts: tuple[int, int], window: int, seed: int = 0) -> Material:
    """Run the model on as much of ``text`` as ``counts`` (to fit, held out) ask for, and deal its windows.

    Raises ``ValueError`` where the text is too short for both, and as ``collect`` does.
    """
    windows = [-(-count // window) for count in counts]
    needed = window * sum(windows) + 1
    tokens = model.encode(text)
    if len(tokens) < needed:
        raise ValueError(
            f"the text has {len(tokens)} tokens, and {counts[0]} contexts to fit with {counts[1]} held out in windows "
            f"of {window} need {needed}; give a longer text, or ask for fewer"
        )
    seen = collect(model, tokens[:needed], window=window)
    return dealt(model, seen.X, seen.targets, counts, window, seed)


def dealt(
    model: LanguageModel, X: np.ndarray, y: np.ndarray, counts: tuple[int, int], window: int, seed: int = 0
) -> Material:
    """Whole windows of rows, in random order, to the two sides."""
    windows = [-(-count // window) for count in counts]
    order = np.random.default_rng(seed).permutation(sum(windows))
    sides = []
    for chosen, count in zip((order[: windows[0]], order[windows[0] :]), counts, strict=True):
        rows = (chosen[:, None] * window + np.arange(window)[None, :]).reshape(-1)[:count]
        sides.append(Contexts(X[rows], y[rows], window))
    return Material(model.name, model.caveats, model.W, model.b, *sides)
