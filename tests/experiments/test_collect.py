"""Collected states and losses against the model's own pass, resumed and damaged caches, moments, conditionals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from experiments.lm import collect as module
from experiments.lm.collect import clustered_stderr, collect
from experiments.lm.conditionals import conditionals, top_k
from experiments.lm.load import load
from experiments.lm.model import AFTER_NORM, BEFORE_NORM, EMBEDDING, LanguageModel
from experiments.lm.moments import merge, moments
from tests.experiments.tiny import VOCAB, neox, tokenizer
from tests.tolerances import identity, rounding

CLOSE = {"rtol": identity(np.float32), "atol": identity(np.float32)}
TOKENS = np.random.default_rng(0).integers(0, 10, 101)
WINDOW = 16


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A tiny model: as transformers runs it, and as this package loads it."""
    folder = tmp_path_factory.mktemp("neox")
    return neox(folder), load(folder)


@pytest.fixture
def blocks(monkeypatch, loaded):
    """Blocks of two windows; counts the passes made."""
    monkeypatch.setattr(module, "BLOCK", 2 * WINDOW)
    passes, run = [], loaded[1].body.states

    def counted(ids, *rest):
        passes.append(ids)
        run(ids, *rest)

    monkeypatch.setattr(loaded[1].body, "states", counted)
    return passes


def own_pass(model, inputs):
    with torch.inference_mode():
        return model(torch.from_numpy(inputs)[None], output_hidden_states=True)


def test_states_losses_and_moments_are_those_of_the_model(loaded, tmp_path):
    own, model = loaded
    found = collect(model, TOKENS, window=WINDOW, every_layer=True, cache=tmp_path)
    seen = [own_pass(own, TOKENS[start : min(start + WINDOW, 100)]) for start in range(0, 100, WINDOW)]
    np.testing.assert_allclose(found.X, np.concatenate([out.hidden_states[-1][0] for out in seen]), **CLOSE)
    logits = np.concatenate([out.logits[0] for out in seen])
    np.testing.assert_array_equal(found.targets, TOKENS[1:])
    np.testing.assert_allclose(found.losses, -log_softmax(logits, axis=1)[np.arange(100), TOKENS[1:]], **CLOSE)
    assert found.nll == found.losses.mean()
    assert list(found.layers) == [EMBEDDING, "layer 1", "layer 2", BEFORE_NORM, AFTER_NORM]
    for at, name in enumerate([EMBEDDING, "layer 1", "layer 2"]):
        states = np.concatenate([out.hidden_states[at][0] for out in seen])
        np.testing.assert_allclose(found.layers[name].mean, states.mean(axis=0), **CLOSE)
        assert found.layers[name].count == 100
    np.testing.assert_allclose(found.layers[AFTER_NORM].mean, found.mean, **CLOSE)
    np.testing.assert_allclose(found.second_moment, found.X.T @ found.X / 100, **CLOSE)
    assert found.layers[AFTER_NORM].mean_square == pytest.approx(np.trace(found.second_moment), **unnamed(CLOSE))
    assert found.position.tolist() == [at % WINDOW for at in range(100)]


def unnamed(close):
    return {"rel": close["rtol"], "abs": close["atol"]}


def test_the_place_before_the_norm_is_before_it(loaded, tmp_path):
    own, model = loaded
    seen = {}
    model.body.states(TOKENS[None, :WINDOW], seen.__setitem__, every_layer=False)
    assert list(seen) == [BEFORE_NORM, AFTER_NORM]
    with torch.inference_mode():
        normed = own.gpt_neox.final_layer_norm(torch.from_numpy(seen[BEFORE_NORM]))
    np.testing.assert_allclose(normed, seen[AFTER_NORM], **CLOSE)


def test_windows_begin_with_bos_where_the_tokenizer_does(tmp_path):
    own = neox(tmp_path / "model")
    tokenizer(tmp_path / "model", words=10, bos=True)
    model = load(tmp_path / "model")
    found = collect(model, TOKENS, window=WINDOW, cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.targets, TOKENS)
    for start in range(0, 101, WINDOW):
        part = TOKENS[start : start + WINDOW]
        out = own_pass(own, np.concatenate([[10], part[:-1]]))
        np.testing.assert_allclose(found.X[start : start + WINDOW], out.hidden_states[-1][0], **CLOSE)


