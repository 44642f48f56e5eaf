"""All measures of one model on one text, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments.lm.measure import frequency, gradient, head, reach, states
from experiments.lm.measure.row import Row
from experiments.lm.model import LanguageModel
from experiments.lm.moments import LayerMoments

SLICES = 8
"""Passages of the text that the model reads, spread evenly over it; also the blocks of standard errors."""

Say = Callable[[str], None]
"""Told what is being computed."""


@dataclass(frozen=True)
class Effort:
    """How much is sampled."""

    tokens: int = 8192
    """Tokens of text that the model reads, in eight passages spread evenly over the text."""
    window: int = 512
    """Tokens that the model sees at a time."""
    contexts: int = 2048
    """Contexts, evenly spaced among them, whose logit gradients are formed."""
    sample: int = 2000
    """Tokens of the vocabulary, drawn at random, tested for whether they can win at all."""
    programmes: int = 8
    """Linear programmes at most among them; at D = 576 one takes about ten seconds."""
    sets: int = 200
    """Random sets of each size whose reachability is tested."""
    seed: int = 0
    """Seed of every draw."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything measured; what needs states is ``None`` for a head on its own, ``notes`` say what was left out."""

    spectra: list[head.Spectrum]
    layers: list[Row]
    alignment: frequency.Alignment | None
    gradient: gradient.Gradient | None
    tokens: reach.Tokens
    sets: reach.Sets
    shape: tuple[int, int]
    nll: float
    nll_stderr: float
    read: int
    notes: tuple[str, ...]

    def rows(self) -> list[Row]:
        """The table."""
        found = [*head.rows(self.spectra), *self.layers]
        found += [] if self.alignment is None else self.alignment.rows()
        found += [] if self.gradient is None else self.gradient.rows()
        return [*found, *self.tokens.rows(self.shape), *self.sets.rows()]


@dataclass(frozen=True, eq=False)
class Passages:
    """What the head saw in the passages, joined: ``X`` (N, D), ``targets`` (N,), ``losses`` (N,), layers of each."""

    X: np.ndarray
    targets: np.ndarray
    losses: np.ndarray
    layers: list[LayerMoments]


def measure(model: LanguageModel, text: np.ndarray | None, effort: Effort, say: Say = lambda _: None) -> Measured:
    """Measure ``model`` on ``text`` (n,), token numbers; ``None`` for a head on its own.

    Raises ``ValueError`` for a text of fewer than 32 tokens.  Cost: one pass over ``effort.tokens`` tokens, O(V D^2)
    for spectra, O(contexts V D) for gradients, O((sample + sets) V D) for reachability.
    """
    notes, seen, aligned, passed = list[str](), None, None, None
    if model.body is None or text is None:
        notes.append("a head on its own: nothing that needs states or a text is measured")
    else:
        say("reading the text")
        seen = read_passages(model, text, effort)
        aligned = _alignment(model.W, text, notes)
        say("logit gradients")
        every = np.unique(np.linspace(0, len(seen.X) - 1, effort.contexts).astype(int))
        passed = gradient.gradient(model.W, model.b, seen.X[every], seen.targets[every])
    say("spectra")
    spectra = head.head_spectra(model.W, None if seen is None else seen.X, effort.seed)
    say("tokens that cannot win")
    tokens = reach.sampled_tokens(model.W, model.b, effort.sample, effort.programmes, effort.seed)
    say("random sets")
    sets = reach.sampled_sets(model.W, effort.sets, effort.seed)
    return Measured(
        spectra, [] if seen is None else states.anisotropy_rows(seen.layers), aligned, passed, tokens, sets,
        (model.vocab, model.dim), *_loss(seen), 0 if seen is None else len(seen.X), tuple(notes),
    )  # fmt: skip


def read_passages(model: LanguageModel, text: np.ndarray, effort: Effort) -> Passages:
    """States and targets of ``SLICES`` passages, ``effort.tokens`` tokens in all, or of all of a shorter text."""
    from experiments.lm.collect import collect

    length = min(effort.tokens, len(text)) // SLICES
    if length < 4:
        raise ValueError(f"the text has {len(text)} tokens, at least {4 * SLICES} are needed; give a longer text")
    starts = np.linspace(0, len(text) - length, SLICES).astype(int)
    window = min(effort.window, length)
    parts = [collect(model, text[at : at + length], window=window, every_layer=True) for at in starts]
    return Passages(
        np.concatenate([part.X for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.losses for part in parts]),
        [part.layers for part in parts],
    )


def _alignment(W: np.ndarray, text: np.ndarray, notes: list[str]) -> frequency.Alignment | None:
    try:
        return frequency.alignment(W, text)
    except ValueError as error:
        notes.append(f"no alignment with token frequency: {error}")
        return None


def _loss(seen: Passages | None) -> tuple[float, float]:
    """Mean loss, nats per token, and its standard error over the passages."""
    if seen is None:
        return float("nan"), float("nan")
    means = [part.mean() for part in np.array_split(seen.losses, SLICES)]
    return float(seen.losses.mean()), float(np.std(means, ddof=1) / np.sqrt(SLICES))
