"""Low-rank heads as files: what is written is what was scored, and comes back."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from experiments.cli import main
from experiments.lm.ranks.compress import CompressConfig, carry_out, make, read_head, single
from experiments.lm.ranks.score import scores
from experiments.lm.ranks.sweep import full_head
from tests.experiments.ranked import WINDOW, material, transformer
from tests.experiments.test_lm_cli import fails
from tests.tolerances import identity
from theory.frozen import FrozenHead

WORLD = material()


def config(path, **given):
    return CompressConfig("tiny", given.pop("rank", 3), path / "head.safetensors", **given)


def test_the_file_holds_what_was_scored(tmp_path):
    carry_out(config(tmp_path), WORLD)
    head, metadata = read_head(tmp_path / "head.safetensors")
    stored = load_file(tmp_path / "head.safetensors")
    assert {name: part.shape for name, part in stored.items()} == {"A": (50, 3), "B": (3, 8), "b": (50,)}
    assert all(part.dtype == np.float32 for part in stored.values())
    found = scores({"head": head}, full_head(WORLD), WORLD.held_out)["head"]
    assert float(metadata["held_out_kl"]) == pytest.approx(found.kl, rel=1e-5, abs=0)
    assert float(metadata["held_out_excess_stderr"]) == pytest.approx(found.excess_stderr, rel=1e-5, abs=0)
    assert (metadata["rank"], metadata["method"], metadata["model"]) == ("3", "newton", "tiny")
    half = FrozenHead(head.A / 2, head.B, head.b)  # sabotage twin: another head is not what the file says
    assert scores({"head": half}, full_head(WORLD), WORLD.held_out)["head"].kl > 1.1 * found.kl


def test_better_methods_lose_less_in_the_sample(tmp_path):
    heads = {name: make(config(tmp_path, method=name), WORLD) for name in ("truncated", "newton", "trained")}
    found = scores(heads, full_head(WORLD), WORLD.fitted)
    losses = [found[name].kl for name in heads]
    assert losses[0] > losses[1]
    assert losses[1] >= losses[2] - identity(np.float32)


def test_the_gauge_is_balanced_and_changes_nothing():
    rng = np.random.default_rng(0)
    head = FrozenHead(1e3 * rng.standard_normal((20, 4)), 1e-3 * rng.standard_normal((4, 6)), rng.standard_normal(20))
    stored, X = single(head), rng.standard_normal((5, 6))
    assert np.abs(stored.logits(X) - head.logits(X)).max() <= identity(np.float32) * np.abs(head.logits(X)).max()
    A, B = stored.A.astype(np.float64), stored.B.astype(np.float64)
    assert np.abs(A.T @ A - B @ B.T).max() <= identity(np.float32) * np.abs(A.T @ A).max()
    assert single(FrozenHead(head.A, head.B, None)).b is None


def test_the_command_writes_a_head_for_a_transformer(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path / "cache"))
    folder, text = transformer(tmp_path)
    out = tmp_path / "head.safetensors"
    given = ["lm", "compress", str(folder), "--rank", "16", "--text", str(text), "--tokens", "400"]
    assert main([*given, "--held-out", "300", "--window", str(WINDOW), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    head, metadata = read_head(out)
    assert "on 300 contexts held out" in said
    assert head.A.shape == (60, 16)
    assert abs(float(metadata["held_out_kl"])) <= identity(np.float32)  # the full rank costs nothing


def test_other_files_and_bad_flags_are_refused(tmp_path, capsys):
    other = tmp_path / "other.safetensors"
    save_file({"A": np.ones((2, 2), dtype=np.float32)}, other)
    with pytest.raises(ValueError, match="is not a head written by rankfloor lm compress"):
        read_head(other)
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        read_head(tmp_path / "nothing.safetensors")
    folder, text = transformer(tmp_path, words=100)
    given = ["compress", str(folder), "--text", str(text), "--rank"]
    capsys.readouterr()
    assert fails(capsys, [*given, "0", "--out", str(other)], "--rank must be at least 1")
    assert fails(capsys, [*given, "2", "--out", "head.bin"], "--out must name a .safetensors file")
    assert fails(capsys, [*given, "2", "--out", str(tmp_path / "no" / "h.safetensors")], "there is no folder")
    assert fails(capsys, [*given, "99", "--out", str(other)], "rank 99 is above the width 16")
    assert fails(capsys, [*given, "2", "--out", str(other)], "the text has 100 tokens")
