"""The run folder: what is written comes back bitwise, half-written files are redone, nothing is left half-written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.heads import Options, climb, fit, ladder
from experiments.store import RunFolder
from synth import families
from theory import HeadSpec

WORLD = families.zipf(contexts=20, vocab=12, rank=6, seed=1)


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path / "run", np.zeros(1))
    run.describe({"sentence": "a test"})
    return run


@pytest.mark.parametrize("bias", [False, True])
def test_a_fit_comes_back_as_it_was(folder, bias):
    result = fit(WORLD, HeadSpec(2, bias))
    folder.save(result)
    back = folder.load(HeadSpec(2, bias))
    assert np.array_equal(back.head.H, result.head.H)
    assert np.array_equal(back.head.W, result.head.W)
    assert back.head.gap(WORLD) == result.gap == back.gap
    assert (back.status, back.start, back.metric) == (result.status, result.start, result.metric)


def test_another_class_or_a_damaged_file_is_not_taken_for_the_fit(folder):
    folder.save(fit(WORLD, HeadSpec(2)))
    assert folder.load(HeadSpec(2, bias=True)) is None
    assert folder.load(HeadSpec(3)) is None
    path = folder.path / "fit-0002.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert folder.load(HeadSpec(2)) is None


def test_a_write_that_fails_leaves_the_old_file_and_no_other(folder, monkeypatch):
    folder.save(fit(WORLD, HeadSpec(1)))
    before = (folder.path / "fit-0001.npz").read_bytes()
    monkeypatch.setattr(np, "savez", lambda stream, **_: stream.write(b"half") and pytest.fail("disk full"))
    with pytest.raises(pytest.fail.Exception, match="disk full"):
        folder.save(fit(WORLD, HeadSpec(1)))
    assert (folder.path / "fit-0001.npz").read_bytes() == before
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.json", "fit-0001.npz"]


def test_an_interrupted_ladder_goes_on_where_it_stopped(folder):
    """The finished ranks are not fitted again and the outcome is that of an uninterrupted run."""
    dims, options = [1, 2, 4], Options()
    whole = ladder(WORLD, dims, True, options)

    def stop(dim, trace):
        if dim == 4 and trace.iterations == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(climb(WORLD, dims, True, options, folder, stop))
    assert sorted(path.name for path in folder.path.glob("fit-*")) == ["fit-0001.npz", "fit-0002.npz"]
    touched = []
    again = list(climb(WORLD, dims, True, options, folder, lambda dim, _: touched.append(dim)))
    assert set(touched) == {4}
    assert [result.gap for result in again] == [result.gap for result in whole]


def test_records_are_a_table(folder):
    folder.record({"dim": 2, "gap": 0.5})
    folder.record({"dim": 1, "gap": 0.7})
    table = pd.read_parquet(folder.path / "floor.parquet")
    assert table["dim"].tolist() == [1, 2]
    assert table["gap"].tolist() == [0.7, 0.5]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write to .*choose another --out"):
        RunFolder(tmp_path / "file" / "run", np.zeros(1)).describe({})
