"""What is known of a distribution by construction, kept beside it so that fits and bounds can be checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class SpecLike(Protocol):
    """The two attributes of ``theory.HeadSpec`` that an exact floor depends on."""

    @property
    def dim(self) -> int:
        """Head dimension d."""
        ...

    @property
    def bias(self) -> bool:
        """Whether the head has a bias."""
        ...


@dataclass(frozen=True)
class Known:
    """Facts that the generator of a distribution vouches for; ``None`` means "not known", never "no".

    ``family`` and ``parameters`` (the seed among them) name the generator and regenerate the instance.
    ``logit_rank`` is the rank of ``log P J`` (the dimension at which a head without bias is exact),
    ``bias_rank`` that of ``Q log P J`` (with a bias); both need every probability to be positive.
    ``probability_rank`` is the rank of P itself, ``entropy`` the weighted entropy in nats per token where a closed
    form exists, and ``floors`` maps ``(dim, bias)`` to exact floors in nats.
    """

    family: str = "custom"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    logit_rank: int | None = None
    bias_rank: int | None = None
    probability_rank: int | None = None
    entropy: float | None = None
    floors: Mapping[tuple[int, bool], float] = field(default_factory=dict)

    def rank(self, bias: bool) -> int | None:
        """The dimension from which the head is exact, where the family states it."""
        return self.bias_rank if bias else self.logit_rank
