"""Back-off models: rows with hand-computed back-offs, both file formats, and pocketsphinx's own answers."""

from __future__ import annotations

import gzip
import math
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lm.arpa import read_arpa
from experiments.lm.backoff import BackoffModel, Listed
from experiments.lm.fetch import fetched
from experiments.lm.sphinx import BASE, MAGIC, TABLE, is_sphinx, read_sphinx
from tests.tolerances import identity, rounding

ARPA = r"""written by hand

\data\
ngram 1=4
ngram 2=3
ngram 3=2

\1-grams:
-0.3 a -0.1
-0.6 b -0.2
-0.7 </s>
-99 <s> -0.3

\2-grams:
-0.5 a b -0.05
-0.4 <s> a
-0.2 b a

\3-grams:
-0.1 <s> a b
-0.9 </s> b a

\end\
"""

ROWS = {
    (): {"a": -0.3, "b": -0.6, "</s>": -0.7},
    ("a",): {"a": -0.1 - 0.3, "b": -0.5, "</s>": -0.1 - 0.7},
    ("<s>", "a"): {"a": -0.1 - 0.3, "b": -0.1, "</s>": -0.1 - 0.7},  # its back-off is left out: 0
    ("a", "b"): {"a": -0.05 - 0.2, "b": -0.05 - 0.2 - 0.6, "</s>": -0.05 - 0.2 - 0.7},
    ("b", "b"): {"a": -0.2, "b": -0.2 - 0.6, "</s>": -0.2 - 0.7},  # an unlisted history backs off freely
    ("</s>", "b"): {"a": -0.9, "b": -0.2 - 0.6, "</s>": -0.2 - 0.7},  # listed only as the beginning of a trigram
    ("b", "<s>", "a"): {"a": -0.1 - 0.3, "b": -0.1, "</s>": -0.1 - 0.7},  # cut to two words
}


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "hand.arpa"
    path.write_text(ARPA)
    return path


@pytest.mark.parametrize("history", ROWS, ids=" ".join)
def test_rows_are_those_computed_by_hand(written, history):
    model = read_arpa(written)
    row = model.log_row([model.tokens[word] for word in history]) / math.log(10)
    for word, expected in ROWS[history].items():
        assert row[model.tokens[word]] == pytest.approx(expected, rel=0, abs=rounding(1, 4))
    assert row[model.tokens["<s>"]] == -math.inf


def test_laws_leave_out_what_is_never_predicted_and_are_normalised(written):
    model = read_arpa(written)
    assert [model.words[word] for word in model.predicted] == ["a", "b", "</s>"]
    log_p, sums = model.laws([[], [model.tokens["a"]]])
    assert sums[0] == pytest.approx(10**-0.3 + 10**-0.6 + 10**-0.7, rel=0, abs=rounding(1, 4))
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1.0, rtol=0, atol=rounding(1, 4))


def test_packed_files_and_orders_of_lines_make_no_difference(written, tmp_path):
    packed = tmp_path / "hand.arpa.gz"
    packed.write_bytes(gzip.compress(ARPA.replace("-0.4 <s> a\n-0.2 b a", "-0.2\tb a\n-0.4\t<s>\ta").encode()))
    one, other = read_arpa(written), read_arpa(packed)
    for history in ([3, 0], [1], [2, 1]):
        assert np.array_equal(one.log_row(history), other.log_row(history))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", r"has no line \\data\\"),
        ("ngram 2=3", "ngram 2=4", "announces 4 2-grams and lists 3"),
        ("ngram 2=3\n", "", "lengths [1, 3]"),
        ("\\3-grams:", "\\4-grams:", "no line \\3-grams:"),
        ("-0.2 b a", "-0.2 b", "line 17: a 2-gram needs log10 p, 2 words"),
        ("-0.2 b a", "-0.2 b c", "use 'c', which is no unigram"),
        ("-0.2 b a", "0.2 b a", "line 17: log10 p must be <= 0"),
        ("-0.2 b a", "-0.2 a b", "a 2-gram is listed twice"),
        ("-0.6 b -0.2", "-0.6 a -0.2", "the word 'a' has two unigrams"),
    ],
)
def test_a_broken_arpa_file_says_where(written, old, new, message):
    written.write_text(ARPA.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message.replace("\\\\", "\\"))):
        read_arpa(written)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_arpa(tmp_path / "none.arpa")
    with pytest.raises(ValueError, match="cannot be read"):
        read_sphinx(tmp_path / "none.bin")


# ---------------------------------------------------------------------- against the definition, entry by entry


def random_model(rng, V=5, order=4):
    """Random n-grams, some of whose histories are not listed."""
    listed = [Listed(np.arange(V)[:, None], np.log(rng.dirichlet(np.ones(V))), rng.normal(size=V))]
    for n in range(2, order + 1):
        words = np.unique(rng.integers(V, size=(2 * V, n)), axis=0)
        listed.append(Listed(words, -rng.exponential(size=len(words)), rng.normal(size=len(words))))
    return listed, BackoffModel.of([str(word) for word in range(V)], listed)


