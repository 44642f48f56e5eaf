"""The block functions of both storages, against the dense formula they stand for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import ContextualDistribution, strategies
from synth.table import SparseTable
from tests.tolerances import rounding

HALF = settings(max_examples=settings.default.max_examples // 2)
"""Each draw builds three tables."""


@st.composite
def blocks(draw):
    """A dense and a sparse table of one law, some logits, and a range of contexts."""
    distribution = draw(strategies.distributions())
    dense = ContextualDistribution.from_probabilities(distribution.p, distribution.weights).table
    sparse = ContextualDistribution.from_counts(distribution.p, distribution.weights).table
    start = draw(st.integers(0, distribution.contexts - 1))
    stop = draw(st.integers(start + 1, distribution.contexts))
    logits = np.random.default_rng(draw(strategies.seeds())).standard_normal((stop - start, distribution.vocab))
    return dense, sparse, logits, start, stop


@HALF
@given(blocks())
def test_block_inner_and_residual_are_the_dense_formulas(block):
    dense, sparse, logits, start, stop = block
    P = np.exp(dense.log_p[start:stop])
    for table in (dense, sparse):
        slack = rounding(float(np.abs(logits).max()), logits.size)
        assert np.max(np.abs(np.exp(table.block(start, stop)) - P)) <= slack
        assert np.max(np.abs(table.inner(logits, start, stop) - (P * logits).sum(axis=1))) <= slack
        assert np.max(np.abs(table.residual(logits.copy(), start, stop) - (logits - P))) <= slack


@HALF
@given(blocks())
def test_taking_rows_and_columns_is_indexing(block):
    dense, sparse, _, start, stop = block
    rows, columns = np.arange(start, stop)[::-1], np.arange(dense.shape[1])[::-2]
    wanted = dense.p[np.ix_(rows, columns)]
    for table in (dense, sparse):
        taken = table.take(contexts=rows, tokens=columns)
        assert taken.shape == wanted.shape
        assert np.max(np.abs(np.exp(taken.block(0, len(rows))) - wanted)) <= rounding(1, wanted.size)


@given(strategies.raw_distributions())
def test_sparse_rows_are_sorted_distinct_and_positive(distribution):
    table = ContextualDistribution.from_counts(distribution.p).table
    assert isinstance(table, SparseTable)
    assert np.all(np.isfinite(table.log_p))
    assert np.all(np.diff(table.starts) >= 1)
    for start, stop in zip(table.starts[:-1], table.starts[1:], strict=True):
        assert np.all(np.diff(table.columns[start:stop]) > 0)
    assert np.max(np.abs(table.to_csr().toarray() - distribution.p)) <= rounding(1, distribution.vocab)
