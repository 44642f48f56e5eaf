"""When to look, and how fast to learn: checkpoints by logarithm of the step, learning rates by step and by width."""

from __future__ import annotations

import math
from typing import Any

from experiments.lm.train.config import Recipe, TrainConfig
from experiments.lm.train.model import GPTNeoX

BETAS, EPS = (0.9, 0.95), 1e-8
"""Adam's averages and offset, as for Pythia."""


def checkpoint_steps(config: TrainConfig) -> list[int]:
    """Steps 0, 1, 2, 4, 8, ... and ``even`` evenly spaced ones up to the last.

    Powers of two follow the descent, where the loss falls with the logarithm of the step; even ones the late course,
    where powers of two would leave two points for half of the training.
    """
    last, even = config.steps, config.watch.even
    powers = {2**k for k in range(last.bit_length()) if 2**k <= last}
    return sorted({0, last} | powers | {round(last * k / even) for k in range(1, even + 1)})


def rate_factor(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate of the update after ``step``, relative to the peak: linear warm-up, then cosine to ``final``."""
    warm = max(1, round(recipe.warmup * steps))
    if step < warm:
        return (step + 1) / warm
    share = (step - warm) / max(1, steps - warm)
    return recipe.final + (1 - recipe.final) * (1 + math.cos(math.pi * share)) / 2


def parameter_groups(model: GPTNeoX, width: int, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters of AdamW by the width rule; each group has its peak rate as ``peak``.

    Under Adam an update of a product over d inputs moves its output by d times the rate, so rates of products (the
    head included) go as ``base_width / d``, and those of embedding, norms and biases are constant (maximal update
    parametrisation, Yang et al. 2021).  Weight decay of products goes as ``d / base_width``: AdamW multiplies it by the
    rate, and so weights shrink equally fast at every width.
    """
    ratio = width / recipe.base_width
    named = list(model.named_parameters())
    products = [p for name, p in named if p.ndim == 2 and "embed_in" not in name]
    embedding = [p for name, p in named if "embed_in" in name]
    vectors = [p for _, p in named if p.ndim == 1]
    return [
        {"params": products, "peak": recipe.rate / ratio, "weight_decay": recipe.weight_decay * ratio},
        {"params": embedding, "peak": recipe.rate, "weight_decay": recipe.weight_decay},
        {"params": vectors, "peak": recipe.rate, "weight_decay": 0.0},
    ]
