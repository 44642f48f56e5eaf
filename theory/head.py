"""Heads: the class a statement speaks of (``HeadSpec``) and one member of it (``Head``).

A head of dimension d gives logits ``A = H W' + 1 b'`` with hidden states ``H`` (C, d), unembedding ``W`` (V, d) and
an optional bias ``b`` (V,).  A head with a ``float_format`` uses the logits rounded to it: ``q = softmax(fl(A))``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from synth import ContextualDistribution, logspace
from synth._array import Array, like, namespace
from theory.formats import float_format

CHUNK_ENTRIES, CHUNK_ROWS = 2**16, 64
"""Logits formed at once when a head is evaluated: half a MiB in float64, which stays in the cache, unless that makes
fewer rows than a matrix product needs."""


@dataclass(frozen=True)
class HeadSpec:
    """The model class: dimension ``dim`` >= 0, with or without ``bias``, and optional limits.

    ``max_underestimate = M`` keeps heads with ``q >= e^-M p`` entrywise (the class Q_M); ``logit_range = B`` keeps
    heads whose logits differ by at most B within each context; ``norm = N`` keeps heads with
    ``max_c |h_c| max_v |w_v| + max_v |b_v| <= N``, so that no logit exceeds N; it does not change when H is scaled or
    rotated against W, and is the norm of the head of one dimension more that holds the bias, balanced.
    ``float_format`` is the class of heads whose logits are rounded to that format before the softmax
    (``theory.formats``); the other limits then speak of the rounded logits, except the norm.
    ``None`` is the unbounded class.
    """

    dim: int
    bias: bool = False
    max_underestimate: float | None = None
    logit_range: float | None = None
    norm: float | None = None
    float_format: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.dim, bool) or not isinstance(self.dim, int) or self.dim < 0:
            raise ValueError(f"dim must be an integer >= 0, found {self.dim!r}")
        if not isinstance(self.bias, bool):
            raise ValueError(f"bias must be True or False, found {self.bias!r}")
        for name in ("max_underestimate", "logit_range", "norm"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be > 0 or None (unbounded), found {limit!r}")
        if self.float_format is not None:
            float_format(self.float_format)

    @property
    def rank(self) -> int:
        """Rank of the logit matrix the class allows: ``dim``, plus one for a bias."""
        return self.dim + int(self.bias)

    @property
    def is_unbounded(self) -> bool:
        """Whether no limit is set."""
        return self == HeadSpec(self.dim, self.bias)

    @property
    def effective_range(self) -> float:
        """The largest range of a context's logits that B, N and the format allow together; +inf if nothing does."""
        size = math.inf if self.norm is None else self.norm
        if self.float_format is not None:
            fmt = float_format(self.float_format)
            size = min(fmt.largest, size + fmt.error(size))
        return min(2 * size, math.inf if self.logit_range is None else self.logit_range)

    def check_against(self, distribution: ContextualDistribution) -> None:
        """Raise ``ValueError`` when ``dim`` exceeds the vocabulary."""
        if self.dim > distribution.vocab:
            raise ValueError(
                f"dim = {self.dim} exceeds the vocabulary of {distribution.vocab} tokens; "
                f"{max(distribution.vocab - 1, 0)} dimensions are already exact"
            )


