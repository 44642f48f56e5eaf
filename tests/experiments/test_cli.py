"""The command line as a user meets it: results, resumption, and one-line errors with exit code 2."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.cli import COMMANDS, main
from experiments.config import FloorConfig, Heads, Source, load_config
from experiments.floor import run
from experiments.lm.cli import SUBCOMMANDS
from experiments.source import build

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["floor", "--family", "zipf", "--contexts", "12", "--vocab", "8", "--rank", "4", "--dims", "1", "2", "--bias"]


def fails(capsys, arguments, message):
    """The command prints one line that starts with ``rankfloor: error:`` and holds ``message``, and returns 2."""
    code = main(arguments)
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(said) == 1
    assert said[0].startswith("rankfloor: error: ")
    assert message in said[0]
    return True


def test_floor_writes_table_figure_and_parquet(tmp_path, capsys):
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    written = {path.name for path in folder.iterdir()}
    assert {"config.json", "floor.parquet", "floor.png", "floor.pdf", "fit-0001.npz", "fit-0002.npz"} <= written
    data = pd.read_parquet(folder / "floor.parquet")
    assert data["dim"].tolist() == [1, 2]
    assert (data["lower"] <= data["gap"]).all()
    assert data["holds"].all()
    assert "fitted floor" in out
    assert "converged" in out
    facts = json.loads((folder / "config.json").read_text())
    assert facts["config"]["source"]["family"] == "zipf"
    assert facts["provenance"]["versions"]["numpy"] == np.__version__


def test_the_same_command_again_fits_nothing(tmp_path, capsys, monkeypatch):
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("experiments.heads.curve.fit", lambda *_: pytest.fail("fitted again"))
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == first


def test_torch_gives_the_same_table(tmp_path):
    base = FloorConfig(Source(family="low_rank", contexts=12, vocab=8, rank=4), Heads(dims=(0, 2)), out=tmp_path)
    here = run(base).records
    there = run(FloorConfig(base.source, base.heads, type(base.solver)(array="torch"), out=tmp_path)).records
    assert [round(a["gap"] - b["gap"], 7) for a, b in zip(here, there, strict=True)] == [0, 0]


def test_a_text_file_becomes_a_floor_curve(tmp_path, capsys):
    text = tmp_path / "little.txt"
    text.write_text("the cat sat on the mat and the dog sat on the cat. " * 20)
    arguments = ["floor", "--corpus", str(text), "--order", "2", "--vocab", "280", "--dims", "0", "2", "--bias"]
    assert main([*arguments, "--max-evaluations", "50", "--out", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert "2-grams" in out
    assert "100.0% of the text" in out


def test_by_default_a_text_keeps_as_many_contexts_as_fit():
    """The threshold keeps at most max_contexts, and one count less would keep more."""
    kept = build(Source(corpus="moby-dick", order=3, max_contexts=300)).distribution
    least = kept.known.parameters["min_count"]
    more = build(Source(corpus="moby-dick", order=3, min_count=least - 1)).distribution
    assert kept.contexts <= 300 < more.contexts


def test_an_empty_text_is_an_error(capsys, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    assert fails(capsys, ["floor", "--corpus", str(tmp_path / "empty.txt")], "empty.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flor"], "no command is named 'flor'; choose one of: floor"),
        (["floor"], "neither a family nor a corpus given; choose one"),
        (["floor", "--family", "zip"], "did you mean 'zipf'?"),
        (["floor", "--family", "zipf", "--k", "3"], "no parameter of zipf is named 'k'"),
        (["floor", "--family", "zipf", "--rank", "-1"], "rank must be an integer"),
        (["floor", "--corpus", "no-such-file.txt"], "no-such-file.txt"),
        (["floor", "--corpus", "moby-dick", "--rank", "3"], "rank is a parameter of synthetic families"),
        ([*SMALL[:-3], "9"], "dim = 9 exceeds the vocabulary of 8 tokens"),
        ([*SMALL[:-3], "-1"], "dim must be an integer >= 0, found -1"),
        ([*SMALL[:-3], "2", "1"], "dims must be distinct and increasing"),
        ([*SMALL, "--tolerance", "0"], "tolerance must be > 0"),
        (["floor", "--config"], "--config needs a file name"),
        (["floor", "--config", "missing.toml"], "cannot read the config missing.toml"),
        (["bounds", "all"], "takes no arguments"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert fails(capsys, arguments, message)
    assert list(tmp_path.iterdir()) == []  # nothing is written half


def test_unknown_flags_and_wrong_types_exit_with_2(capsys):
    with pytest.raises(SystemExit) as wrong:
        main([*SMALL, "--colour", "red"])
    assert wrong.value.code == 2
    with pytest.raises(SystemExit) as typed:
        main([*SMALL, "--seed", "red"])
    assert typed.value.code == 2
    assert "colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[source]\nfamly = 'zipf'", "unknown key 'famly'; did you mean 'family'?"),
        ("[solvers]\n", "unknown key 'solvers'; did you mean 'solver'?"),
        ("[heads]\ndims = 3", "dims must be tuple"),
        ("[heads]\ndims = [1, 'two']", "dims must be tuple"),
        ("[heads]\nbias = 1", "bias must be bool, found 1"),
        ("[solver]\narray = 'cupid'", "array must be"),
        ("source = 3", "source must be a section [source]"),
        ("[source", "is not valid TOML"),
    ],
)
def test_bad_configs_name_the_mistake(capsys, tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert fails(capsys, ["floor", f"--config={path}"], message)


def test_flags_override_the_config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("name = 'here'\nout = 'there'\n[source]\nfamily = 'zipf'\nscale = 2\n[heads]\ndims = [1, 2]\n")
    config = load_config(path)
    assert config.source.scale == 2.0
    assert config.heads.dims == (1, 2)
    assert main(["floor", "--config", str(path), *SMALL[3:], "--dims", "1", "--out", str(tmp_path)]) == 0
    (folder,) = [entry for entry in tmp_path.iterdir() if entry.is_dir()]
    assert folder.name.startswith("here-")
    assert [entry.name for entry in folder.glob("fit-*")] == ["fit-0001.npz"]


def test_the_folder_depends_on_what_the_numbers_depend_on():
    base = FloorConfig(Source(family="zipf"))
    assert base.key == FloorConfig(Source(family="zipf"), name="other").key
    assert base.key != FloorConfig(Source(family="zipf", seed=1)).key


HEARING = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); import experiments.cli as c; "
"""Background jobs of a shell ignore interrupts; the command under test must hear them wherever the tests run."""


def test_an_interrupt_keeps_the_finished_ranks_and_the_rerun_goes_on(tmp_path):
    command = [sys.executable, "-c", HEARING + "sys.exit(c.main())", "floor", "--family", "zipf", "--contexts", "600"]
    command += ["--vocab", "300", "--rank", "100", "--dims", "1", "24", "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/record-0001.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1].startswith("rankfloor: stopped; what is finished is on disk")
    (folder,) = tmp_path.iterdir()
    assert [path.name for path in folder.glob("fit-*")] == ["fit-0001.npz"]
    with np.load(folder / "fit-0001.npz") as stored:
        before = stored["W"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    with np.load(folder / "fit-0001.npz") as stored:
        assert np.array_equal(stored["W"], before)
    assert pd.read_parquet(folder / "floor.parquet")["dim"].tolist() == [1, 24]


HEAVY = ["dask", "joblib", "matplotlib", "numpy", "pandas", "scipy", "seaborn", "torch", "transformers"]


def test_help_loads_nothing_heavy():
    """``--help`` must answer at once: no array library is imported for it, nor anything built on one."""
    code = f"import sys, experiments.cli as c; c.main(['--help']); print(set({HEAVY}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "set()"
    assert "rankfloor floor --family zipf" in done.stdout


@pytest.mark.parametrize("command", [*COMMANDS, *(f"lm {name}" for name in SUBCOMMANDS)])
def test_every_help_shows_an_example(command, capsys):
    try:
        code = main([*command.split(), "--help"])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 0
    said = capsys.readouterr().out
    assert [
        line for line in said.splitlines() if line.strip().removeprefix("example: ").startswith(f"rankfloor {command}")
    ]
    assert "Traceback" not in said


def test_examples_of_configs_name_files_that_exist(capsys):
    main(["--help"])
    named = re.findall(r"configs/[\w/.-]+", capsys.readouterr().out)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_bounds_are_listed(capsys):
    assert main(["bounds"]) == 0
    listed = capsys.readouterr().out
    assert "majorization" in listed
    assert "sparse-support" in listed
