"""``rankfloor heads`` as a user meets it: table, files, figure, resumption, conditionals of one's own, errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from experiments.heads_command import HeadsConfig, run
from synth import families

SMALL = ["heads", "--family", "mixture", "--contexts", "8", "--vocab", "6", "--rank", "1", "--dims", "1", "2"]
CHEAP = ["--max-evaluations", "60", "--random-starts", "1"]


def test_heads_writes_table_figure_and_parquet(tmp_path, capsys):
    assert main([*SMALL, *CHEAP, "--heads", "mos", "softmax", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    written = {path.name for path in folder.iterdir()}
    assert {"config.json", "heads.parquet", "heads.csv", "heads.png", "heads.pdf", "mos-0002.npz"} <= written
    data = pd.read_parquet(folder / "heads.parquet")
    assert sorted(zip(data["head"], data["dim"], strict=True)) == [
        ("mos", 1), ("mos", 2), ("softmax", 1), ("softmax", 2),
    ]  # fmt: skip
    assert (data["gap"] <= data["softmax_gap"] + 1e-12).all()
    assert dict(zip(data["head"], data["per_context"], strict=True)) == {"mos": 6, "softmax": 2}
    assert data[data["head"] == "softmax"]["numerical_rank"].tolist() == [1, 2]
    assert "per context" in out
    assert str(folder / "heads.png") in out
    drawn = (folder / "heads.png").stat().st_size
    assert main([*SMALL, *CHEAP, "--heads", "mos", "softmax", "--out", str(tmp_path), "--beside", str(folder)]) == 0
    assert (folder / "heads.png").stat().st_size > drawn  # two panels, nothing fitted again


def test_the_same_command_again_fits_nothing_and_a_longer_one_goes_on(tmp_path, capsys, monkeypatch):
    arguments = [*SMALL, *CHEAP, "--heads", "softmax", "monotonic", "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    with monkeypatch.context() as patched:
        patched.setattr("experiments.heads_command.fit_alternative", lambda *_, **__: pytest.fail("fitted again"))
        assert main(arguments) == 0
    assert capsys.readouterr().out == first
    assert main([*arguments, "--dims", "1", "2", "3"]) == 0
    (folder,) = tmp_path.iterdir()
    assert sorted(pd.read_parquet(folder / "heads.parquet")["dim"]) == [1, 1, 2, 2, 3, 3]


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path):
    """Widths fitted in one go, and fitted after a stop, give the same numbers."""
    from experiments.config import Source

    source = Source(family="mixture", contexts=6, vocab=5, rank=1)
    options = {"heads": ("mos",), "max_evaluations": 60, "random_starts": 1}
    _, whole = run(HeadsConfig(source, dims=(1, 2), out=tmp_path / "whole", **options))
    run(HeadsConfig(source, dims=(1,), out=tmp_path / "parts", **options))
    _, parts = run(HeadsConfig(source, dims=(1, 2), out=tmp_path / "parts", **options))
    assert [line["gap"] for line in parts] == [line["gap"] for line in whole]


def test_conditionals_of_ones_own(tmp_path, capsys):
    distribution = families.zipf(7, 5, rank=2, seed=0)
    file = tmp_path / "mine.npz"
    np.savez(file, log_p=distribution.log_p, weights=distribution.weights)
    arguments = ["heads", "--table", str(file), "--dims", "1", "--heads", "sigsoftmax", *CHEAP]
    assert main([*arguments, "--out", str(tmp_path / "runs")]) == 0
    assert f"entropy {distribution.entropy:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dims", "2", "1"], "dims must be distinct and increasing, found [2, 1]"),
        (["--heads", "mosaic"], "did you mean 'mos'"),
        (["--softmaxes", "0"], "components must be an integer at least 1, found 0"),
        (["--table", "nowhere.npz"], "choose one"),
    ],
)
def test_bad_requests_are_one_line_and_write_nothing(tmp_path, capsys, arguments, message):
    assert main([*SMALL, *arguments, "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("rankfloor: error: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_table_that_cannot_be_read_says_how_to_write_one(tmp_path, capsys):
    file = tmp_path / "bad.npz"
    np.savez(file, logits=np.zeros((2, 2)))
    for path, message in ((file, "exactly one of log_p and p is needed"), (tmp_path / "none.npz", "numpy.savez")):
        assert main(["heads", "--table", str(path)]) == 2
        assert message in capsys.readouterr().err