@dataclass(frozen=True, eq=False)
class Head:
    """An actual head: ``H`` (C, d), ``W`` (V, d), ``b`` (V,) or ``None``; evaluates itself on a distribution.

    With a ``float_format`` its logits are rounded to that format.
    """

    H: Array
    W: Array
    b: Array | None = None
    float_format: str | None = None

    @property
    def dim(self) -> int:
        """Dimension d."""
        return int(self.W.shape[1])

    @property
    def bias(self) -> bool:
        """Whether a bias is present."""
        return self.b is not None

    def logits(self, start: int = 0, stop: int | None = None) -> Array:
        """``H W' + 1 b'`` for contexts ``start:stop``, rounded to the format if there is one, (stop - start, V)."""
        A = self.H[start : self.H.shape[0] if stop is None else stop, :] @ self.W.T
        A = A if self.b is None else A + self.b[None, :]
        return A if self.float_format is None else float_format(self.float_format).round(A)

    def log_q(self, start: int = 0, stop: int | None = None) -> Array:
        """Log-probabilities of the head for contexts ``start:stop``."""
        return logspace.log_softmax(self.logits(start, stop))

    def gap(self, distribution: ContextualDistribution) -> float:
        """``sum_c pi_c KL(p_c || q_c)``, nats per token above the entropy, in float64; +inf is possible.

        Logits are formed ``CHUNK_ENTRIES`` at a time.  Raises ``ValueError`` when the shapes do not match.
        """
        head, weights = self._double(), _double(distribution.weights)
        head.check_shape(distribution)
        total = 0.0
        step = max(CHUNK_ROWS, CHUNK_ENTRIES // distribution.vocab)
        for start in range(0, distribution.contexts, step):
            stop = min(start + step, distribution.contexts)
            rows = distribution.table.divergence(like(head.log_q(start, stop), weights), start, stop)
            total += float(weights[start:stop] @ rows)
        return total

    def loss(self, distribution: ContextualDistribution) -> float:
        """Cross-entropy in nats per token: the entropy plus the gap."""
        return distribution.entropy + self.gap(distribution)

    def underestimate(self, distribution: ContextualDistribution) -> float:
        """The smallest M >= 0 with ``q >= e^-M p`` entrywise: the class Q_M this head lies in."""
        self.check_shape(distribution)
        worst = 0.0
        step = max(CHUNK_ROWS, CHUNK_ENTRIES // distribution.vocab)
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
        step = max(CHUNK_ROWS, CHUNK_ENTRIES // int(self.W.shape[0]))
        for start in range(0, int(self.H.shape[0]), step):
            A = self.logits(start, min(start + step, int(self.H.shape[0])))
            xp = namespace(A)
            worst = max(worst, float(xp.max(xp.max(A, axis=1) - xp.min(A, axis=1))))
        return worst

    @property
    def norm(self) -> float:
        """``max_c |h_c| max_v |w_v| + max_v |b_v|``: no logit is larger, before rounding."""
        bias = 0.0 if self.b is None else float(namespace(self.b).max(namespace(self.b).abs(self.b)))
        return _largest_row(self.H) * _largest_row(self.W) + bias

    def belongs_to(self, spec: HeadSpec, distribution: ContextualDistribution) -> bool:
        """Whether this head is a member of the class ``spec`` on ``distribution``."""
        if self.dim > spec.dim or (self.bias and not spec.bias):
            return False
        if self.float_format != spec.float_format:
            return False
        if spec.logit_range is not None and self.logit_range > spec.logit_range:
            return False
        if spec.norm is not None and self.norm > spec.norm:
            return False
        limit = math.inf if spec.max_underestimate is None else spec.max_underestimate
        return limit == math.inf or self.underestimate(distribution) <= limit

    def on(self, reference: Array) -> Head:
        """The same head in the library, device and dtype of ``reference``."""
        b = None if self.b is None else like(self.b, reference)
        return Head(like(self.H, reference), like(self.W, reference), b, self.float_format)

    def check_shape(self, distribution: ContextualDistribution) -> None:
        """Raise ``ValueError`` unless the head is for as many contexts and tokens as ``distribution``."""
        if (self.H.shape[0], self.W.shape[0]) != (distribution.contexts, distribution.vocab):
            raise ValueError(
                f"the head is for {self.H.shape[0]} contexts x {self.W.shape[0]} tokens, the distribution has "
                f"{distribution.contexts} x {distribution.vocab}; fit a head on this distribution"
            )

    def _double(self) -> Head:
        b = None if self.b is None else _double(self.b)
        return Head(_double(self.H), _double(self.W), b, self.float_format)


def _largest_row(M: Array) -> float:
    """The largest Euclidean norm of a row."""
    xp = namespace(M)
    return float(xp.max(xp.sqrt(xp.sum(M * M, axis=1))))


def _double(array: Array) -> Array:
    xp = namespace(array)
    return xp.astype(array, xp.float64)
