"""What objectives of logits against a distribution have in common: the passes over its rows, and the work they do."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from experiments.heads.kernels import kernel_for
from synth import ContextualDistribution
from synth._array import Array, epsilon, namespace

CHUNK_ENTRIES = 2**27
"""Logits formed at once at most by default (1 GiB in float64): on a GPU so many, on the host what suits its cache."""


class CrossEntropy:
    """Logits held against the rows of ``distribution``, ``chunk_entries`` of them at once at most, one row at least.

    ``work`` counts matrix products, of which ``products`` make one evaluation.
    """

    products: ClassVar[int]

    def __init__(self, distribution: ContextualDistribution, chunk_entries: int) -> None:
        if chunk_entries < 1:
            raise ValueError(f"chunk_entries must be >= 1, found {chunk_entries}")
        self.distribution, self.vocab = distribution, distribution.vocab
        self.pi = distribution.weights
        self.xp = namespace(self.pi)
        self.kernel = kernel_for(self.pi)
        self.step = self.kernel.rows(self.vocab, chunk_entries)
        self.work = 0.0

    @property
    def evaluations(self) -> float:
        """Gradient evaluations done so far, counted by their matrix products."""
        return self.work / self.products

    @cached_property
    def entropy(self) -> float:
        """H(P) in nats."""
        return self.distribution.entropy

    @cached_property
    def constants(self) -> Array:
        """``H(p_c)`` of each row (C,), nats, as the kernel wants it."""
        return self.kernel.constants(self.distribution.table)

    def rounding(self, gap: float) -> float:
        """What a difference of two gaps near ``gap`` may owe to rounding, nats."""
        eps = epsilon(self.pi)
        return 8 * eps * (1.0 + abs(gap) + self.entropy) if self.pi.dtype == self.xp.float64 else eps * (0.1 + abs(gap))

    @cached_property
    def base(self) -> Array:
        """Unigram law (V,) lifted by a thousandth of the uniform one, so that unseen tokens have a scale too."""
        return 0.999 * self.distribution.marginal + 0.001 / self.vocab
