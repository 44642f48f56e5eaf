"""Truncated heads: exact where nothing is cut, the same by both routes, padded, anchored, in the library that came."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth import ContextualDistribution, families
from synth._array import to_numpy
from tests.theory.worlds import ALL, POSITIVE, dirichlet
from tests.tolerances import WITNESS, identity
from theory import Anchor, HeadSpec, truncation, unigram_truncation


def counts(contexts=60, vocab=40, seed=0):
    rng = np.random.default_rng(seed)
    table = rng.multinomial(12, 1 / np.arange(1, vocab + 1) / np.sum(1 / np.arange(1, vocab + 1)), size=contexts)
    return ContextualDistribution.from_counts(table)


@pytest.mark.parametrize("world", POSITIVE)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("anchor", list(Anchor))
def test_nothing_is_lost_at_full_dimension(world, bias, anchor):
    distribution = POSITIVE[world]
    head = unigram_truncation(distribution, distribution.vocab, bias, anchor=anchor)
    assert head.gap(distribution) <= WITNESS
    assert truncation.gauge_truncation(distribution, distribution.vocab, bias).gap(distribution) <= WITNESS


@pytest.mark.parametrize("world", ALL)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("anchor", [None, *Anchor])
def test_every_dimension_gives_a_member_of_the_class_with_a_finite_gap(world, bias, anchor):
    distribution = ALL[world]
    for dim in (0, 1, 2, distribution.vocab):
        head = unigram_truncation(distribution, dim, bias, share=0.3, anchor=anchor)
        assert (head.dim, head.bias) == (dim, bias)
        assert head.belongs_to(HeadSpec(dim, bias), distribution)
        assert np.isfinite(head.gap(distribution))


@pytest.mark.parametrize("world", ALL)
def test_a_bias_alone_is_the_unigram_law(world):
    distribution = ALL[world]
    for head in (
        unigram_truncation(distribution, 0, True, 0.3),
        unigram_truncation(distribution, 1, False, 0.3, Anchor.MARGINAL),
    ):
        assert head.gap(distribution) == pytest.approx(distribution.mutual_information, rel=0, abs=WITNESS)


@pytest.mark.parametrize("anchor", list(Anchor))
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dim", [0, 1, 5])
def test_sparse_and_dense_routes_agree(monkeypatch, anchor, bias, dim):
    distribution = counts()
    dense = unigram_truncation(distribution, dim, bias, 0.3, anchor)
    monkeypatch.setattr(truncation, "SPARSE_ENTRIES", 0)
    sparse = unigram_truncation(distribution, dim, bias, 0.3, anchor)
    again = unigram_truncation(distribution, dim, bias, 0.3, anchor)
    np.testing.assert_allclose(sparse.log_q(), dense.log_q(), rtol=0, atol=identity())
    assert np.array_equal(sparse.H, again.H)


def test_sparse_route_is_taken_without_writing_the_table_out(monkeypatch):
    monkeypatch.setattr(truncation, "SPARSE_ENTRIES", 0)
    distribution = counts()
    unigram_truncation(distribution, 4, True, 0.3)
    assert "log_p" not in vars(distribution)


def test_tokens_never_seen_keep_a_negligible_share():
    distribution = ALL["unseen token"]
    for bias in (False, True):
        head = unigram_truncation(distribution, 2, bias, share=0.2)
        assert np.exp(head.log_q()[:, 3]).max() <= np.exp(-59)


def test_truncation_is_best_in_its_metric():
    distribution = families.near_unigram(contexts=20, vocab=12, eps=1e-3)
    gaps = [
        unigram_truncation(distribution, 3, True, anchor=anchor).gap(distribution)
        for anchor in (Anchor.MEAN, Anchor.MARGINAL)
    ]
    plain = truncation.gauge_truncation(distribution, 3, True).gap(distribution)
    assert max(gaps) < plain


def test_zeros_need_smoothing_and_shares_lie_below_one():
    with pytest.raises(ValueError, match="pass a share > 0"):
        unigram_truncation(ALL["pairs"], 2, True)
    with pytest.raises(ValueError, match="share must lie"):
        unigram_truncation(ALL["pairs"], 2, True, share=1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_library_and_dtype_survive(monkeypatch, dtype):
    for distribution in (dirichlet(9, 7), counts()):
        moved = distribution.on(torch.zeros(1, dtype=dtype))
        head = unigram_truncation(moved, 3, True, share=0.2)
        assert (head.H.dtype, head.W.dtype, head.b.dtype) == (dtype, dtype, dtype)
        reference = unigram_truncation(distribution, 3, True, share=0.2)
        np.testing.assert_allclose(
            to_numpy(head.log_q()), reference.log_q(), rtol=0, atol=30 * identity(to_numpy(head.H).dtype)
        )
        monkeypatch.setattr(truncation, "SPARSE_ENTRIES", 0)
