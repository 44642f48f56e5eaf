"""``rankfloor lm werror``: curves of a text, exact and bounded, beside the Zipf null."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from experiments.lm import ngram
from experiments.lm.corpus import tokenize
from experiments.lm.ngram import dimensions, report, werror_curves
from synth import families
from tests.tolerances import identity
from theory.spectrum import singular_values, w_error

TEXT = "the cat sat on the mat and the dog sat on the cat while a bird sang to the dog. " * 8 + "the end of it. "


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tokenize(TEXT, 290, "little", tmp_path_factory.mktemp("cache"))


def test_curves_are_the_w_error_of_the_conditional_matrix(corpus):
    curves = werror_curves(corpus, [1, 2, 3])
    for order, own in curves.groupby("order"):
        M = families.ngram(corpus.tokens, order, corpus.vocab).table.to_csr().toarray()
        errors = np.asarray(w_error(singular_values(M)))[own["dim"]]
        np.testing.assert_allclose(own["upper"], errors, rtol=0, atol=identity())
        np.testing.assert_allclose(own["lower"], errors, rtol=0, atol=identity())
        assert set(own["contexts"]) == {M.shape[0]}
        assert own["one_hot"].iloc[0] == pytest.approx(np.mean((M > 0).sum(axis=1) == 1), rel=0, abs=identity())
    assert curves["exact"].all()


def test_large_vocabularies_are_bounded_around_the_exact_curve(corpus, monkeypatch):
    exact = werror_curves(corpus, [2, 3])
    monkeypatch.setattr(ngram, "EXACT", 10)
    bounded = werror_curves(corpus, [2, 3], vectors=12)
    assert not bounded["exact"].any()
    assert (bounded["lower"] <= exact["upper"] + identity()).all()
    assert (exact["lower"] <= bounded["upper"] + identity()).all()
    assert (bounded["upper"] - bounded["lower"]).max() > identity()
    assert "each interval wrong with probability 1e-10" in report(bounded)
    assert "at most" in report(bounded)


def test_a_stream_without_branching_is_its_own_null(corpus):
    distinct = type(corpus)(np.arange(256) % 128, corpus.pieces, "cycle", "0" * 64)
    curves = werror_curves(distinct, [2])
    np.testing.assert_allclose(curves["upper"], curves["zipf"], rtol=0, atol=1e-10)
    assert set(curves["one_hot"]) == {1.0}


def test_dimensions_reach_from_0_to_the_rank():
    assert dimensions(1) == [0, 1]
    assert dimensions(4096)[-1] == 4096
    assert dimensions(4096) == sorted(set(dimensions(4096)))


def test_the_command_says_and_writes_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "little.txt").write_text(TEXT)
    arguments = ["lm", "werror", str(tmp_path / "little.txt"), "--vocab", "290", "--orders", "2", "3"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "little: " in said
    assert "largest distance to the Zipf null" in said
    assert set(pd.read_parquet(tmp_path / "out" / "werror.parquet")["order"]) == {2, 3}
    assert (tmp_path / "out" / "werror.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.txt"], "nowhere.txt cannot be read"),
        (["little.txt", "--orders", "6"], "order must be an integer from 1 to 5"),
        (["--vocab", "20"], "vocab must be an integer of at least 256"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "little.txt").write_text(TEXT)
    assert main(["lm", "werror", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not (tmp_path / "runs").exists()