def test_a_second_run_reads_and_an_interrupted_one_goes_on(loaded, blocks, tmp_path):
    model = loaded[1]
    whole = collect(model, TOKENS, window=WINDOW, cache=tmp_path / "whole")
    assert len(blocks) == 4  # 6 windows in pairs, and a short one

    def stop(done, total):
        assert total == 100
        if done == 4 * WINDOW:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(model, TOKENS, window=WINDOW, cache=tmp_path / "stopped", watch=stop)
    assert len(blocks) == 6
    resumed = collect(model, TOKENS, window=WINDOW, cache=tmp_path / "stopped")
    assert len(blocks) == 8
    again = collect(model, TOKENS, window=WINDOW, cache=tmp_path / "stopped")
    assert len(blocks) == 8
    for found in (resumed, again):
        np.testing.assert_array_equal(found.X, whole.X)
        np.testing.assert_array_equal(found.losses, whole.losses)
        np.testing.assert_array_equal(found.second_moment, whole.second_moment)
        assert list(found.layers) == list(whole.layers)
        assert found.layers[BEFORE_NORM].mean_cosine == whole.layers[BEFORE_NORM].mean_cosine


@pytest.mark.parametrize("damage", ["truncated", "emptied", "another shape"])
def test_a_damaged_block_is_made_again(loaded, blocks, tmp_path, damage):
    whole = collect(loaded[1], TOKENS, window=WINDOW, cache=tmp_path)
    block = sorted(whole.folder.iterdir())[1]
    if damage == "another shape":
        block.write_bytes(sorted(whole.folder.iterdir())[-1].read_bytes())
    else:
        block.write_bytes(block.read_bytes()[:-100] if damage == "truncated" else b"")
    found = collect(loaded[1], TOKENS, window=WINDOW, cache=tmp_path)
    assert len(blocks) == 5
    np.testing.assert_array_equal(found.X, whole.X)


def test_the_cache_is_keyed_by_model_tokens_and_options(loaded, tmp_path):
    neox(tmp_path / "other", seed=1)
    other, text = load(tmp_path / "other"), TOKENS[::-1].copy()
    runs = [
        collect(loaded[1], TOKENS, window=16, cache=tmp_path),
        collect(loaded[1], TOKENS, window=8, cache=tmp_path),
        collect(loaded[1], TOKENS, window=16, every_layer=True, cache=tmp_path),
        collect(loaded[1], text, window=16, cache=tmp_path),
        collect(other, TOKENS, window=16, cache=tmp_path),
    ]
    assert len({run.folder for run in runs}) == len(runs)


def test_a_cache_that_cannot_be_written_is_done_without(loaded, tmp_path, capfd):
    (tmp_path / "file").write_text("in the way")
    found = collect(loaded[1], TOKENS, window=WINDOW, cache=tmp_path / "file")
    assert found.X.shape == (100, 16)
    assert capfd.readouterr() == ("", "")


