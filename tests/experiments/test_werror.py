"""``rankfloor lm werror``: curves of a text, exact and bounded, beside the Zipf null."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from experiments.lm import ngram
from experiments.lm.corpus import tokenize, train_tokenizer
from experiments.lm.ngram import dimensions, report, werror_curves
from experiments.lm.vocabulary import cut_with
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


def test_a_stream_without_branching_is_its_own_null_within_bounds(corpus, monkeypatch):
    """One-hot rows: both ends of the interval meet the tail of the counts, with no vectors' help."""
    monkeypatch.setattr(ngram, "EXACT", 10)
    distinct = type(corpus)(np.arange(256) % 128, corpus.pieces, "cycle", "0" * 64)
    curves = werror_curves(distinct, [3], vectors=4)
    assert not curves["exact"].any()
    np.testing.assert_allclose(curves["upper"], curves["zipf"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(curves["lower"], curves["zipf"], rtol=0, atol=1e-10)


def test_tokenizers_from_files_cut_as_they_did_when_they_were_trained(corpus, tmp_path):
    bpe = train_tokenizer(TEXT, 290)
    bpe.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "pair").mkdir()
    bpe.model.save(str(tmp_path / "pair"))
    (tmp_path / "first").mkdir()
    for now, first in (("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")):
        (tmp_path / "first" / first).write_bytes((tmp_path / "pair" / now).read_bytes())
    for place in (tmp_path / "tokenizer.json", tmp_path, tmp_path / "pair", tmp_path / "first"):
        cut = cut_with(place, TEXT, "little")
        assert np.array_equal(cut.tokens, corpus.tokens)
        assert cut.pieces == corpus.pieces


def test_a_sentencepiece_model_cuts_the_text(tmp_path):
    library = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    with (tmp_path / "little.model").open("wb") as stream:
        library.SentencePieceTrainer.train(
            sentence_iterator=iter([TEXT]), model_writer=stream, vocab_size=25, minloglevel=2
        )
    cut = cut_with(tmp_path / "little.model", TEXT)
    assert cut.vocab == 25
    assert "".join(cut.pieces[token] for token in cut.tokens).replace("▁", " ").strip() == TEXT.strip()


def test_the_command_reads_a_folder_of_texts_with_a_given_tokenizer(tmp_path, capsys):
    train_tokenizer(TEXT, 290).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "texts").mkdir()
    for name in ("1790.txt", "1791.txt"):
        (tmp_path / "texts" / name).write_text(TEXT)
    arguments = ["lm", "werror", str(tmp_path / "texts"), "--tokenizer", str(tmp_path / "tokenizer.json")]
    assert main([*arguments, "--orders", "2", "--out", str(tmp_path / "out")]) == 0
    assert "texts: " in capsys.readouterr().out
    tokens = pd.read_parquet(tmp_path / "out" / "werror.parquet")["tokens"].iloc[0]
    assert tokens == len(cut_with(tmp_path / "tokenizer.json", f"{TEXT}{TEXT}").tokens)


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
        (["empty"], "empty holds no .txt file"),
        (["little.txt", "--tokenizer", "none.json"], "none.json does not exist"),
        (["little.txt", "--tokenizer", "little.txt"], "little.txt cannot be read as a tokenizer"),
        (["little.txt", "--tokenizer", "empty"], "holds neither tokenizer.json nor vocab.json and merges.txt"),
        (["little.txt", "--tokenizer", "little.model"], "little.model cannot be read as a tokenizer"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "little.txt").write_text(TEXT)
    (tmp_path / "little.model").write_text(TEXT)
    (tmp_path / "empty").mkdir()
    assert main(["lm", "werror", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not (tmp_path / "runs").exists()
