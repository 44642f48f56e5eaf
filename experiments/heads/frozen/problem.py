"""One problem on frozen features: the target, the whitened features, and the way from their coordinates and back.

Features are whitened in float64 whatever the precision of the target.  A target in float32 is fitted in float32,
factors and tables; what is reported is evaluated again in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from experiments.heads.descent import Options
from experiments.heads.frozen.features import Factors, Whitened, whiten
from experiments.heads.frozen.fitted import FrozenFit
from experiments.heads.frozen.full import FullObjective
from experiments.heads.frozen.objective import FrozenObjective
from experiments.heads.frozen.target import Target, in_precision, resolve
from synth import ContextualDistribution
from synth._array import Array, like, namespace
from theory import HeadSpec
from theory.frozen import FrozenHead


@dataclass(frozen=True, eq=False)
class FrozenProblem:
    """Features ``X`` (N, D) with their target, and how hard to work."""

    X: Array
    distribution: ContextualDistribution
    bias: bool
    ridge: float
    white: Whitened
    options: Options

    @classmethod
    def of(cls, features: Array, target: Target, bias: bool, options: Options | None) -> FrozenProblem:
        """Check and whiten.  Raises ``ValueError`` as ``resolve`` does."""
        X, distribution, ridge = resolve(features, target)
        weights = like(distribution.weights, X)
        white = whiten(X, weights / namespace(X).sum(weights), bias)
        return cls(X, distribution, bias, ridge, white, options or Options())

    @property
    def convex_rank(self) -> int:
        """Rank from which on nothing is restricted: one direction of the tokens is the gauge of softmax."""
        return min(self.white.width, self.distribution.vocab - 1)

    @property
    def soft(self) -> bool:
        """Whether every token has positive probability in every row, and no ridge is asked for."""
        return self.ridge == 0 and not self.distribution.is_sparse and self.distribution.is_positive

    def check_rank(self, rank: int) -> None:
        """Raise ``ValueError`` unless 0 <= rank <= min(V, D)."""
        limit = min(self.distribution.vocab, int(self.X.shape[1]))
        if isinstance(rank, bool) or not isinstance(rank, int) or not 0 <= rank <= limit:
            raise ValueError(
                f"rank must be an integer between 0 and min(V, D) = {limit}, found {rank!r}; "
                "fit_full fits the unrestricted head"
            )

    @cached_property
    def tables(self) -> Whitened:
        """The whitened features in the precision of the target."""
        white = self.white
        parts = white.Z, white.mean, white.T, white.K, white.stiffness
        return Whitened(*(in_precision(part, self.distribution) for part in parts))

    def full(self) -> FullObjective:
        """A fresh objective for unrestricted heads."""
        return FullObjective(self.distribution, self.tables, self.bias, self.ridge, self.options.chunk_entries)

    def factored(self, rank: int) -> FrozenObjective:
        """A fresh objective for heads of this rank, below ``convex_rank``."""
        spec = HeadSpec(rank, self.bias)
        return FrozenObjective(self.distribution, self.tables, spec, self.ridge, self.options.chunk_entries)

    def enter(self, head: FrozenFit | FrozenHead) -> Factors:
        """A head's factors on the whitened features, as the objective wants them; directions without features are lost.

        Infinite biases are replaced by the logarithm of the (lifted) unigram law.
        """
        self._check_start(head)
        A, B, b = head.A, head.B @ self.white.K.T, head.b
        if self.bias:
            xp, usual = namespace(A), like(self.usual_bias(), A)
            b = xp.zeros_like(usual) if b is None else xp.where(xp.isfinite(b), b, usual)
            b = b + A @ (head.B @ self.white.mean)
        return self.cast((A, B, b))

    def cast(self, factors: Factors) -> Factors:
        """Factors in the precision of the target."""
        A, B, c = factors
        dtype = self.distribution.weights.dtype
        A, B = (namespace(A).astype(part, dtype, copy=False) for part in (A, B))
        return A, B, None if c is None or not self.bias else namespace(A).astype(c, dtype, copy=False)

    def leave(self, factors: Factors) -> Factors:
        """Factors on the whitened features as factors on the features as they came, in float64."""
        A, out = like(factors[0], self.X), like(factors[1], self.X) @ self.white.T.T
        c = factors[2]
        return A, out, None if c is None else like(c, self.X) - A @ (out @ self.white.mean)

    def usual_bias(self) -> Array:
        """Logarithm of the unigram law lifted by a thousandth of the uniform one (V,)."""
        xp = namespace(self.X)
        return xp.log(0.999 * self.distribution.marginal + 0.001 / self.distribution.vocab)

    def never_attained(self, gap: float) -> bool:
        """Whether the infimum is known to lie at infinite logits, given that some head has this gap.

        So it is with a bias where some token never occurs (a ridge leaves the bias free); and where every row allows
        one token only and the gap is below ``min(pi) log 2``: every row then prefers its token, and scaling the logits
        up lowers the loss to 0.
        """
        unseen = self.bias and not bool(namespace(self.X).all(self.distribution.marginal > 0))
        return unseen or self.separated(gap)

    def separated(self, gap: float) -> bool:
        """Whether a gap this low proves that hard labels are separable, the infimum being 0."""
        least = float(namespace(self.X).min(self.distribution.weights))
        return self.ridge == 0 and int(self.distribution.support_sizes.max()) == 1 and gap < least * math.log(2)

    def _check_start(self, fit: FrozenFit | FrozenHead) -> None:
        found = (int(fit.A.shape[0]), int(fit.B.shape[1]))
        needed = (self.distribution.vocab, int(self.X.shape[1]))
        if found != needed:
            raise ValueError(
                f"the start is for {found[0]} tokens and {found[1]} features, the problem has {needed[0]} and "
                f"{needed[1]}; fit one on this problem"
            )
        if fit.b is not None and not self.bias:
            raise ValueError("the start has a bias and the fit asked for has none; set bias=True or refit the start")
