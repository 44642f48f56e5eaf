"""The noun everything stands on: a table of next-token distributions, one row per context, with context weights.

Symbols as in ``docs/notation.md``: C contexts, V tokens, ``P`` (C, V) rows on the simplex, ``L = log P``,
``pi`` (C,) context weights, ``J = I - 11'/V``.  All quantities are in nats per token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from synth import logspace
from synth._array import Array, epsilon, is_array, like, namespace, to_numpy
from synth.known import Known, SpecLike
from synth.table import DenseTable, SparseTable, Table, sparse_table

DENSE_LIMIT = 2**28
"""Entries beyond which a sparse table refuses to be written out densely (2 GiB in float64)."""


@dataclass(frozen=True, eq=False)
class ContextualDistribution:
    """Next-token log-probabilities (C, V), dense or sparse, with positive context weights (C,) that sum to one.

    Build one with ``from_probabilities``, ``from_log_probabilities``, ``from_logits`` or ``from_counts``, or with a
    family of ``synth.families``.  The arrays keep the library, device and dtype they came in.
    """

    table: Table
    weights: Array
    known: Known = field(default_factory=Known)

    # ------------------------------------------------------------------ building

    @classmethod
    def from_probabilities(
        cls, P: Array, weights: Array | None = None, known: Known | None = None
    ) -> ContextualDistribution:
        """From rows of probabilities (C, V); zeros are allowed, rows must sum to one.

        Raises ``ValueError`` for NaN, negative entries, rows that do not sum to one, or bad weights.
        """
        P = _float_matrix(P, "probabilities")
        xp = namespace(P)
        if bool(xp.any(P < 0)):
            raise ValueError(
                f"probabilities must be >= 0, found {float(xp.min(P)):.3g}; pass logits through from_logits"
            )
        _check_row_sums(xp.sum(P, axis=1), P)
        return cls.from_log_probabilities(logspace.log(P), weights, known)

    @classmethod
    def from_log_probabilities(
        cls, log_p: Array, weights: Array | None = None, known: Known | None = None
    ) -> ContextualDistribution:
        """From rows of log-probabilities (C, V), ``-inf`` for zeros; each row must sum to one after ``exp``."""
        log_p = _float_matrix(log_p, "log-probabilities", allow_minus_infinity=True)
        total = logspace.logsumexp(log_p)
        _check_row_sums(namespace(log_p).exp(total), log_p)
        return cls.from_logits(log_p, weights, known)

    @classmethod
    def from_logits(
        cls, logits: Array, weights: Array | None = None, known: Known | None = None
    ) -> ContextualDistribution:
        """From rows of logits (C, V), normalised by softmax; ``-inf`` forbids a token."""
        logits = _float_matrix(logits, "logits", allow_minus_infinity=True)
        if not bool(namespace(logits).all(namespace(logits).isfinite(logspace.logsumexp(logits)))):
            raise ValueError("a row of logits is -inf everywhere; every context needs at least one possible token")
        log_p = logspace.log_softmax(logits)
        return cls(DenseTable(log_p), _check_weights(weights, log_p.shape[0], log_p), known or Known())

    @classmethod
    def from_counts(
        cls, counts: Any, weights: Array | None = None, known: Known | None = None, reference: Array | None = None
    ) -> ContextualDistribution:
        """From a host matrix of counts (C, V), SciPy sparse or dense; unseen tokens get probability zero.

        Context weights default to the row totals.  ``reference`` (an array) fixes the library and device of the
        result, NumPy float64 otherwise.
        """
        from scipy.sparse import csr_array

        matrix = csr_array(counts, dtype=np.float64)
        matrix.sum_duplicates()
        if matrix.shape[0] == 0 or matrix.shape[1] == 0:
            raise ValueError(f"counts have shape {matrix.shape}; at least one context and one token are needed")
        if not np.all(np.isfinite(matrix.data)) or np.any(matrix.data < 0):
            raise ValueError("counts must be finite and >= 0; found NaN, infinite or negative entries")
        matrix.eliminate_zeros()
        totals = np.asarray(matrix.sum(axis=1)).ravel()
        if np.any(totals == 0):
            raise ValueError(f"context {int(np.argmin(totals))} has no counts; drop empty contexts first")
        log_p = np.log(matrix.data) - np.repeat(np.log(totals), np.diff(matrix.indptr))
        table = sparse_table(matrix, log_p, np.zeros(0) if reference is None else reference)
        share = totals / totals.sum() if weights is None else weights
        return cls(table, _check_weights(share, matrix.shape[0], table.log_p), known or Known())

    def with_known(self, known: Known) -> ContextualDistribution:
        """The same table with other facts attached."""
        return replace(self, known=known)

    def on(self, reference: Array) -> ContextualDistribution:
        """The same distribution in the library, device and dtype of ``reference``."""
        return replace(self, table=self.table.on(reference), weights=like(self.weights, reference))

    # ------------------------------------------------------------------ shape

    @property
    def contexts(self) -> int:
        """Number of contexts C."""
        return self.table.shape[0]

    @property
    def vocab(self) -> int:
        """Number of tokens V."""
        return self.table.shape[1]

    @property
    def is_sparse(self) -> bool:
        """Whether only the tokens seen are stored."""
        return isinstance(self.table, SparseTable)

    @cached_property
    def support_sizes(self) -> np.ndarray:
        """Number of tokens of positive probability in each context (C,), on the host."""
        return self.table.support_sizes()

    @property
    def is_positive(self) -> bool:
        """Whether every token has positive probability in every context."""
        return int(self.support_sizes.min()) == self.vocab

    # ------------------------------------------------------------------ what it holds

    @cached_property
    def log_p(self) -> Array:
        """Dense log-probabilities (C, V).  Raises ``ValueError`` for a sparse table too large to write out."""
        if isinstance(self.table, DenseTable):
            return self.table.log_p
        if self.contexts * self.vocab > DENSE_LIMIT:
            raise ValueError(
                f"a dense {self.contexts} x {self.vocab} table was asked of sparse counts; "
                "restrict contexts or tokens first, or read it by blocks with table.block(start, stop)"
            )
        return self.table.block(0, self.contexts)

    @property
    def p(self) -> Array:
        """Dense probabilities (C, V)."""
        return namespace(self.log_p).exp(self.log_p)

    @cached_property
    def entropy(self) -> float:
        """``H(P) = sum_c pi_c H(p_c)``, nats per token: the loss no model can beat."""
        return float(self.weights @ self.table.entropies())

    @cached_property
    def marginal(self) -> Array:
        """The unigram law ``p_bar = sum_c pi_c p_c``, shape (V,)."""
        return self.table.token_mass(self.weights)

    @cached_property
    def marginal_entropy(self) -> float:
        """Entropy of the unigram law, nats per token."""
        return float(logspace.entropy(self.log_marginal))

    @cached_property
    def log_marginal(self) -> Array:
        """``log p_bar``, shape (V,); ``-inf`` for tokens never seen."""
        return logspace.log(self.marginal)

    @property
    def mutual_information(self) -> float:
        """``I(context; token) = sum_c pi_c KL(p_c || p_bar)``, nats per token: the floor of a bias alone."""
        return self.marginal_entropy - self.entropy

    @property
    def centred_logits(self) -> Array:
        """``L J``: log-probabilities minus their mean over tokens (C, V).  Needs every probability positive."""
        self.require_positive("centred logits")
        xp = namespace(self.log_p)
        return self.log_p - xp.mean(self.log_p, axis=1, keepdims=True)

    def known_floor(self, spec: SpecLike) -> float | None:
        """The exact loss floor for ``spec`` (nats above the entropy) where it is known by construction, else ``None``.

        Known are: dimension 0; a dimension that reaches the stated logit rank, ``V - 1``, or the number of contexts;
        supports of at most ``dim / 2`` tokens, with a bias ``(dim + 1) / 2`` (theory page "sparse-support"); and
        whatever the family states.
        A zero may be an infimum that no finite head attains.
        """
        if spec.dim == 0:
            base = self.mutual_information if spec.bias else math.log(self.vocab) - self.entropy
            return max(base, 0.0)
        if (spec.dim, spec.bias) in self.known.floors:
            return self.known.floors[spec.dim, spec.bias]
        full = min(self.vocab - 1, self.contexts - int(spec.bias))
        rank = self.known.rank(spec.bias)
        if spec.dim >= full or (rank is not None and spec.dim >= rank):
            return 0.0
        return 0.0 if spec.dim + int(spec.bias) >= 2 * int(self.support_sizes.max()) else None

    def require_positive(self, purpose: str) -> None:
        """Raise ``ValueError`` unless every probability is positive."""
        if not self.is_positive:
            zeros = 1.0 - float(self.support_sizes.sum()) / (self.contexts * self.vocab)
            raise ValueError(
                f"{purpose} need every probability positive, but {zeros:.1%} of the table is zero; "
                "restrict to a positive block or smooth the distribution (synth.moves), and say so"
            )

    # ------------------------------------------------------------------ sampling

    def sample(self, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """``size`` independent pairs (contexts, tokens), host integer arrays, drawn with ``numpy`` seed ``seed``."""
        rng = np.random.default_rng(seed)
        weights = to_numpy(self.weights).astype(np.float64)
        contexts = np.sort(rng.choice(self.contexts, size=size, p=weights / weights.sum()))
        tokens = np.empty(size, dtype=np.int64)
        starts = np.searchsorted(contexts, np.arange(self.contexts + 1))
        for context in np.flatnonzero(np.diff(starts)):
            here = slice(starts[context], starts[context + 1])
            row = np.exp(to_numpy(self.table.block(int(context), int(context) + 1))[0].astype(np.float64))
            tokens[here] = rng.choice(self.vocab, size=here.stop - here.start, p=row / row.sum())
        order = rng.permutation(size)
        return contexts[order], tokens[order]


def _float_matrix(values: Array, what: str, allow_minus_infinity: bool = False) -> Array:
    """``values`` as a floating (C, V) array without NaN; lists become NumPy arrays."""
    matrix = values if is_array(values) else np.asarray(values, dtype=np.float64)
    xp = namespace(matrix)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{what} have shape {tuple(matrix.shape)}; a matrix (contexts, vocab) with both > 0 is needed")
    if not xp.isdtype(matrix.dtype, "real floating"):
        raise ValueError(f"{what} have dtype {matrix.dtype}; convert them to float64 (or float32)")
    bad = xp.isnan(matrix) | (matrix == math.inf)
    if not allow_minus_infinity:
        bad = bad | (matrix == -math.inf)
    if bool(xp.any(bad)):
        raise ValueError(
            f"{what} hold {int(xp.sum(xp.astype(bad, xp.int64)))} NaN or infinite entries; remove them first"
        )
    return matrix


def _check_row_sums(totals: Array, rows: Array) -> None:
    """Raise unless every total is one, up to 1e-9 or the rounding of a softmax in the precision of ``rows``."""
    error = np.abs(to_numpy(totals).astype(np.float64) - 1.0)
    if float(error.max()) > max(1e-9, 16 * epsilon(rows) * math.sqrt(rows.shape[1])):
        worst = int(error.argmax())
        raise ValueError(
            f"context {worst} sums to {float(totals[worst]):.6g}, not 1; "
            "divide each row by its sum, or pass counts through from_counts or logits through from_logits"
        )


def _check_weights(weights: Any, contexts: int, reference: Array) -> Array:
    """Positive weights summing to one as an array beside ``reference`` (uniform when ``None``)."""
    if weights is None:
        return like(np.full(contexts, 1.0 / contexts), reference)
    host = to_numpy(weights).astype(np.float64) if is_array(weights) else np.asarray(weights, dtype=np.float64)
    if host.shape != (contexts,):
        raise ValueError(f"weights have shape {host.shape}; one weight for each of the {contexts} contexts is needed")
    if not np.all(np.isfinite(host)) or np.any(host <= 0):
        raise ValueError("weights must be finite and > 0; drop contexts of weight zero")
    if abs(host.sum() - 1.0) > max(1e-9, 16 * epsilon(reference) * math.sqrt(contexts)):
        raise ValueError(f"weights sum to {host.sum():.6g}, not 1; divide them by their sum")
    return like(host / host.sum(), reference)
