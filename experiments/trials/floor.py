"""The trial "floor": one distribution, one ladder of dimensions, each fitted and bounded from both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.config import World
from experiments.floor import record
from experiments.heads import Options, ladder
from experiments.source import drawn
from experiments.trials.registry import trial
from synth import ContextualDistribution
from theory.spectrum import singular_values, tail_energy


@dataclass(frozen=True)
class Floor(World):
    """A distribution up to its seed, and the heads that are fitted to it."""

    dims: tuple[int, ...] = (1, 2, 4, 8)
    """Dimensions of the ladder, increasing."""
    bias: bool = False
    """Whether the heads have a bias."""
    tolerance: float = 1e-7
    """Certified local excess aimed at, nats per token."""
    max_evaluations: int = 2000
    """Gradient evaluations allowed per starting point."""
    random_starts: int = 0
    """Further random starting points per dimension, drawn from the trial's seed."""
    memory_mb: int = 512
    """Workspace of the solver beyond the data, MiB."""


@trial("floor")
def floor(parameters: Floor, seed: int) -> Iterator[dict[str, Any]]:
    """Floors along a ladder of dimensions with the best bounds on either side; one record per dimension.

    The seed draws the distribution, where its family draws one, and the random starts.  Fields are those of the table
    of ``rankfloor floor`` (gaps and bounds in nats per token) and ``tail``, the energy of the centred
    log-probabilities beyond the dimension, ``sum_{i>d} sigma_i(D_pi^1/2 L J)^2`` (``None`` with zeros in the table).
    """
    distribution = drawn(parameters, seed)
    options = Options(
        tolerance=parameters.tolerance,
        max_evaluations=parameters.max_evaluations,
        random_starts=parameters.random_starts,
        seed=seed,
        memory=parameters.memory_mb * 2**20,
    )
    yield from floor_lines(distribution, parameters.dims, parameters.bias, options)


def floor_lines(
    distribution: ContextualDistribution, dims: Sequence[int], bias: bool, options: Options | None = None
) -> Iterator[dict[str, Any]]:
    """The records of a ladder: the table of ``rankfloor floor`` without what is measured, and the tail energy."""
    sigma = _spectrum(distribution)
    for fit in ladder(distribution, dims, bias, options):
        line = record(distribution, fit)
        del line["seconds"]  # measured, not computed
        yield line | {"tail": None if sigma is None else tail_energy(sigma, fit.dim)}


def _spectrum(distribution: ContextualDistribution) -> np.ndarray | None:
    """Singular values of ``D_pi^1/2 L J``, or ``None`` where logarithms are infinite."""
    if not distribution.is_positive:
        return None
    return singular_values(np.sqrt(distribution.weights)[:, None] * distribution.centred_logits)
