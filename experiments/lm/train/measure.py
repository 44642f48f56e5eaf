"""What a checkpoint is measured by: losses on both parts of the text, anisotropy by depth, spectrum of the head."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from experiments.lm.train.config import TrainConfig
from experiments.lm.train.data import Text
from experiments.lm.train.model import GPTNeoX
from theory.geometry import anisotropy
from theory.nulls import gaussian_spectra, isotropic_spread
from theory.spectrum import energy_entropy, entropy_rank, singular_entropy, singular_values, stable_rank

DRAWS = 16
"""Random heads behind a null."""


@dataclass(frozen=True)
class Losses:
    """Loss of each window (windows,), nats per token, and hidden states by depth, each (windows * window, d)."""

    windows: np.ndarray
    states: list[np.ndarray]

    @property
    def mean(self) -> float:
        """Nats per token."""
        return float(self.windows.mean())

    @property
    def stderr(self) -> float:
        """Standard error of the mean, windows taken as independent (tokens within one are not)."""
        return float(self.windows.std(ddof=1) / math.sqrt(len(self.windows)))


def evaluate(model: GPTNeoX, inputs: np.ndarray, targets: np.ndarray, batch: int, *, states: bool) -> Losses:
    """Losses of windows (windows, window) under the model, hidden states if wanted; ``batch`` windows at once."""
    device = model.embed_out.weight.device
    losses, kept = [], []
    with torch.no_grad():
        for start in range(0, len(inputs), batch):
            depth = model.gpt_neox(torch.from_numpy(inputs[start : start + batch]).to(device))
            logits = model.embed_out(depth[-1]).flatten(0, 1)
            wanted = torch.from_numpy(targets[start : start + batch]).to(device).flatten()
            token = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
            losses.append(token.cpu().double().numpy().reshape(-1, inputs.shape[1]).mean(axis=1))
            if states:
                kept.append([state.flatten(0, 1).cpu().double().numpy() for state in depth])
    return Losses(np.concatenate(losses), [np.concatenate(layer) for layer in zip(*kept, strict=True)])


def measure(model: GPTNeoX, text: Text, config: TrainConfig) -> dict[str, Any]:
    """All measures of one checkpoint, as plain numbers.

    ``held_out`` and ``train`` in nats per token with standard errors; ``anisotropy`` of the held-out hidden states by
    depth (embedding, after each block, after the final norm, which is what the head multiplies); ``feature_rank``,
    entropy rank of the last of these, centred; of the head W: ``sigma``, and entropies (nats) and ranks read off it.
    ``*_centred`` is the head minus its mean over tokens, which softmax cannot tell from W: what remains of a measure
    when the gauge is taken out.
    """
    held_out = evaluate(model, *text.sample(text.held_out, config.watch.windows), config.recipe.batch, states=True)
    train = evaluate(model, *text.sample(text.training, config.watch.windows), config.recipe.batch, states=False)
    last = held_out.states[-1]
    features = singular_values(np.linalg.qr(last - last.mean(axis=0), mode="r"))
    W = model.embed_out.weight.detach().cpu().double().numpy()
    return {
        "held_out": held_out.mean, "held_out_stderr": held_out.stderr,
        "train": train.mean, "train_stderr": train.stderr,
        "anisotropy": [anisotropy(state) for state in held_out.states],
        "feature_rank": entropy_rank(features),
        **spectrum(W, ""), **spectrum(W - W.mean(axis=0), "_centred"),
    }  # fmt: skip


def spectrum(W: np.ndarray, suffix: str) -> dict[str, Any]:
    """Singular values of a head (V, d), and what is read off them."""
    sigma = singular_values(W)
    return {
        f"sigma{suffix}": sigma.tolist(),
        f"singular_entropy{suffix}": singular_entropy(sigma),
        f"energy_entropy{suffix}": energy_entropy(sigma),
        f"entropy_rank{suffix}": entropy_rank(sigma),
        f"stable_rank{suffix}": stable_rank(sigma),
    }


def spike(W: np.ndarray, text: Text) -> tuple[float, float]:
    """What the largest singular value of a head W (V, d), its mean over tokens taken out, stands for.

    Its share of the energy, and the size of the correlation of its direction over tokens with the logarithm of the
    token counts (plus one each) in the training windows: near 1 where the head without a bias has learned the unigram
    law there.
    """
    left, sigma, _ = np.linalg.svd(W - W.mean(axis=0), full_matrices=False)
    counts = 1.0 + np.bincount(text.targets[text.training].ravel(), minlength=text.vocab)
    share = float(sigma[0] ** 2 / np.sum(sigma**2))
    return share, abs(float(np.corrcoef(left[:, 0], np.log(counts))[0, 1]))


def nulls(text: Text, config: TrainConfig) -> dict[str, Any]:
    """What the measures would be if there were nothing to see.

    ``unigram``: held-out loss of the token frequencies of the training windows (plus one each), nats per token.
    ``by_token``: anisotropy if each token had one isotropic direction of its own wherever it stands: the share of
    pairs of held-out positions with equal tokens.  ``isotropic``: standard deviation about 0 of the anisotropy of
    independent directions, by width.  ``singular_entropy``, ``energy_entropy``, ``entropy_rank``: means over Gaussian
    heads, by width (about d / 8V and d / 2V for the entropies).
    """
    inputs, targets = text.sample(text.held_out, config.watch.windows)
    counts = 1.0 + np.bincount(text.targets[text.training].ravel(), minlength=text.vocab)
    seen, total = np.bincount(inputs.ravel(), minlength=text.vocab), inputs.size
    found: dict[str, Any] = {
        "unigram": float(-np.log(counts / counts.sum())[targets].mean()),
        "by_token": float(np.sum(seen * (seen - 1)) / (total * (total - 1))),
        "isotropic": [isotropic_spread(total, width) for width in config.shape.widths],
    }
    heads = [gaussian_spectra(text.vocab, width, DRAWS, config.recipe.seed) for width in config.shape.widths]
    for name, read in (
        ("singular_entropy", singular_entropy), ("energy_entropy", energy_entropy), ("entropy_rank", entropy_rank),
    ):  # fmt: skip
        found[name] = [float(np.mean([read(sigma) for sigma in spectra])) for spectra in heads]
    return found
