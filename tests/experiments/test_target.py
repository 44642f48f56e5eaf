"""Real models as targets: laws of a neural and of a back-off model, their floors, the command and its errors."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from experiments.heads import fit
from experiments.lm.arpa import read_arpa
from experiments.lm.collect import collect
from experiments.lm.conditionals import conditionals
from experiments.lm.histories import histories
from experiments.lm.laws import Texted, backoff_target, model_target
from experiments.lm.load import load
from synth import moves
from tests.experiments.test_backoff import ARPA
from tests.experiments.tiny import VOCAB, neox, tokenizer
from tests.tolerances import KNOWN_FLOOR, identity, rounding
from theory import HeadSpec, sandwich

WORDS = " ".join(f"w{word}" for word in np.random.default_rng(0).integers(0, 10, 900))
DIM = 16
"""Width of the tiny model."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model with a tokenizer, on disk."""
    place = tmp_path_factory.mktemp("models") / "tiny"
    neox(place)
    tokenizer(place, bos=False)
    return place


@pytest.fixture(autouse=True)
def _private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hand(tmp_path):
    """The hand-written model, and a text that it knows most of."""
    (tmp_path / "hand.arpa").write_text(ARPA)
    (tmp_path / "text.txt").write_text("A b a b. B a unheard a b! A a a b b a, b.\n\nA b b.")
    return tmp_path


def test_the_law_of_a_model_is_its_own_softmax(folder):
    model = load(folder)
    described = model_target(model, Texted("words", WORDS), 40, window=32)
    P = np.exp(described.distribution.log_p)
    tokens = model.encode(WORDS)
    (first, second) = np.linspace(0, len(tokens) - 32, 3).astype(int)[:2]
    for row, place in ((0, 16), (14, 16)):  # the first place taken of a window: half a window stands before it
        start = first if row == 0 else second
        X = collect(model, tokens[start : start + 33], window=32).X[place : place + 1]
        ((_, expected),) = conditionals(model, X)
        np.testing.assert_allclose(P[row], np.exp(expected[0]), rtol=0, atol=identity(np.float32))
    assert described.distribution.vocab == VOCAB
    assert f"D = {DIM}" in described.sentence


@pytest.mark.parametrize("tokens", [None, 25])
def test_the_floor_is_zero_at_the_model_s_own_dimension(folder, tokens):
    laws = model_target(load(folder), Texted("words", WORDS), 40, tokens, window=32).distribution
    assert laws.known_floor(HeadSpec(DIM)) == 0.0
    assert laws.known_floor(HeadSpec(DIM - 1)) is None
    assert fit(laws, HeadSpec(DIM)).gap <= KNOWN_FLOOR
    below = fit(laws, HeadSpec(4))
    law = sandwich(laws, HeadSpec(4), below)
    assert below.gap > KNOWN_FLOOR
    assert law.holds
    assert 0 < law.lower.value <= below.gap
    assert not replace(law, fit_gap=law.lower.value * 0.9).holds  # the same bounds catch a gap below the floor


def test_a_bias_of_the_model_takes_a_dimension_or_a_bias(folder):
    model = load(folder)
    biased = replace(model, b=np.linspace(-1, 1, VOCAB, dtype=np.float32))
    laws = model_target(biased, Texted("words", WORDS), 40, window=32).distribution
    assert laws.known_floor(HeadSpec(DIM)) is None
    assert laws.known_floor(HeadSpec(DIM, bias=True)) == laws.known_floor(HeadSpec(DIM + 1)) == 0.0
    assert np.linalg.matrix_rank(laws.centred_logits) == DIM + 1


def test_conditioning_keeps_the_likeliest_tokens_and_says_their_mass(folder):
    text = Texted("words", WORDS)
    whole = model_target(load(folder), text, 40, window=32).distribution
    kept = model_target(load(folder), text, 40, 20, window=32)
    inside, mass = moves.restrict_tokens(whole, np.sort(np.argsort(-whole.marginal)[:20]).tolist())
    np.testing.assert_allclose(kept.distribution.log_p, inside.log_p, rtol=0, atol=rounding(20, 20))
    assert kept.distribution.known.parameters["mass_kept"] == pytest.approx(mass, rel=0, abs=rounding(1, 20))
    assert "another law" in kept.sentence


