"""Frozen features and the full head above them: the problem whose rank-constrained floor is bounded.

Features ``X`` (N, D) with weights ``pi`` are given, and a full head: matrix ``W`` (V, D), bias ``b`` (V,) or none.  Its
own laws ``p_n = softmax(W x_n + b)`` are the target, and

    g_X(r) = inf { sum_n pi_n KL(p_n || softmax(W' x_n + b')) : rank W' <= r },     b' free if there is a bias, else 0.

Any other target leads here.  Where the full head minimises ``sum_n pi_n KL(t_n || .)`` its residuals are orthogonal to
the features, ``sum_n pi_n (t_n - p_n) (x_n, 1)' = 0``.  For any other head on these features, ``log p_n - log q_n`` is
linear in ``(x_n, 1)`` up to a constant over the tokens, so

    sum_n pi_n KL(t_n || q_n) = sum_n pi_n KL(t_n || p_n) + sum_n pi_n KL(p_n || q_n)

(the Pythagorean identity of exponential families): what the rank costs is measured against the full head alone.

The laws are never held as a table: rows are visited in blocks and their logits formed anew, unless they are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synth import logspace
from synth._array import Array, device, is_array, like, namespace
from synth._check import member
from theory.head import CHUNK_ENTRIES

LEAST_ROWS = 256
"""Rows of a block at least, so that adding up V x D gradients costs less than making them."""

KEPT_ENTRIES = 2**22
"""Entries (N V) up to which the laws are kept after they were first formed (32 MiB in float64)."""


@dataclass(frozen=True)
class Passes:
    """How passes over the N x V entries are made.

    ``precision``: of the tables, "float64" or "float32"; what they add up to is kept in float64.  In float32 a loss is
    good to about 1e-6 nats, for less than half of the time and memory.  ``kept``: entries up to which tables are kept
    between passes, ``None`` for ``KEPT_ENTRIES``.
    """

    precision: str = "float64"
    kept: int | None = None

    def __post_init__(self) -> None:
        member("precision of the tables", self.precision, ("float64", "float32"))


@dataclass(frozen=True, eq=False)
class Block:
    """Rows ``start:stop``: features (n, D) and weights (n,) in float64, log-probabilities (n, V)."""

    start: int
    stop: int
    X: Array
    weights: Array
    log_p: Array


@dataclass(frozen=True, eq=False)
class FrozenProblem:
    """Features (N, D), full head (V, D) with bias (V,) or ``None``, weights (N,) that sum to one; float64.

    Build it with ``FrozenProblem.of``, which checks.
    """

    X: Array
    W: Array
    b: Array | None
    weights: Array
    passes: Passes = Passes()

    @classmethod
    def of(
        cls,
        X: Array,
        W: Array,
        b: Array | None = None,
        weights: Array | None = None,
        passes: Passes | None = None,
    ) -> FrozenProblem:
        """Check shapes and finiteness, convert to float64, normalise the weights (equal ones by default).

        Raises ``ValueError`` for anything else than finite matrices of matching width and positive weights.
        """
        X = X if is_array(X) else np.asarray(X, dtype=np.float64)
        X, W = _finite(X, X, "features", 2), _finite(W, X, "the full head", 2)
        if X.shape[1] != W.shape[1]:
            raise ValueError(
                f"features have {X.shape[1]} columns and the full head {W.shape[1]}; pass X (N, D) and W (V, D)"
            )
        xp = namespace(X)
        if b is not None:
            b = _finite(b, X, "the bias", 1)
            if b.shape[0] != W.shape[0]:
                raise ValueError(f"the bias has {b.shape[0]} entries for {W.shape[0]} tokens; one each is needed")
        if weights is None:
            weights = xp.ones_like(X[:, 0])
        weights = _finite(weights, X, "weights", 1)
        if weights.shape[0] != X.shape[0] or not bool(xp.all(weights > 0)):
            raise ValueError(f"weights must be {X.shape[0]} positive numbers, one per row; drop rows of weight zero")
        return cls(X, W, b, weights / xp.sum(weights), passes or Passes())

    @property
    def rows(self) -> int:
        """Number N of contexts."""
        return int(self.X.shape[0])

    @property
    def width(self) -> int:
        """Number D of features."""
        return int(self.X.shape[1])

    @property
    def vocab(self) -> int:
        """Number V of tokens."""
        return int(self.W.shape[0])

    @property
    def bias(self) -> bool:
        """Whether the heads have a bias."""
        return self.b is not None

    @property
    def keeps(self) -> bool:
        """Whether tables are kept between passes."""
        limit = KEPT_ENTRIES if self.passes.kept is None else self.passes.kept
        return self.rows * self.vocab <= limit

    @cached_property
    def in_float64(self) -> FrozenProblem:
        """The same problem, every pass made in float64 and nothing kept that was not."""
        return self if self.passes.precision == "float64" else replace(self, passes=Passes())

    @cached_property
    def full_bias(self) -> Array:
        """The bias (V,), zeros where there is none."""
        return namespace(self.W).zeros_like(self.W[:, 0]) if self.b is None else self.b

    def check_rank(self, rank: int) -> None:
        """Raise ``ValueError`` unless 0 <= rank <= min(V, D)."""
        limit = min(self.vocab, self.width)
        if isinstance(rank, bool) or not isinstance(rank, int) or not 0 <= rank <= limit:
            raise ValueError(f"rank must be an integer between 0 and min(V, D) = {limit}, found {rank!r}")

    def subset(self, rows: Array) -> FrozenProblem:
        """The problem on some of its rows (an integer index array), weights renormalised."""
        xp = namespace(self.X)
        index = xp.asarray(np.asarray(rows), device=device(self.X))
        weights = xp.take(self.weights, index, axis=0)
        return replace(self, X=xp.take(self.X, index, axis=0), weights=weights / xp.sum(weights))

    def blocks(self) -> Iterator[Block]:
        """Rows in blocks of about ``CHUNK_ENTRIES`` logits, ``LEAST_ROWS`` at least; kept when all of them are few."""
        if not self.keeps:
            yield from self._formed()
            return
        for start, stop in self._ranges():
            yield Block(start, stop, self.X[start:stop, :], self.weights[start:stop], self._table[start:stop, :])

    def table(self) -> Array:
        """All log-probabilities (N, V), in the precision of the passes; the table that is kept where one is."""
        return self._table if self.keeps else self._filled()

    @cached_property
    def _table(self) -> Array:
        return self._filled()

    def _filled(self) -> Array:
        xp, shape = namespace(self.X), (self.rows, self.vocab)
        table = xp.empty(shape, dtype=getattr(xp, self.passes.precision), device=device(self.X))
        for block in self._formed():
            table[block.start : block.stop, :] = block.log_p
        return table

    def _ranges(self) -> Iterator[tuple[int, int]]:
        step = max(LEAST_ROWS, CHUNK_ENTRIES // self.vocab)
        for start in range(0, self.rows, step):
            yield start, min(start + step, self.rows)

    def _formed(self) -> Iterator[Block]:
        xp = namespace(self.X)
        dtype = getattr(xp, self.passes.precision)
        W, b = xp.astype(self.W, dtype, copy=False), xp.astype(self.full_bias, dtype, copy=False)
        for start, stop in self._ranges():
            X = self.X[start:stop, :]
            log_p = logspace.log_softmax(xp.astype(X, dtype, copy=False) @ W.T + b[None, :])
            yield Block(start, stop, X, self.weights[start:stop], log_p)

    @cached_property
    def moments(self) -> Moments:
        """One pass over the rows: see ``Moments``."""
        xp = namespace(self.X)
        entropy, parts = 0.0, []
        marginal, square = xp.zeros_like(self.full_bias), xp.zeros_like(self.full_bias)
        for block in self.blocks():
            p = xp.exp(block.log_p)
            pi = xp.astype(block.weights, p.dtype, copy=False)
            marginal = marginal + pi @ p
            parts.append(xp.astype(1 - xp.vecdot(p, p), xp.float64, copy=False))
            square = square + pi @ (p * p)
            entropy -= float(pi @ xp.vecdot(p, xp.where(p > 0, block.log_p, xp.zeros_like(p))))
        spread = xp.concat(parts)
        spread = xp.where(spread > 0, spread, xp.zeros_like(spread))
        return Moments(marginal, marginal - square, spread, entropy)


@dataclass(frozen=True, eq=False)
class Moments:
    """What one pass over the laws leaves: averages over contexts or tokens, never the table.

    ``marginal``: ``p_bar`` (V,).  ``token_variance``: ``sum_n pi_n p_nv (1 - p_nv)`` (V,), the Fisher information of a
    token's logit.  ``spread``: ``sum_v p_nv (1 - p_nv)`` (N,), that of a context.  ``entropy``: of the laws, nats.
    """

    marginal: Array
    token_variance: Array
    spread: Array
    entropy: float

    @property
    def mutual_information(self) -> float:
        """``I(context; token)``, nats: exactly ``g_X(0)`` with a bias."""
        return max(0.0, float(logspace.entropy(logspace.log(self.marginal))) - self.entropy)


def _finite(values: Array, reference: Array, what: str, dimensions: int) -> Array:
    """``values`` in float64 where ``reference`` lives; raises ``ValueError`` unless finite and of that many axes."""
    xp = namespace(reference)
    array = xp.astype(like(values, reference), xp.float64)
    if array.ndim != dimensions or 0 in array.shape:
        raise ValueError(f"{what} must be an array of {dimensions} axes, none empty; found shape {tuple(array.shape)}")
    bad = int(xp.sum(xp.astype(~xp.isfinite(array), xp.int64)))
    if bad:
        raise ValueError(f"{what} hold {bad} NaN or infinite entries; drop or repair them first")
    return array
