"""Run a language model over a text and keep what its head sees: states, targets, losses, moments.

Tokens t_0 .. t_{n-1} are cut into windows of T inputs that do not overlap; each input predicts the token after it.
Without a BOS token, inputs are t_{kT} .. t_{kT+T-1} and targets t_{kT+1} .. t_{kT+T}, n - 1 predictions in all.  With
one, inputs are BOS, t_{kT} .. t_{kT+T-2} and targets t_{kT} .. t_{kT+T-1}, n predictions.  The last window may be
shorter.  A window sees nothing of the text before it, so early positions predict worse.

Work is done in blocks of about ``BLOCK`` predictions.  Each finished block is one file of the cache, keyed by the
parameters of the model, the tokens and the options: a second run reads it, an interrupted one goes on after it.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from experiments.atomic import replacing
from experiments.lm.cache import cache_folder
from experiments.lm.model import AFTER_NORM, Body, LanguageModel
from experiments.lm.moments import LayerMoments, Moments, merge, moments
from synth._check import integer

BLOCK = 4096
"""Predictions per block, if windows are shorter; else one window."""

FORMAT = 1
"""Raised when blocks change their meaning, so that older ones are not read."""


@dataclass(frozen=True, eq=False)
class Collected:
    """What a head saw on a text of N predictions.

    ``X`` (N, D) float32 is what the head multiplies, ``targets`` (N,) int64 the tokens that came next, ``losses``
    (N,) float64 ``-log q(target)`` in nats, and ``nll`` their mean.  ``nll_stderr`` is its standard error with windows
    as clusters, as tokens of a window share their context: with S_k and n_k the sum and the number of losses of window
    k out of K, ``sqrt(K / (K - 1) Σ_k (S_k - n_k nll)²) / N``; NaN for one window.  ``second_moment`` is ``XᵀX / N``
    (D, D), ``mean`` (D,), both float64.  ``layers`` holds moments by place, the last two places at least.
    """

    X: np.ndarray
    targets: np.ndarray
    losses: np.ndarray
    nll: float
    nll_stderr: float
    layers: LayerMoments
    second_moment: np.ndarray
    mean: np.ndarray
    window: int
    folder: Path
    """Where the blocks are kept."""

    @property
    def position(self) -> np.ndarray:
        """Place of each prediction in its window (N,), from 0; states at 0 have seen one token only."""
        return np.arange(len(self.targets)) % self.window


Watch = Callable[[int, int], None]
"""Called after each block with the predictions made so far and in all."""


def collect(
    model: LanguageModel,
    tokens: np.ndarray,
    *,
    window: int = 512,
    every_layer: bool = False,
    cache: str | Path | None = None,
    watch: Watch | None = None,
) -> Collected:
    """Run ``model`` over ``tokens`` (n,) in windows of ``window`` inputs; see :class:`Collected`.

    ``every_layer`` adds moments of every layer.  ``cache`` is a folder (default: ``collected`` in the cache of the
    package); where it cannot be written, nothing is kept.  Without ``watch``, a terminal sees a line of progress.
    Memory: the N x D states returned, and one block of activations; logits of 512 positions at a time.  Cost: one pass
    of the network, 2 N V D more for the losses; nothing on a second run but reading the blocks.

    Raises ``ValueError`` for a head without a body, and for tokens that are no integers in 0 .. V - 1 or too few.
    """
    if model.body is None:
        raise ValueError(f"{model.name} is a head alone and cannot run on a text; load the whole model")
    plan = _plan(model, tokens, integer("window", window, 2))
    root = cache_folder() / "collected" if cache is None else Path(cache)
    folder = root / _key(model, plan, every_layer)
    block_windows = max(1, BLOCK // window)
    blocks: list[_Block] = []
    with _progress(plan.predictions, watch) as advance:
        for number, rows in enumerate(_rows(plan, block_windows)):
            path = folder / f"block-{number:05d}.npz"
            block = _read(path)
            if block is None or not np.array_equal(block.targets, rows[1]):
                block = _run(model.body, *rows, every_layer)
                with suppress(OSError):
                    _write(path, block)
            blocks.append(block)
            advance(len(block.targets))
    return _together(blocks, window, folder)


class _Plan(NamedTuple):
    """Inputs and targets (n,), one after the other, and the length of a window."""

    inputs: np.ndarray
    targets: np.ndarray
    window: int
    bos: int | None

    @property
    def predictions(self) -> int:
        return len(self.targets)


def _plan(model: LanguageModel, tokens: np.ndarray, window: int) -> _Plan:
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or len(tokens) < 2 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(
            f"tokens must be a vector of at least two integers, found shape {tokens.shape} of {tokens.dtype}; encode "
            "a longer text with the model"
        )
    if tokens.min() < 0 or tokens.max() >= model.vocab:
        raise ValueError(
            f"tokens must be in 0 .. {model.vocab - 1}, found {tokens.min()} .. {tokens.max()}; encode the text with "
            f"the tokenizer of {model.name}"
        )
    tokens = tokens.astype(np.int64)
    if model.bos is None:
        return _Plan(tokens[:-1], tokens[1:], window, None)
    inputs = np.concatenate([[model.bos], tokens[:-1]])
    inputs[::window] = model.bos
    return _Plan(inputs, tokens, window, model.bos)


def _rows(plan: _Plan, block_windows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs (windows, length) and targets (windows * length,) of each block; a short last window is a block."""
    whole = plan.predictions // plan.window * plan.window
    step = block_windows * plan.window
    bounds = [*range(0, whole, step), whole]
    for start, stop in pairwise(bounds):
        yield plan.inputs[start:stop].reshape(-1, plan.window), plan.targets[start:stop]
    if whole < plan.predictions:
        yield plan.inputs[None, whole:], plan.targets[whole:]