def test_the_default_cache_follows_the_environment(loaded, tmp_path, monkeypatch):
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path))
    assert collect(loaded[1], TOKENS, window=WINDOW).folder.parent == tmp_path / "collected"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.array([1.0, 2.0]), "vector of at least two integers"),
        (np.array([1]), "vector of at least two integers"),
        (np.array([1, VOCAB]), r"must be in 0 \.\. 59, found 1 \.\. 60"),
        (np.array([-1, 2]), r"must be in 0 \.\. 59"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(loaded, tmp_path, tokens, message):
    with pytest.raises(ValueError, match=message):
        collect(loaded[1], tokens, cache=tmp_path)


def test_a_head_alone_cannot_run(tmp_path):
    with pytest.raises(ValueError, match="is a head alone and cannot run on a text"):
        collect(LanguageModel("head", np.ones((4, 2), np.float32)), TOKENS, cache=tmp_path)


# ---------------------------------------------------------------------- standard error


def test_with_one_token_per_window_the_error_is_the_usual_one():
    x = np.random.default_rng(1).standard_normal(50)
    assert clustered_stderr(x, 1) == pytest.approx(x.std(ddof=1) / math.sqrt(50), rel=rounding(1, 50), abs=0)
    assert math.isnan(clustered_stderr(x, 50))


def test_the_error_sees_what_a_window_shares():
    """Losses that share a term per window: the error is the spread of the mean over repetitions, the naive one not."""
    rng = np.random.default_rng(2)
    repeated = [np.repeat(rng.standard_normal(60), 10) + rng.standard_normal(600) for _ in range(2000)]
    spread = np.std([x.mean() for x in repeated], ddof=1)
    errors = np.array([clustered_stderr(x, 10) for x in repeated])
    known = math.sqrt((1 + 1 / 10) / 60)
    assert abs(spread / known - 1) <= 5 / math.sqrt(2 * 2000)
    sem = 5 * np.std(errors**2, ddof=1) / math.sqrt(2000)
    assert abs(np.mean(errors**2) - known**2) <= sem  # its square is unbiased
    naive = np.mean([x.var(ddof=1) / 600 for x in repeated])
    assert naive < known**2 - sem


# ---------------------------------------------------------------------- moments

STATES = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(STATES, st.integers(2, 30), st.integers(1, 5), st.integers(1, 29), st.booleans())
def test_merged_moments_are_those_of_all_states(rng, n, dim, cut, zero):
    h = rng.standard_normal((n, dim)).astype(np.float32)
    if zero:
        h[0] = 0
    cut = min(cut, n - 1)
    whole, parts = moments(h), merge([moments(h[:cut]), moments(h[cut:])])
    slack = {"rtol": 0, "atol": rounding(30, n)}
    assert (parts.count, parts.zeros) == (whole.count, whole.zeros) == (n, int(zero))
    np.testing.assert_allclose(parts.unit_sum, whole.unit_sum, **slack)
    np.testing.assert_allclose(parts.mean, whole.mean, **slack)
    np.testing.assert_allclose([parts.mean_norm, parts.mean_square], [whole.mean_norm, whole.mean_square], **slack)
    unit = h[int(zero) :].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[~np.eye(len(unit), dtype=bool)]
    if len(cosines):
        assert whole.mean_cosine == pytest.approx(cosines.mean(), rel=0, abs=rounding(1, n))
    else:
        assert math.isnan(whole.mean_cosine)


# ---------------------------------------------------------------------- conditionals


@given(STATES, st.integers(1, 12), st.integers(1, 20), st.booleans())
def test_conditionals_come_in_chunks_and_top_k_splits_them(rng, n, vocab, bias):
    W = rng.standard_normal((vocab, 3)).astype(np.float32) * 20
    b = rng.standard_normal(vocab).astype(np.float32) if bias else None
    head, X = LanguageModel("head", W, b), rng.standard_normal((n, 3)).astype(np.float32)
    logits = X.astype(np.float64) @ W.T.astype(np.float64) + (0 if b is None else b)
    expected = log_softmax(logits, axis=1)
    slack = {"rtol": 0, "atol": rounding(np.abs(logits).max(), vocab)}
    found = np.concatenate([log_p for _, log_p in conditionals(head, X)])
    np.testing.assert_allclose(found, expected, **slack)
    k = int(rng.integers(1, vocab + 1))
    best = top_k(head, X, k)
    np.testing.assert_allclose(best.log_p, -np.sort(-expected, axis=1)[:, :k], **slack)
    np.testing.assert_allclose(np.take_along_axis(expected, best.ids, axis=1), best.log_p, **slack)
    assert (best.log_rest == -np.inf).all() == (k == vocab)
    np.testing.assert_allclose(np.exp(best.log_p).sum(axis=1) + np.exp(best.log_rest), 1, rtol=0, atol=slack["atol"])


def test_chunks_cover_the_rows_in_order(monkeypatch):
    monkeypatch.setattr("experiments.lm.conditionals.ENTRIES", 20)
    X = np.ones((7, 2))
    assert [(part.start, part.stop, len(p)) for part, p in conditionals(np.ones((10, 2)), X)] == [
        (0, 2, 2), (2, 4, 2), (4, 6, 2), (6, 7, 1),
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"found \(10, 2\) and \(7, 3\)"):
        conditionals(np.ones((10, 2)), np.ones((7, 3)))
    with pytest.raises(ValueError, match="k must be an integer from 1 to 10"):
        top_k(np.ones((10, 2)), X, 11)
