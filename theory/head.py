"""Heads: the class a statement speaks of (``HeadSpec``) and one member of it (``Head``).

A head of dimension d gives logits ``A = H W' + 1 b'`` with hidden states ``H`` (C, d), unembedding ``W`` (V, d) and
an optional bias ``b`` (V,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from synth import ContextualDistribution, logspace
from synth._array import Array, like, namespace

CHUNK_ENTRIES = 2**20
"""Logits formed at once when a head is evaluated (8 MiB in float64)."""


@dataclass(frozen=True)
class HeadSpec:
    """The model class: dimension ``dim`` >= 0, with or without ``bias``, and optional limits.

    ``max_underestimate = M`` keeps heads with ``q >= e^-M p`` entrywise (the class Q_M); ``logit_range = B`` keeps
    heads whose logits differ by at most B within each context.  ``None`` is the unbounded class.
    """

    dim: int
    bias: bool = False
    max_underestimate: float | None = None
    logit_range: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.dim, bool) or not isinstance(self.dim, int) or self.dim < 0:
            raise ValueError(f"dim must be an integer >= 0, found {self.dim!r}")
        if not isinstance(self.bias, bool):
            raise ValueError(f"bias must be True or False, found {self.bias!r}")
        for name in ("max_underestimate", "logit_range"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be > 0 or None (unbounded), found {limit!r}")

    @property
    def rank(self) -> int:
        """Rank of the logit matrix the class allows: ``dim``, plus one for a bias."""
        return self.dim + int(self.bias)

    @property
    def is_unbounded(self) -> bool:
        """Whether no limit is set."""
        return self.max_underestimate is None and self.logit_range is None

    def check_against(self, distribution: ContextualDistribution) -> None:
        """Raise ``ValueError`` when ``dim`` exceeds the vocabulary."""
        if self.dim > distribution.vocab:
            raise ValueError(
                f"dim = {self.dim} exceeds the vocabulary of {distribution.vocab} tokens; "
                f"{max(distribution.vocab - 1, 0)} dimensions are already exact"
            )


@dataclass(frozen=True, eq=False)
class Head:
    """An actual head: ``H`` (C, d), ``W`` (V, d), ``b`` (V,) or ``None``; evaluates itself on a distribution."""

    H: Array
    W: Array
    b: Array | None = None

    @property
    def dim(self) -> int:
        """Dimension d."""
        return int(self.W.shape[1])

    @property
    def bias(self) -> bool:
        """Whether a bias is present."""
        return self.b is not None

    def logits(self, start: int = 0, stop: int | None = None) -> Array:
        """``H W' + 1 b'`` for contexts ``start:stop``, shape (stop - start, V)."""
        A = self.H[start : self.H.shape[0] if stop is None else stop, :] @ self.W.T
        return A if self.b is None else A + self.b[None, :]

    def log_q(self, start: int = 0, stop: int | None = None) -> Array:
        """Log-probabilities of the head for contexts ``start:stop``."""
        return logspace.log_softmax(self.logits(start, stop))

    def gap(self, distribution: ContextualDistribution) -> float:
        """``sum_c pi_c KL(p_c || q_c)``, nats per token above the entropy, in float64; +inf is possible.

        Logits are formed ``CHUNK_ENTRIES`` at a time.  Raises ``ValueError`` when the shapes do not match.
        """
        head, target = self._double(), distribution.on(_double(distribution.weights))
        head.check_shape(distribution)
        total = 0.0
        step = max(1, CHUNK_ENTRIES // distribution.vocab)
        for start in range(0, distribution.contexts, step):
            stop = min(start + step, distribution.contexts)
            rows = target.table.divergence(like(head.log_q(start, stop), target.weights), start, stop)
            total += float(target.weights[start:stop] @ rows)
        return total

    def loss(self, distribution: ContextualDistribution) -> float:
        """Cross-entropy in nats per token: the entropy plus the gap."""
        return distribution.entropy + self.gap(distribution)

    def underestimate(self, distribution: ContextualDistribution) -> float:
        """The smallest M >= 0 with ``q >= e^-M p`` entrywise: the class Q_M this head lies in."""
        self.check_shape(distribution)
        worst = 0.0
        step = max(1, CHUNK_ENTRIES // distribution.vocab)
        for start in range(0, distribution.contexts, step):
            stop = min(start + step, distribution.contexts)
            log_p = distribution.table.block(start, stop)
            xp = namespace(log_p)
            log_q = like(self.log_q(start, stop), log_p)
            inside = xp.isfinite(log_p)
            excess = xp.where(inside, xp.where(inside, log_p, xp.zeros_like(log_p)) - log_q, xp.zeros_like(log_p))
            worst = max(worst, float(xp.max(excess)))
        return worst

    @cached_property
    def logit_range(self) -> float:
        """The largest difference of two logits of one context."""
        worst = 0.0
        step = max(1, CHUNK_ENTRIES // int(self.W.shape[0]))
        for start in range(0, int(self.H.shape[0]), step):
            A = self.logits(start, min(start + step, int(self.H.shape[0])))
            xp = namespace(A)
            worst = max(worst, float(xp.max(xp.max(A, axis=1) - xp.min(A, axis=1))))
        return worst

    def belongs_to(self, spec: HeadSpec, distribution: ContextualDistribution) -> bool:
        """Whether this head is a member of the class ``spec`` on ``distribution``."""
        if self.dim > spec.dim or (self.bias and not spec.bias):
            return False
        if spec.logit_range is not None and self.logit_range > spec.logit_range:
            return False
        limit = math.inf if spec.max_underestimate is None else spec.max_underestimate
        return limit == math.inf or self.underestimate(distribution) <= limit

    def on(self, reference: Array) -> Head:
        """The same head in the library, device and dtype of ``reference``."""
        return Head(
            like(self.H, reference), like(self.W, reference), None if self.b is None else like(self.b, reference)
        )

    def check_shape(self, distribution: ContextualDistribution) -> None:
        """Raise ``ValueError`` unless the head is for as many contexts and tokens as ``distribution``."""
        if (self.H.shape[0], self.W.shape[0]) != (distribution.contexts, distribution.vocab):
            raise ValueError(
                f"the head is for {self.H.shape[0]} contexts x {self.W.shape[0]} tokens, the distribution has "
                f"{distribution.contexts} x {distribution.vocab}; fit a head on this distribution"
            )

    def _double(self) -> Head:
        return Head(_double(self.H), _double(self.W), None if self.b is None else _double(self.b))


def _double(array: Array) -> Array:
    xp = namespace(array)
    return xp.astype(array, xp.float64)
