"""The embedded text, users' files, and the tokenizer with its cache."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lm import corpus
from synth import families

TEXT = "the whale, the whale; the white whale — naïvely, the whale.\n" * 20


def test_the_embedded_novel_is_whole():
    text = corpus.moby_dick()
    assert text.startswith("CHAPTER 1. Loomings.\n\nCall me Ishmael.")
    assert text.rstrip().endswith("rolled five thousand years ago.")
    assert 1_150_000 < len(text) < 1_250_000


def test_a_corpus_decodes_to_its_text(tmp_path):
    cut = corpus.tokenize(TEXT, vocab=270, name="whale", cache=tmp_path)
    assert cut.vocab == 270
    assert len(set(cut.pieces)) == 270
    assert cut.tokens.min() >= 0
    assert cut.tokens.max() < 270
    assert len(cut.tokens) < len(TEXT.encode())
    assert cut.decode(cut.tokens) == TEXT
    assert cut.name == "whale"


@settings(max_examples=settings.default.max_examples // 10)
@given(text=st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()))
def test_any_text_survives_the_cut(text, tmp_path_factory):
    cut = corpus.tokenize(text, vocab=260, cache=tmp_path_factory.getbasetemp() / "any")
    assert cut.decode(cut.tokens) == text
    assert corpus.BYTES <= cut.vocab <= 260


def test_a_short_text_reaches_fewer_tokens_than_asked(tmp_path):
    cut = corpus.tokenize("whale", vocab=4096, cache=tmp_path)
    assert cut.vocab < 4096
    assert cut.tokens.tolist() == [cut.vocab - 1]


def test_training_is_deterministic_and_the_cache_is_used(tmp_path):
    first = corpus.tokenize(TEXT, 300, cache=tmp_path / "a")
    second = corpus.tokenize(TEXT, 300, cache=tmp_path / "b")
    (entry,) = (tmp_path / "a").iterdir()
    written = entry.stat().st_mtime_ns
    again = corpus.tokenize(TEXT, 300, cache=tmp_path / "a")
    for other in (second, again):
        assert np.array_equal(other.tokens, first.tokens)
        assert other.pieces == first.pieces
    assert entry.stat().st_mtime_ns == written
    assert len(list((tmp_path / "a").iterdir())) == 1


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[:-40], lambda raw: b"not an archive at all"])
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    first = corpus.tokenize(TEXT, 300, cache=tmp_path)
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    again = corpus.tokenize(TEXT, 300, cache=tmp_path)
    assert np.array_equal(again.tokens, first.tokens)
    assert len(entry.read_bytes()) == len(whole)


def test_flipped_bytes_in_the_cache_are_noticed(tmp_path):
    first = corpus.tokenize(TEXT, 300, cache=tmp_path)
    (entry,) = tmp_path.iterdir()
    raw = bytearray(entry.read_bytes())
    raw[120] ^= 0xFF
    entry.write_bytes(raw)
    assert np.array_equal(corpus.tokenize(TEXT, 300, cache=tmp_path).tokens, first.tokens)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cut = corpus.tokenize(TEXT, 300, cache=blocked / "cache")
    assert cut.decode(cut.tokens) == TEXT
    assert blocked.read_text() == "in the way"


def test_the_default_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    corpus.tokenize(TEXT, 300)
    assert [path.suffix for path in (tmp_path / "rankfloor").iterdir()] == [".npz"]


def test_a_corpus_feeds_the_ngram_family(tmp_path):
    cut = corpus.tokenize(TEXT, 300, cache=tmp_path)
    distribution = families.ngram(cut.tokens, 2, cut.vocab)
    assert distribution.entropy < families.ngram(cut.tokens, 1, cut.vocab).entropy


def test_files_are_read_plain_packed_and_marked(tmp_path):
    (tmp_path / "plain.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "marked.txt").write_text(TEXT, encoding="utf-8-sig")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(TEXT.encode()))
    for name in ("plain.txt", "marked.txt", "packed.gz"):
        assert corpus.read_text(tmp_path / name) == TEXT


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", "naïve".encode("latin-1"), "is not UTF-8 (byte 2)"),
        ("empty.txt", b" \n", "is empty"),
        ("binary.txt", b"abc\x00def", "holds NUL characters"),
        ("fake.gz", b"plain text", "cannot be read"),
        ("short.gz", gzip.compress(TEXT.encode(), mtime=0)[:-12], "cannot be read"),
    ],
)
def test_files_that_are_not_text_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        corpus.read_text(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.txt cannot be read .* give a text file"):
        corpus.read_text(tmp_path / "nowhere.txt")


@pytest.mark.parametrize("vocab", [255, 0, 300.0, True])
def test_a_vocabulary_below_the_bytes_is_refused(vocab, tmp_path):
    with pytest.raises(ValueError, match=r"at least 256 \(the byte alphabet\)"):
        corpus.tokenize(TEXT, vocab, cache=tmp_path)


def test_an_empty_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the text is empty"):
        corpus.tokenize("", 300, cache=tmp_path)