def by_definition(listed, history, word):
    """``log P(word | history)`` by Katz's recursion on dictionaries."""
    gram = (*history, word)
    entries = listed[len(gram) - 1]
    found = {tuple(row): (p, beta) for row, p, beta in zip(entries.words.tolist(), *entries[1:], strict=True)}
    if gram in found:
        return found[gram][0]
    shorter = listed[len(history) - 1]
    weights = {tuple(row): beta for row, beta in zip(shorter.words.tolist(), shorter.log_backoff, strict=True)}
    return weights.get(tuple(history), 0.0) + by_definition(listed, history[1:], word)


@settings(max_examples=max(5, settings.default.max_examples // 10))
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_rows_follow_the_recursion(seed, data):
    listed, model = random_model(np.random.default_rng(seed))
    history = data.draw(st.lists(st.integers(0, 4), max_size=3))
    expected = [by_definition(listed, history, word) for word in range(5)]
    np.testing.assert_allclose(model.log_row(history), expected, rtol=0, atol=rounding(10, 4))


# ---------------------------------------------------------------------- the binary format


def sphinx_bytes(model: BackoffModel, listed) -> bytes:
    """A trigram model in CMU Sphinx's format, packed bit by bit as its description says; every value in a table."""
    scale = 1 / math.log(BASE)
    V = len(model.words)
    levels = [
        {tuple(row[::-1]): (p, beta) for row, p, beta in zip(entries.words.tolist(), *entries[1:], strict=True)}
        for entries in listed
    ]
    for gram in list(levels[2]):  # the tree needs its inner nodes
        levels[1].setdefault(gram[:2], (model.log_row([gram[1]])[gram[0]], 0.0))
    two, three = sorted(levels[1]), sorted(levels[2])
    tables = np.zeros((3, TABLE), dtype="<f4")
    for table, values in zip(
        tables,
        ([levels[1][g][0] for g in two], [levels[1][g][1] for g in two], [levels[2][g][0] for g in three]),
        strict=True,
    ):
        table[: len(values)] = np.array(values) * scale
    children = np.searchsorted([g[0] for g in two], np.arange(V + 1))
    unigrams = b"".join(
        struct.pack("<ffI", *(np.array(levels[0].get((w,), (0.0, 0.0))) * scale), children[w]) for w in range(V + 1)
    )
    below = [sum(g[:2] < gram for g in three) for gram in two] + [len(three)]
    width, pointer = V.bit_length(), len(three).bit_length()
    middle = [((g[1], width), (i, 16), (i, 16), (below[i], pointer)) for i, g in enumerate(two)]
    middle.append(((0, width), (0, 16), (0, 16), (below[-1], pointer)))
    last = [((g[2], width), (i, 16)) for i, g in enumerate(three)] + [((0, width), (0, 16))]
    counts = struct.pack("<B3I", 3, V, len(two), len(three))
    names = "".join(word + "\0" for word in model.words).encode()
    packed = b"".join(bits(entries) for entries in (middle, last))
    return MAGIC + counts + b"\1\0\0\0" + tables.tobytes() + unigrams + packed + struct.pack("<i", len(names)) + names


def bits(entries) -> bytes:
    text = "".join(format(value, f"0{width}b")[::-1] for entry in entries for value, width in entry)
    text += "0" * (-len(text) % 8 + 64)
    return bytes(int(text[at : at + 8][::-1], 2) for at in range(0, len(text), 8))


@pytest.mark.parametrize("seed", range(3))
def test_a_binary_model_gives_the_rows_it_was_written_from(tmp_path, seed):
    listed, model = random_model(np.random.default_rng(seed), order=3)
    path = tmp_path / "model.lm.bin"
    path.write_bytes(sphinx_bytes(model, listed))
    read = read_sphinx(path)
    assert is_sphinx(path)
    assert read.words == model.words
    for history in ([], [2], [0, 1], [4, 4], [3, 2]):
        np.testing.assert_allclose(
            read.log_row(history), model.log_row(history), rtol=0, atol=10 * identity(np.float32)
        )


def test_damaged_and_foreign_binaries_are_named(tmp_path, written):
    listed, model = random_model(np.random.default_rng(0), order=3)
    whole = sphinx_bytes(model, listed)
    path = tmp_path / "short.lm.bin"
    for size in (25, 1000, len(whole) - 3):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="damaged or cut short"):
            read_sphinx(path)
    with pytest.raises(ValueError, match="not a binary model of CMU Sphinx"):
        read_sphinx(written)
    assert not is_sphinx(written)
    assert not is_sphinx(tmp_path / "none.bin")


def test_rows_are_those_of_pocketsphinx():
    """Its answers are integers in units of log 1.0001."""
    library = pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    try:
        path = fetched("pocketsphinx-lm")
    except ValueError as absent:
        pytest.skip(str(absent))
    theirs = library.NGramModel(library.Config(), library.LogMath(BASE), str(path))
    model = read_sphinx(path)
    sample = np.random.default_rng(0).choice(model.predicted, 500, replace=False)
    for history in (["out", "of"], ["<s>", "the"], ["of"], ["zulu", "aachen"]):
        own = model.log_row([model.tokens[word] for word in history])[sample]
        answers = [theirs.prob([model.words[word], *history[::-1]]) for word in sample]
        np.testing.assert_allclose(own, np.array(answers) * math.log(BASE), rtol=0, atol=math.log(BASE))
