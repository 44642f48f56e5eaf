"""What a ladder of trained widths depends on: one typed definition for presets, command line and the stored run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.config import EMBEDDED
from synth._check import integer, positive

Preset = Literal["tiny", "gpu", "test"]


@dataclass(frozen=True)
class Shape:
    """The models: GPT-NeoX blocks, equal in everything but the width."""

    widths: tuple[int, ...] = (16, 32, 64, 128)
    """Hidden sizes d, one model each; multiples of head_size, or below it."""
    layers: int = 2
    """Blocks."""
    head_size: int = 16
    """Size of an attention head, the same at every width; the widest models have the most heads."""
    vocab: int = 1024
    """Tokens V of the byte-pair vocabulary trained on the text."""
    window: int = 128
    """Tokens a model sees at once."""


@dataclass(frozen=True)
class Recipe:
    """How each model is trained: AdamW, linear warm-up, cosine decay."""

    tokens: int = 5_000_000
    """Tokens seen in training, repetitions of the text counted."""
    batch: int = 16
    """Windows in a batch."""
    rate: float = 8e-3
    """Peak learning rate at width base_width; see schedule.py for the other widths."""
    base_width: int = 64
    """Width at which rate and weight_decay hold as given."""
    warmup: float = 0.01
    """Fraction of the steps in which the learning rate grows linearly."""
    final: float = 0.1
    """Learning rate at the end, relative to the peak."""
    weight_decay: float = 0.1
    """Decoupled weight decay of matrices."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    seed: int = 0
    """Seed of the initial weights and of the order of the text."""


@dataclass(frozen=True)
class Watch:
    """What is looked at along the way."""

    even: int = 24
    """Checkpoints evenly spaced over training, beside those at steps 0, 1, 2, 4, 8, ..."""
    windows: int = 128
    """Windows of held-out text, and as many of the training text, on which a checkpoint is measured."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything a ladder of widths depends on, and where its results go."""

    text: Annotated[str, tyro.conf.Positional] = EMBEDDED
    """A text file (.txt or .gz), or moby-dick for the embedded one."""
    preset: Preset = "tiny"
    """Defaults of everything below: tiny (minutes on two cores), gpu, or test (seconds)."""
    shape: Shape = field(default_factory=Shape)
    recipe: Recipe = field(default_factory=Recipe)
    watch: Watch = field(default_factory=Watch)
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1, ..."""
    out: Path = Path("runs")
    """Folder under which the results are written, in a folder named after the text and the settings."""

    @property
    def batch_tokens(self) -> int:
        """Tokens in a batch."""
        return self.recipe.batch * self.shape.window

    @property
    def steps(self) -> int:
        """Updates in training."""
        return self.recipe.tokens // self.batch_tokens

    @property
    def key(self) -> str:
        """Hash of everything the numbers depend on (not of where they are written)."""
        parts: dict[str, Any] = {part: dataclasses.asdict(getattr(self, part)) for part in ("shape", "recipe", "watch")}
        parts |= {"text": self.text, "device": self.device.split(":")[0]}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def folder(self) -> Path:
        """Where this run writes."""
        return self.out / f"lm-train-{Path(self.text).stem}-{self.key}"


def validate(config: TrainConfig) -> TrainConfig:
    """``config`` itself if its numbers make sense; otherwise a ``ValueError`` that says what to change."""
    shape, recipe, watch = config.shape, config.recipe, config.watch
    if list(shape.widths) != sorted(set(shape.widths)) or not shape.widths:
        raise ValueError(f"widths must be distinct and increasing, found {shape.widths}; sort them")
    for name, value in (("layers", shape.layers), ("head_size", shape.head_size), ("window", shape.window)):
        integer(name, value, 1)
    for width in shape.widths:
        heads(width, shape.head_size)
    integer("batch", recipe.batch, 1)
    integer("base_width", recipe.base_width, 1)
    integer("seed", recipe.seed, 0)
    integer("even", watch.even, 1)
    integer("windows", watch.windows, 2, why="a standard error needs two")
    positive("rate", recipe.rate)
    positive("clip", recipe.clip)
    for name in ("warmup", "final", "weight_decay"):
        if not 0 <= getattr(recipe, name) <= 1:
            raise ValueError(f"{name} must lie in [0, 1], found {getattr(recipe, name)!r}; choose a fraction")
    if recipe.tokens < config.batch_tokens:
        raise ValueError(f"tokens = {recipe.tokens} is less than one batch of {config.batch_tokens}; ask for more")
    return config


def heads(width: int, head_size: int) -> int:
    """Attention heads of a model of this width.  ``ValueError`` for a width that no whole number of heads fills."""
    integer("width", width, 2)
    count = max(1, width // head_size)
    size = width // count
    if width % count or size % 2 or size < 4:
        raise ValueError(
            f"width {width} is not filled by attention heads of size {head_size}; choose multiples of {head_size}, "
            "or even widths from 4 up below it"
        )
    return count


def parameters(width: int, shape: Shape) -> dict[str, int]:
    """Parameters of a model: ``body`` (blocks and norms) and ``embeddings`` (in and out)."""
    block = 12 * width**2 + 13 * width
    return {"body": shape.layers * block + 2 * width, "embeddings": 2 * shape.vocab * width}


def training_flops(width: int, shape: Shape) -> int:
    """Floating-point operations to train on one token: six per weight of a product, and those of causal attention."""
    products = shape.layers * 12 * width**2 + shape.vocab * width
    return 6 * products + 6 * shape.layers * width * shape.window


PRESETS: dict[str, TrainConfig] = {
    "tiny": TrainConfig(),
    "gpu": TrainConfig(
        preset="gpu",
        shape=Shape(widths=(16, 32, 64, 128, 256), layers=6, vocab=4096, window=256),
        recipe=Recipe(tokens=300_000_000, batch=128),
        watch=Watch(even=40, windows=256),
        device="cuda",
    ),
    "test": TrainConfig(
        preset="test",
        shape=Shape(widths=(8, 16), layers=1, vocab=320, window=32),
        recipe=Recipe(tokens=60_000, batch=8),
        watch=Watch(even=8, windows=32),
    ),
}
"""Complete configurations by name; see docs/training.md for what they cost."""
