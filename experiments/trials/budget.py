"""The trial "budget": what rank costs and what limited logits or precision cost, on one law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.trials.registry import trial
from synth import families
from theory.budget import budget_surface


@dataclass(frozen=True)
class Budget:
    """All k-subsets of V tokens, and the heads asked about."""

    vocab: int = 12
    """Number of tokens V."""
    k: int = 1
    """Tokens in each subset."""
    dims: tuple[int, ...] = (1, 2, 4, 8)
    """Dimensions of the heads."""
    logit_range: float | None = None
    """Most that the logits of a context may differ by."""
    norm: float | None = None
    """Limit on max |h| max |w| + max |b|."""
    float_format: str | None = None
    """Format that logits are rounded to: float32, bfloat16, float16, fp8-e4m3."""


@trial("budget")
def budget(parameters: Budget, seed: int) -> Iterator[dict[str, Any]]:
    """The proved bracket of the floor at each dimension under one budget; nothing is drawn from the seed.

    ``binds`` says what the lower bound comes from, ``from_rank`` and ``from_budget`` what each alone proves, nats per
    token.
    """
    law = families.all_k_subsets(parameters.vocab, parameters.k)
    limits = {name: getattr(parameters, name) for name in ("logit_range", "norm", "float_format")}
    for cell in budget_surface(law, parameters.dims, [{name: v for name, v in limits.items() if v is not None}]):
        row = {name: value for name, value in cell.row().items() if name not in limits}
        yield row | {"holds": cell.sandwich.holds}
