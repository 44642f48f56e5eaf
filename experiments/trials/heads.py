"""The trial "heads": heads of another kind than softmax, at equal width, on one law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.config import World
from experiments.heads import Options
from experiments.heads.alternatives import fit_alternative
from experiments.source import drawn
from experiments.trials.registry import trial


@dataclass(frozen=True)
class Heads(World):
    """A distribution up to its seed, and the kind of head that is fitted to it."""

    head: str = "softmax"
    """Kind of head: softmax, mos, sigsoftmax, monotonic, plif."""
    dims: tuple[int, ...] = (1, 2, 4, 8)
    """Widths, increasing; each is started from the one before too."""
    bias: bool = False
    """Whether heads have a bias."""
    max_evaluations: int = 2000
    """Gradient evaluations allowed per starting point."""
    random_starts: int = 2
    """Random starting points per width, drawn from the trial's seed."""


@trial("heads")
def heads(parameters: Heads, seed: int) -> Iterator[dict[str, Any]]:
    """Gaps of one kind of head along its widths beside softmax; one record per width, nats per token."""
    law = drawn(parameters, seed)
    options = Options(max_evaluations=parameters.max_evaluations, random_starts=parameters.random_starts, seed=seed)
    last: list[Any] = []
    for dim in parameters.dims:
        found = fit_alternative(law, parameters.head, dim, options=options, start=last, bias=parameters.bias)
        last = [found.head]
        yield {
            "dim": dim,
            "gap": found.gap,
            "softmax_gap": found.softmax_gap,
            "states": found.kind.states,
            "columns": found.kind.columns,
            "shared": found.kind.shared,
            "status": str(found.status),
            "evaluations": found.evaluations,
        }