def test_histories_are_those_of_the_sentences(hand):
    model = read_arpa(hand / "hand.arpa")
    found = histories(model, (hand / "text.txt").read_text(), 7)
    a, b, _, s = range(4)
    by_hand = {(s,): 4, (s, a): 3, (a, b): 3, (b, a): 3, (a, a): 2, (s, b): 1, (b, b): 1}
    assert dict(zip(found.words, found.counts.tolist(), strict=True)) == by_hand
    assert (found.met, found.skipped) == (19, 2)  # two places have the unheard word before them
    fewer = histories(model, (hand / "text.txt").read_text(), 3)
    assert len(fewer.words) == 3
    assert fewer.counts.sum() == fewer.met - fewer.skipped < 17


def test_rows_of_a_back_off_model_are_normalised_and_weighted(hand):
    model = read_arpa(hand / "hand.arpa")
    described = backoff_target("hand", model, Texted("text", (hand / "text.txt").read_text()), 5)
    laws = described.distribution
    assert (laws.contexts, laws.vocab) == (5, 3)
    assert float(laws.weights.sum()) == pytest.approx(1.0, rel=0, abs=rounding(1, 5))
    assert "were normalised" in described.sentence
    assert laws.known.parameters["least_sum"] < 1 < laws.known.parameters["largest_sum"]


def test_the_command_stores_and_draws_and_does_not_fit_twice(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "words.txt").write_text(WORDS)
    arguments = ["lm", "target", str(folder), "--text", str(tmp_path / "words.txt"), "--contexts", "24"]
    arguments += ["--window", "32", "--vocab", "30", "--dims", "1", "4", "16", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "the floor is exactly 0 from d = 16 on" in said
    assert "conditioned on the 30 most probable of 60 tokens" in said
    (place,) = (tmp_path / "out").iterdir()
    data = pd.read_parquet(place / "floor.parquet")
    assert data["holds"].all()
    assert (data["lower"] <= data["gap"] + identity()).all()
    assert json.loads((place / "config.json").read_text())["known"]["tokens_kept"] == 30
    assert {"floor.png", "floor.pdf"} <= {path.name for path in place.iterdir()}
    monkeypatch.setattr("experiments.heads.curve.fit", lambda *_: pytest.fail("fitted again"))
    assert main(arguments) == 0
    assert capsys.readouterr().out == said


def test_the_command_takes_a_back_off_model(hand, capsys):
    arguments = ["lm", "target", "--arpa", str(hand / "hand.arpa"), "--text", str(hand / "text.txt"), "--dims", "1"]
    assert main([*arguments, "--contexts", "5", "--out", str(hand / "out")]) == 0
    assert "3-gram back-off model: 5 histories of text" in capsys.readouterr().out


def test_the_command_bounds_a_limited_class(folder, tmp_path, capsys):
    (tmp_path / "words.txt").write_text(WORDS)
    arguments = ["lm", "target", str(folder), "--text", str(tmp_path / "words.txt"), "--contexts", "24"]
    arguments += ["--window", "32", "--vocab", "30", "--dims", "1", "4", "--max-underestimate", "2"]
    assert main([*arguments, "--certificate-evaluations", "30", "--out", str(tmp_path / "out")]) == 0
    assert "heads with q >= e^-M p, M = 2:" in capsys.readouterr().out
    (place,) = (tmp_path / "out").iterdir()
    data = pd.read_parquet(place / "floor.parquet")
    assert data["limited_holds"].all()
    assert (data["limited_lower"] >= data["lower"]).all()
    assert (data["limited_lower"] > 0).all()
    assert (data["limited_lower"] <= data["limited_gap"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "neither a model nor --arpa given"),
        (["smollm2", "--arpa", "hand.arpa"], "both a model and --arpa given"),
        (["--arpa", "none.arpa"], "none.arpa cannot be read"),
        (["pocketsphinx-lm"], "rankfloor lm fetch pocketsphinx-lm"),
        (["./none.gguf"], "does not exist"),
        (["--arpa", "hand.arpa", "--text", "text.txt", "--contexts", "50"], "different histories of 2 words"),
        (["--arpa", "hand.arpa", "--text", "text.txt", "--contexts", "5", "--vocab", "1"], "vocab must be an integer"),
        (["--arpa", "hand.arpa", "--text", "none.txt"], "none.txt cannot be read"),
        (["MODEL", "--text", "text.txt", "--contexts", "5000"], "5000 contexts need"),
        (["MODEL", "--text", "words.txt", "--contexts", "24", "--window", "32", "--dims", "99"], "dim"),
    ],
)
def test_bad_input_is_one_line(hand, folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(hand)
    (hand / "words.txt").write_text(WORDS)
    assert main(["lm", "target", *(str(folder) if word == "MODEL" else word for word in arguments)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not (hand / "runs").exists()
