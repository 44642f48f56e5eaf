"""A language model as this package sees it: a body that maps token windows to states, and a linear head.

``logits = s (h Wᵀ + b)`` with a scale ``s`` that is folded into W and b.  ``experiments.lm.load`` makes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

Visit = Callable[[str, np.ndarray], None]
"""Called with the name of a place in the network and the states (positions, D) float32 there."""

EMBEDDING, BEFORE_NORM, AFTER_NORM = "embedding", "last, before norm", "last, after norm"
"""Names of the input of the first layer, the output of the last one, and of what the head multiplies.

The outputs of the layers between are called ``layer 1``, ``layer 2``, ...
"""


class Body(Protocol):
    """Everything below the head."""

    def states(self, ids: np.ndarray, visit: Visit, every_layer: bool) -> None:
        """Run token windows ``ids`` (windows, length) and visit the places in order, rows window after window."""

    def losses(self, states: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """``-log q(target | state)`` (N,) float64 in nats, from float32 logits."""

    def digest(self) -> str:
        """SHA-256 of the parameters and of the configuration."""


class Tokenizer(Protocol):
    """Text into token numbers."""

    bos: int | None
    """The token that the tokenizer puts in front of a text, if it does."""
    size: int

    def __call__(self, text: str) -> list[int]:
        """Token numbers of a text, nothing added."""


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model with a linear head ``logits = h Wᵀ (+ b)``.

    ``W`` (V, D) float32 and ``b`` (V,) float32 or ``None``; ``caveats`` say what a figure should mention about the
    model; ``head_residual`` is the largest ``|logits - (h Wᵀ + b)|`` over a few tokens, relative to the largest logit.
    A head read on its own has no ``body``, no ``tokenizer``, and ``layers`` 0.
    """

    name: str
    W: np.ndarray
    b: np.ndarray | None = None
    caveats: tuple[str, ...] = ()
    layers: int = 0
    head_residual: float = 0.0
    body: Body | None = field(default=None, repr=False)
    tokenizer: Tokenizer | None = field(default=None, repr=False)

    @property
    def vocab(self) -> int:
        """Number of tokens V: rows of W, padding included."""
        return int(self.W.shape[0])

    @property
    def dim(self) -> int:
        """Dimension D of what the head multiplies."""
        return int(self.W.shape[1])

    @property
    def bos(self) -> int | None:
        """The token that the model expects in front of a text, if any."""
        return None if self.tokenizer is None else self.tokenizer.bos

    def encode(self, text: str) -> np.ndarray:
        """Token numbers (N,) int64 of a text, without special tokens.

        Raises ``ValueError`` for a model that came without a tokenizer, or with one that does not fit its head.
        """
        if self.tokenizer is None:
            raise ValueError(
                f"{self.name} came without a tokenizer; put its tokenizer.json beside the weights, or pass token "
                "numbers of your own to collect"
            )
        if self.tokenizer.size > self.vocab:
            raise ValueError(
                f"the tokenizer of {self.name} has {self.tokenizer.size} tokens, its head only {self.vocab}; give the "
                "tokenizer that belongs to the model"
            )
        return np.array(self.tokenizer(text), dtype=np.int64)

    def fingerprint(self) -> str:
        """SHA-256 of what the model computes: parameters and configuration.  Cost: one pass over the parameters."""
        return hashlib.sha256(self.W.tobytes()).hexdigest() if self.body is None else self.body.digest()
