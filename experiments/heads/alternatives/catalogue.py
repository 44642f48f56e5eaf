"""The kinds of heads, by name."""

from __future__ import annotations

from inspect import signature
from typing import Any

from experiments.heads.alternatives.kind import Kind
from experiments.heads.alternatives.mixture import Mixture
from experiments.heads.alternatives.monotonic import Monotonic, PiecewiseLinear
from experiments.heads.alternatives.sigsoftmax import Sigsoftmax
from experiments.heads.alternatives.softmax import Softmax
from synth._check import member

alternatives: dict[str, type[Kind]] = {
    kind.name: kind for kind in (Softmax, Mixture, Sigsoftmax, Monotonic, PiecewiseLinear)
}
"""Every kind of head in the arena, by name."""


def make_kind(name: str, dim: int, bias: bool = False, **parameters: Any) -> Kind:
    """The kind of this name; ``parameters`` that are ``None`` are left at their defaults.

    Raises ``ValueError`` naming the nearest kind, or the nearest parameter of the kind, when one is unknown.
    """
    kind = alternatives[member("kind of head", name, alternatives)]
    given = {key: value for key, value in parameters.items() if value is not None}
    for key in given:
        member(f"parameter of {name}", key, signature(kind).parameters)
    return kind(dim, bias, **given)
