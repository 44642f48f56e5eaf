"""Measures of heads and states on plain arrays: closed forms, planted effects, nulls, and each of them sabotaged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.lm.measure import frequency, gradient, head, reach, states
from experiments.lm.moments import merge, moments
from synth import ContextualDistribution
from tests.tolerances import identity, rounding
from theory import Head, geometry
from theory.reach import Reach, argmaxable, head_gradient_share

V, D, N = 400, 12, 240
RNG = np.random.default_rng(0)
W = RNG.standard_normal((V, D)).astype(np.float32)
X = (RNG.standard_normal((N, D)) @ np.diag(np.geomspace(3, 0.3, D)) + 1.0).astype(np.float32)
TARGETS = RNG.integers(0, V, N)


def by_measure(rows):
    return {(row.measure, row.of): row for row in rows}


# ---------------------------------------------------------------------- spectra


def test_the_four_spectra_are_those_of_the_matrices_written_out():
    found = {one.name: one.sigma for one in head.head_spectra(W, X)}
    exact, A = W.astype(float), X.astype(float) @ W.T.astype(float)
    A -= A.mean(axis=1, keepdims=True)
    written = {
        head.RAW: exact,
        head.CENTRED: exact - exact.mean(axis=0),
        head.DATA: A / math.sqrt(N),
        head.LOGITS: (A - A.mean(axis=0)) / math.sqrt(N),
    }
    assert set(found) == set(written)
    for name, M in written.items():
        sigma = np.linalg.svd(M, compute_uv=False)[:D]
        np.testing.assert_allclose(found[name], sigma, rtol=identity(), atol=0)
        assert not np.allclose(found[name], sigma * 1.01, rtol=identity(), atol=0)


def test_a_gaussian_head_measures_as_its_null_and_a_spiked_one_does_not():
    """A Gaussian head lies within the spread of the null in every measure; one direction more is seen in all."""
    G = np.random.default_rng(1).standard_normal((600, 40))
    spiked = G + 3 * np.ones((600, 1)) * np.linalg.norm(G[0]) / math.sqrt(40) * np.eye(40)[0]
    for M, gaussian in ((G, True), (spiked, False)):
        rows = by_measure(head.rows(head.head_spectra(M, None)))
        assert len(rows) == 2 * len(head.MEASURES)
        for measure in ("singular entropy of σ (nats)", "singular entropy of σ² (nats)", "stable rank"):
            row = rows[measure, head.RAW]
            assert (abs(row.value - row.null) <= 5 * row.null_spread) == gaussian
            assert math.isnan(row.stderr)
        centred = rows["stable rank", head.CENTRED]  # a constant vector on every row is gauge
        assert abs(centred.value - centred.null) <= 5 * centred.null_spread


def test_the_energy_entropy_null_is_half_the_ratio_and_the_flat_law_is_marchenko_pastur():
    row = by_measure(head.rows(head.head_spectra(W, None)))["singular entropy of σ² (nats)", head.RAW]
    assert row.null == pytest.approx(D / (2 * V), rel=0.1, abs=0)
    one = head.head_spectra(W, None)[0]
    assert np.sum(one.flat**2) == pytest.approx(np.sum(one.sigma**2), rel=0.01, abs=0)
    np.testing.assert_allclose(np.linalg.norm(one.null, axis=1), np.linalg.norm(one.sigma), rtol=identity(), atol=0)


def test_on_states_the_null_is_a_gaussian_head_on_them_and_errors_shrink_with_the_text():
    """A Gaussian head on anisotropic states is far from flat, and its null knows it."""
    rows = by_measure(head.rows(head.head_spectra(W, X)))
    row, plain = rows["participation ratio of σ²", head.DATA], rows["participation ratio of σ²", head.RAW]
    assert abs(row.value - row.null) <= 5 * row.null_spread
    assert abs(row.value - plain.null) > 5 * plain.null_spread
    rng = np.random.default_rng(2)
    few, many = (rng.standard_normal((n, D)) for n in (400, 6400))
    errors = [by_measure(head.rows(head.head_spectra(W, x)))["stable rank", head.DATA].stderr for x in (few, many)]
    assert 2 < errors[0] / errors[1] < 8  # four, but for the uncertainty of eight blocks


def test_dimensions_and_exponents_of_known_spectra():
    law = np.arange(1, 201) ** -0.8
    assert head.tail_exponent(law) == pytest.approx(0.8, rel=identity(), abs=0)
    assert head.tail_exponent(np.append(law[:100], np.zeros(100))) == pytest.approx(0.8, rel=identity(), abs=0)
    assert head.dims_for(0.85)(np.ones(10)) == 9
    assert head.dims_for(0.99)(np.array([10.0, 0.1])) == 1


# ---------------------------------------------------------------------- states


def test_isotropic_states_have_anisotropy_zero_and_a_common_direction_is_seen():
    rng = np.random.default_rng(3)
    parts = [rng.standard_normal((50, D)) for _ in range(8)]
    slices = [{"plain": moments(part), "shifted": moments(part + 1.0)} for part in parts]
    plain, shifted = states.anisotropy_rows(slices)
    assert plain.value == pytest.approx(geometry.anisotropy(np.concatenate(parts)), rel=0, abs=rounding(1, N))
    assert abs(plain.value) <= 5 * plain.null_spread
    assert abs(plain.value) <= 5 * plain.stderr
    assert shifted.value > shifted.null + 5 * max(shifted.stderr, shifted.null_spread)
    assert [plain.of, shifted.of] == ["plain", "shifted"]


def test_the_standard_error_sees_that_passages_differ():
    """Passages with directions of their own: the error over passages exceeds that of independent states."""
    rng = np.random.default_rng(4)
    slices = [{"all": moments(rng.standard_normal((200, D)) + 2 * rng.standard_normal(D))} for _ in range(8)]
    row = states.anisotropy_rows(slices)[0]
    assert row.stderr > 5 * row.null_spread
    assert merge(one["all"] for one in slices).mean_cosine == row.value


# ---------------------------------------------------------------------- token frequency


def zipf_text(seed=5, size=40_000):
    return np.random.default_rng(seed).choice(V, size, p=np.arange(1, V + 1) ** -1.0 / np.sum(1 / np.arange(1, V + 1)))


def test_a_planted_frequency_direction_is_found_and_a_shuffled_one_is_not():
    text = zipf_text()
    log_count = np.log(np.maximum(np.bincount(text, minlength=V), 1))
    planted = W + 20 * np.outer(log_count - log_count.mean(), np.eye(D)[0])
    shuffled = W + 20 * np.outer(np.random.default_rng(6).permutation(log_count - log_count.mean()), np.eye(D)[0])
    for M, aligned in ((planted, True), (shuffled, False), (W, False)):
        found = frequency.alignment(M, text)
        rows = by_measure(found.rows())
        row = rows[frequency.CORRELATION, head.CENTRED]
        assert row.null == pytest.approx(1 / math.sqrt(len(found.tokens) - 1), rel=identity(), abs=0)
        assert (row.value > 0.99) == aligned
        assert aligned or row.value <= 5 * row.null
        share = rows[frequency.EXPLAINED, head.CENTRED]
        assert (share.value > 0.99) == aligned
        assert share.null == pytest.approx(D / (len(found.tokens) - 1), rel=identity(), abs=0)


def test_the_share_explained_is_that_of_least_squares():
    text = zipf_text()
    found = frequency.alignment(W, text)
    y, rows = np.log(found.counts), W[found.tokens].astype(float)
    design = np.column_stack([np.ones(len(y)), rows])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert found.explained == pytest.approx(
        1 - residual @ residual / np.sum((y - y.mean()) ** 2), rel=0, abs=identity()
    )
    U = np.linalg.svd(W.astype(float) - W.mean(axis=0, dtype=float))[0][found.tokens, 0]
    np.testing.assert_allclose(np.abs(found.centred), np.abs(U), rtol=0, atol=identity())


@pytest.mark.parametrize("text", [np.arange(5), np.arange(V)])
def test_a_text_that_shows_no_alignment_is_refused(text):
    with pytest.raises(ValueError, match="give a longer text"):
        frequency.alignment(W, text)


# ---------------------------------------------------------------------- gradients


@pytest.mark.parametrize("b", [None, RNG.standard_normal(V)])
def test_the_gradient_is_that_of_the_head_on_one_hot_targets(b):
    found = gradient.gradient(0.3 * W, b, X, TARGETS)
    one_hot = ContextualDistribution.from_counts(np.eye(V)[TARGETS])
    exact = head_gradient_share(one_hot, Head(X.astype(float), 0.3 * W.astype(float), b))
    assert found.share.energy == pytest.approx(exact.energy, rel=identity(), abs=0)
    assert found.share.null == pytest.approx(exact.null, rel=identity(), abs=0)
    assert found.share.energy != pytest.approx(gradient.gradient(W, b, X, TARGETS).share.energy, rel=identity(), abs=0)
    share, null = found.curve()
    assert share[-1] == pytest.approx(found.share.energy, rel=identity(), abs=0)
    assert null[-1] == pytest.approx(found.share.null, rel=identity(), abs=0)
    assert np.all(np.diff(share) >= 0)


def test_a_head_of_full_rank_keeps_all_and_shares_have_errors():
    square = np.random.default_rng(7).standard_normal((30, 30))
    full = gradient.gradient(square, None, 0.1 * np.random.default_rng(8).standard_normal((60, 30)), TARGETS[:60] % 30)
    assert full.share.energy == pytest.approx(1, rel=identity(), abs=0)
    energy, norm = gradient.gradient(0.3 * W, None, X, TARGETS).rows()
    assert 0 < energy.stderr < energy.value < 1
    assert norm.value == pytest.approx(math.sqrt(energy.value), rel=identity(), abs=0)
    assert norm.null == pytest.approx(math.sqrt(energy.null), rel=identity(), abs=0)
    with pytest.raises(ValueError, match="pass states of this head"):
        gradient.gradient(W, None, X[:, :5], TARGETS)


# ---------------------------------------------------------------------- reach


def test_sampled_tokens_are_judged_as_all_are_and_planted_ones_never_win():
    M = np.random.default_rng(9).standard_normal((150, 4))
    M[0], M[1] = M[2:].mean(axis=0), M[2]
    whole = reach.sampled_tokens(M, None, sample=10**6, programmes=200)
    assert whole.sampled == 150
    assert set(whole.unreachable) == set(argmaxable(M).tokens(Reach.UNREACHABLE)) >= {0, 1, 2}
    twins, never, maybe = whole.rows(M.shape)
    assert (twins.value, twins.null, whole.twins.tolist()) == (2, 0, [1, 2])
    assert never.value == len(whole.unreachable) / 150
    assert maybe.value == 0
    some = reach.sampled_tokens(M, None, sample=40, programmes=0)
    assert some.sampled == sum(some.counts.values()) == 40
    assert set(some.unreachable) <= set(whole.unreachable)
    assert some.undecided > 0


def test_random_sets_of_a_gaussian_head_come_out_on_top_as_often_as_the_null_says():
    sets = reach.sampled_sets(np.random.default_rng(10).standard_normal((900, 40)), draws=300, sizes=(2, 4, 60))
    assert sets.sizes == (2, 4)  # no set larger than the dimension
    for row in sets.rows():
        assert abs(row.value - row.null) <= 5 * row.stderr + 40 / 900
    crowded = reach.sampled_sets(np.random.default_rng(10).standard_normal((900, 40)) + 9 * W[:1, :1], 100, sizes=(4,))
    assert crowded.rows()[0].value > 0  # a vector added to every row is gauge
    flat = reach.sampled_sets(np.random.default_rng(10).standard_normal((900, 6)) @ np.eye(6, 40), 300, sizes=(4,))
    assert flat.rows()[0].null - flat.rows()[0].value > 5 * flat.rows()[0].stderr
