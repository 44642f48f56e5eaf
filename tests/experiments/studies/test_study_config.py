"""Study files: what expands to what, which mistakes are named, and that flags override."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.cli import main
from experiments.studies.config import Study, load_study, study_of
from experiments.studies.grid import expand
from experiments.studies.overrides import overridden
from experiments.studies.progress import SweepProgress
from tests.experiments.studies.sweeps import probes
from tests.experiments.studies.trials import NAME

STUDIES = sorted(Path("configs").glob("*.toml"))


def points(study):
    return [
        (trial.params["x"], trial.params["scale"], trial.params["pause"], trial.seed) for trial in expand(study, "")
    ]


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.floats(0.5, 2), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3, unique=True),
)
def test_a_grid_is_the_product_of_its_lists_seeds_fastest(xs, scales, seeds):
    study = study_of({"name": "s", "trial": NAME, "seeds": seeds, "grid": {"x": xs, "scale": scales}}, "here")
    assert points(study) == [(x, s, 0.0, seed) for x, s, seed in itertools.product(xs, scales, seeds)]
    keys = [trial.key for trial in expand(study, "")]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {trial.key for trial in expand(study, "other code")}


def test_zipped_lists_vary_together_and_cases_are_settings():
    document = {"zip": [{"x": [1, 2], "scale": [0.5, 2]}], "cases": [{"pause": 1}, {"pause": 2.0}], "trial": NAME}
    study = study_of({"name": "s", **document}, "here")
    assert points(study) == [(1, 0.5, 1.0, 0), (2, 2.0, 1.0, 0), (1, 0.5, 2.0, 0), (2, 2.0, 2.0, 0)]


def test_a_parameter_that_is_a_list_is_varied_by_a_list_of_lists():
    one = study_of({"name": "s", "trial": "floor", "grid": {"dims": [1, 2]}}, "here")
    two = study_of({"name": "s", "trial": "floor", "grid": {"dims": [[1, 2], [3]]}}, "here")
    assert (one.grid["dims"], two.grid["dims"]) == (((1, 2),), ((1, 2), (3,)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown key 'trial'"),
        ("trial = 'flor'", "no trial kind is named 'flor'; did you mean 'floor'?"),
        ("trial = 'nowhere:at_all'", "cannot import nowhere"),
        ("trial = 'tests.experiments.studies.trials:flag'", "is no trial kind; decorate the function"),
        ("trial = 'floor'\nsed = [1]", "unknown key 'sed'; did you mean 'seeds'?"),
        ("trial = 'floor'\nseeds = 3", "seeds must be tuple, found 3"),
        ("trial = 'floor'\nseeds = [1, 1]", "seeds must be distinct"),
        ("trial = 'floor'\nname = 'a/b'", "name must be a plain file name"),
        ("trial = 'floor'\n[grid]\nrnk = 3", "[grid]: unknown key 'rnk'; did you mean 'rank'?"),
        ("trial = 'floor'\n[grid]\nrank = [3, 'x']", "[grid]: rank must be int, found 'x'"),
        ("trial = 'floor'\n[grid]\nrank = []", "grid.rank has no values"),
        ("trial = 'floor'\n[grid]\nbias = 1", "bias must be bool, found 1"),
        ("trial = 'floor'\n[grid]\nrank = [3, 3]", "twice; drop the repeated value"),
        ("trial = 'floor'\n[[zip]]\nrank = [1, 2]\nscale = [1.0]", "must have the same length, found rank 2, scale 1"),
        (
            "trial = 'floor'\n[grid]\nrank = 3\n[[cases]]\nrank = 4",
            "'rank' is set in more than one of grid, zip and cases",
        ),
        ("trial = 'floor'\n[cases]\nrank = 3", "must be a list of sections"),
        ("trial = 'floor'\ngrid = 3", "must be a section of parameters"),
        ("trial = 'floor'\n[limits]\nsecond = 3", "unknown key 'second'; did you mean 'seconds'?"),
        ("trial = 'floor'\n[limits]\nseconds = 0", "seconds must be > 0"),
        ("trial = 'floor'\n[workers]\njobs = 0", "jobs must be at least 1"),
        ("trial = 'floor", "is not valid TOML"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(tmp_path, capsys, text, message):
    path = tmp_path / "study.toml"
    path.write_text(text)
    assert main(["run", str(path), "--out", str(tmp_path / "runs")]) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert message in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.toml"]


def test_flags_override_wherever_the_file_sets_a_value():
    document = {"name": "s", "trial": "floor", "grid": {"scale": [1.0, 2.0]}, "seeds": [0, 1]}
    study = study_of(document | {"cases": [{"family": "zipf", "rank": 2}, {"family": "zipf", "rank": 3}]}, "here")
    flags = ["--grid.rank", "5", "6", "--grid.dims", "1", "2", "--seeds", "7", "--seconds", "9", "--jobs", "1"]
    changed = overridden(study, flags)
    assert changed.grid == {"scale": (1.0, 2.0), "rank": (5, 6), "dims": ((1, 2),)}
    assert changed.cases == ({"family": "zipf"},)
    assert (changed.seeds, changed.limits.seconds, changed.workers.jobs) == ((7,), 9.0, 1)
    assert overridden(study, []) == study


def test_unknown_flags_and_wrong_types_exit_with_2(capsys):
    for flags in (["--grid.rnk", "3"], ["--grid.rank", "x"]):
        with pytest.raises(SystemExit) as wrong:
            main(["run", "configs/gap-exponent.toml", *flags])
        assert wrong.value.code == 2
    assert "rnk" in capsys.readouterr().err


def test_small_lays_over_sections_and_renames(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        f"trial = '{NAME}'\n[grid]\nx = [1, 2]\npause = 1.0\n[small]\nseeds = [5]\n[small.grid]\npause = 0.0\n"
    )
    small, whole = load_study(path, small=True), load_study(path)
    assert (small.name, small.seeds, small.grid) == ("study-small", (5,), {"x": (1, 2), "pause": (0.0,)})
    assert (whole.name, whole.seeds) == ("study", (0,))
    path.write_text(f"trial = '{NAME}'\n")
    with pytest.raises(ValueError, match=r"has no section \[small\]"):
        load_study(path, small=True)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_says_what_it_asks_and_expects(path):
    head = path.read_text().split("\n\n")[0]
    assert [word for word in ("Question:", "Command:", "Cost:", "Expected:") if f"# {word}" not in head] == []
    assert f"rankfloor run {path}" in head
    assert isinstance(load_study(path, small=True), Study)
    assert expand(load_study(path), "")


def test_from_the_file_to_the_exported_tables(tmp_path, capsys, monkeypatch):
    """run, status and export as a user types them; floats in csv come back bit for bit."""
    path = tmp_path / "mine.toml"
    path.write_text(f"trial = '{NAME}'\n[grid]\nx = [1, 2, 4]\n")
    assert main(["run", str(path), "--jobs", "1", "--out", str(tmp_path), "--grid.x", "1", "2"]) == 0
    assert "2 planned: 2 done, 0 failed, 0 missing" in capsys.readouterr().out
    store = str(tmp_path / "mine")
    for format_, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        assert main(["export", store, "--format", format_]) == 0
        records = read(tmp_path / "mine" / f"records.{format_}")
        assert records["x"].tolist() == [1, 1, 2, 2]
        assert records["odd"].tolist()[1] == float("-inf")
    written = pd.read_csv(tmp_path / "mine" / "records.csv", dtype=str)["top"].astype(float)
    assert written.equals(pd.read_parquet(tmp_path / "mine" / "records.parquet")["top"])
    assert main(["export", str(tmp_path / "nothing")]) == 2
    assert main(["status", str(tmp_path)]) == 2
    assert "is not a store" in capsys.readouterr().err


def test_help_shows_examples_and_loads_nothing_heavy():
    commands = ("run", "status", "retry", "export")
    code = "import sys, experiments.cli as c\n"
    for command in commands:
        code += f"try:\n    c.main(['{command}', '--help'])\nexcept SystemExit: pass\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "print({'torch', 'seaborn', 'distributed'} & set(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().splitlines()[-1] == "set()"
    for command in commands:
        assert re.search(rf"rankfloor {command} (configs|runs)/", done.stdout)


def test_the_line_of_progress_counts_and_foretells():
    progress = SweepProgress("study", total=100, already=20)
    assert progress.line(1.0).endswith("time left unknown")
    progress.ended, progress.failed = 40, 1
    assert progress.line(20.0) == "study: 60 of 100 trials, 1 failed, 2 per second, 0:00:20 left"


def test_probes_are_a_study(tmp_path):
    assert len(expand(probes(tmp_path), "")) == 24
