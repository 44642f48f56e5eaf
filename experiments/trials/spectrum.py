"""The trial "spectrum": floors on logits of a chosen power-law spectrum, size and number of contexts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.trials.floor import floor_lines
from experiments.trials.registry import trial
from synth import families


@dataclass(frozen=True)
class Spectrum:
    """A matrix of logits with singular values ``i^-decay``, i = 1 .. rank, and the heads fitted to it."""

    contexts: int = 60
    """Number of contexts C."""
    vocab: int = 40
    """Number of tokens V."""
    rank: int = 20
    """Number of singular values that are not zero."""
    decay: float = 0.5
    """Exponent of their power law; 0 is flat."""
    scale: float = 1.0
    """Root-mean-square logit."""
    dims: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Dimensions of the ladder, increasing."""


@trial("spectrum")
def spectrum(parameters: Spectrum, seed: int) -> Iterator[dict[str, Any]]:
    """Floors without a bias on logits whose spectrum is ``i^-decay``; one record per dimension.

    Fields as in the trial "floor", ``information``, the mutual information of context and token, and ``logit_tail``,
    the share of the energy of the logits beyond the dimension, nats per token where they are losses.
    """
    sigma = np.arange(1, parameters.rank + 1, dtype=np.float64) ** -parameters.decay
    values = tuple(sigma.tolist())
    distribution = families.low_rank(
        parameters.contexts, parameters.vocab, parameters.rank, spectrum=values, scale=parameters.scale, seed=seed
    )
    energy = sigma**2 / np.sum(sigma**2)
    for line in floor_lines(distribution, parameters.dims, bias=False):
        yield line | {
            "information": distribution.mutual_information,
            "logit_tail": float(np.sum(energy[line["dim"] :])),
        }