# ---------------------------------------------------------------------- blocks


class _Block(NamedTuple):
    X: np.ndarray
    targets: np.ndarray
    losses: np.ndarray
    layers: dict[str, Moments]


def _run(body: Body, inputs: np.ndarray, targets: np.ndarray, every_layer: bool) -> _Block:
    """One pass; states other than those of the head are dropped once their moments are taken."""
    layers: dict[str, Moments] = {}
    kept: list[np.ndarray] = []

    def visit(name: str, states: np.ndarray) -> None:
        layers[name] = moments(states)
        if name == AFTER_NORM:
            kept.append(states)

    body.states(inputs, visit, every_layer)
    X = kept[0]
    return _Block(X, targets, body.losses(X, targets), layers)


def _key(model: LanguageModel, plan: _Plan, every_layer: bool) -> str:
    """Name of the folder of blocks: a hash of everything the numbers depend on."""
    facts = {"format": FORMAT, "model": model.fingerprint(), "window": plan.window, "layers": every_layer}
    facts |= {"bos": plan.bos, "block": BLOCK, "inputs": hashlib.sha256(plan.inputs.tobytes()).hexdigest()}
    facts |= {"targets": hashlib.sha256(plan.targets.tobytes()).hexdigest()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _write(path: Path, block: _Block) -> None:
    arrays = {"X": block.X, "targets": block.targets, "losses": block.losses}
    for place, (name, found) in enumerate(block.layers.items()):
        scalars = [found.count, found.zeros, found.mean_norm, found.mean_square]
        arrays[f"layer {place:04d} {name}"] = np.concatenate([scalars, found.unit_sum, found.mean])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _read(path: Path) -> _Block | None:
    """A stored block, or ``None`` where it is absent or damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            layers = {
                name.split(" ", 2)[2]: _unpack(stored[name])
                for name in sorted(stored.files)
                if name.startswith("layer ")
            }
            return _Block(stored["X"], stored["targets"], stored["losses"], layers)
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile, zlib.error):
        return None


def _unpack(packed: np.ndarray) -> Moments:
    unit_sum, mean = np.split(packed[4:], 2)
    return Moments(int(packed[0]), int(packed[1]), unit_sum, mean, float(packed[2]), float(packed[3]))


# ---------------------------------------------------------------------- the whole


def _together(blocks: list[_Block], window: int, folder: Path) -> Collected:
    X = np.concatenate([block.X for block in blocks])
    losses = np.concatenate([block.losses for block in blocks])
    nll = float(losses.mean())
    second = sum(
        (block.X.T.astype(np.float64) @ block.X.astype(np.float64) for block in blocks), np.zeros(2 * X.shape[1:])
    )
    return Collected(
        X=X, targets=np.concatenate([block.targets for block in blocks]), losses=losses,
        nll=nll, nll_stderr=clustered_stderr(losses, window),
        layers={name: merge(block.layers[name] for block in blocks) for name in blocks[0].layers},
        second_moment=second / len(X), mean=X.mean(axis=0, dtype=np.float64), window=window, folder=folder,
    )  # fmt: skip


def clustered_stderr(losses: np.ndarray, window: int) -> float:
    """Standard error of the mean of ``losses`` (N,) with runs of ``window`` of them as clusters; NaN for one."""
    starts = np.arange(0, len(losses), window)
    K = len(starts)
    if K < 2:
        return math.nan
    sums = np.add.reduceat(losses - losses.mean(), starts)  # S_k - n_k nll
    return float(math.sqrt(K / (K - 1) * (sums @ sums)) / len(losses))


class _progress:
    """A line of progress on a terminal, or the caller's ``watch``."""

    def __init__(self, total: int, watch: Watch | None) -> None:
        self.total, self.watch, self.done = total, watch, 0
        quiet = watch is not None or not sys.stderr.isatty()
        self.bar = tqdm(total=total, desc="collecting", unit=" tokens", leave=False, disable=quiet)

    def __enter__(self) -> Callable[[int], None]:
        return self.advance

    def advance(self, count: int) -> None:
        self.done += count
        self.bar.update(count)
        if self.watch is not None:
            self.watch(self.done, self.total)

    def __exit__(self, *_: object) -> None:
        self.bar.close()
