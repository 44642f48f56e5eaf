"""``rankfloor lm measure`` end to end on a tiny random model, and on the real one where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from experiments.cli import main
from experiments.lm.fetch import smollm2
from experiments.lm.load import load
from experiments.lm.measure import head
from experiments.lm.measure.command import text_of
from experiments.lm.measure.everything import Effort, measure
from tests.experiments.tiny import neox, tokenizer

SMALL = ["--tokens", "200", "--window", "20", "--contexts", "50", "--sample", "30", "--sets", "10", "--programmes", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random GPT-NeoX with a word-level tokenizer."""
    place = tmp_path_factory.mktemp("measured")
    neox(place)
    tokenizer(place, words=40, bos=False)
    return place


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    law = 1 / np.arange(1, 41)
    words = np.random.default_rng(0).choice(40, 800, p=law / law.sum())
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(" ".join(f"w{word}" for word in words))
    return path


def run(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path / "cache"))
    assert main(["lm", "measure", *map(str, arguments), *SMALL, "--out", str(tmp_path / "out")]) == 0
    return capsys.readouterr().out, tmp_path / "out"


def test_one_call_gives_a_table_a_page_and_files(folder, text, tmp_path, monkeypatch, capsys):
    said, out = run([folder, "--text", text], tmp_path, monkeypatch, capsys)
    rows = pd.read_parquet(out / "measures.parquet")
    assert pd.read_csv(out / "measures.csv")["measure"].tolist() == rows["measure"].tolist()
    assert rows["null"].notna().all()  # every number beside its null
    assert (rows["null_is"] != "").all()
    places = rows[rows["measure"] == "anisotropy (mean cosine)"]["of"].tolist()
    assert places == ["embedding", "layer 1", "layer 2", "last, before norm", "last, after norm"]
    for words in ("head W", "logits Q A J", "norm kept", "log frequency", "cannot win", "2-sets on top"):
        assert words in said
    facts = json.loads((out / "config.json").read_text())
    assert (facts["vocab"], facts["dim"], facts["read"]) == (60, 16, 8 * 24)
    assert facts["provenance"]["versions"]["numpy"] == np.__version__
    assert {path.name for path in out.iterdir()} >= {
        "measure.png",
        "measure.pdf",
        "spectra.parquet",
        "gradient.parquet",
    }


def test_a_head_alone_is_measured_as_far_as_it_goes(tmp_path, monkeypatch, capsys):
    W = np.random.default_rng(1).standard_normal((50, 6)).astype(np.float32)
    save_file({"lm_head.weight": W}, tmp_path / "head.safetensors")
    said, out = run([tmp_path / "head.safetensors"], tmp_path, monkeypatch, capsys)
    assert "nothing that needs states" in said
    rows = pd.read_parquet(out / "measures.parquet")
    largest = rows[(rows["measure"] == "largest singular value") & (rows["of"] == "head W")]["value"].item()
    assert largest == pytest.approx(np.linalg.norm(W.astype(float), 2), rel=1e-12, abs=0)
    assert not rows["measure"].str.contains("gradient|anisotropy").any()
    assert {path.name for path in out.iterdir()} >= {"measure.png", "measure.pdf"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/model/here"], "does not exist"),
        (["--text", "missing.txt"], "cannot be read"),
        (["--text", str(Path(__file__).parent)], "holds no .txt file"),
    ],
)
def test_bad_input_is_one_line(folder, arguments, message, capsys):
    given = arguments if "--text" not in arguments else [str(folder), *arguments]
    assert main(["lm", "measure", *given]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_texts_is_their_files_in_order(tmp_path):
    (tmp_path / "b.txt").write_text("w3\n")
    (tmp_path / "a.txt").write_text("w1 w2\n")
    (tmp_path / "notes.md").write_text("w9")
    assert text_of(str(tmp_path)) == "w1 w2\nw3\n"


def test_a_text_too_short_is_refused(folder):
    with pytest.raises(ValueError, match="give a longer text"):
        measure(load(str(folder)), np.arange(20), Effort())


def test_the_head_of_smollm2_has_the_spectrum_it_is_known_for(monkeypatch):
    gguf = pytest.importorskip("gguf", reason="reading the file needs the package gguf")
    try:
        path = smollm2()
    except ValueError as error:
        pytest.skip(f"SmolLM2 is not at hand: {error}")
    tied = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == "token_embd.weight")
    monkeypatch.setattr(head, "DRAWS", 1)  # the null is tested elsewhere
    raw, centred = head.head_spectra(gguf.dequantize(tied.data, tied.tensor_type), None)
    known = {"raw": [509.9, 96.1, 62.2, 5.59], "centred": [176.8, 3.53]}
    np.testing.assert_allclose([*raw.sigma[:3], raw.sigma[-1]], known["raw"], rtol=5e-3, atol=0)
    np.testing.assert_allclose([centred.sigma[0], centred.sigma[-1]], known["centred"], rtol=5e-3, atol=0)
