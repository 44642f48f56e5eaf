"""``rankfloor falsify`` and ``rankfloor gallery`` as a user meets them: exit codes, one file, one-line errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.cli import main
from theory.falsify import load_counterexample

MINE = """
from pathlib import Path

from hypothesis import strategies as st

from synth import families
from theory import HeadSpec, catalogue


def too_much(distribution, spec):
    return distribution.mutual_information


def nothing(distribution, spec):
    return None


def fair(distribution, spec):
    Path("called").touch()
    return catalogue["probability-floor"](distribution, spec)


def clumsy(distribution, spec):
    return 1 / 0


def seven(distribution, spec):
    return 1.5 if distribution.vocab == 7 else None


number = 3
sevens = st.just((families.one_hot(7), HeadSpec(0)))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty directory with a file of bounds in it, which is the current one."""
    (tmp_path / "my_claims.py").write_text(MINE)
    (tmp_path / "half_written.py").write_text("def bound(distribution, spec)\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_claims", None)


def test_a_broken_claim_leaves_a_file_and_exit_code_1(here, capsys):
    assert main(["falsify", "my_claims:too_much", "--side", "lower", "--out", "found/it.json"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("my_claims:too_much claims g(1) >= ")
    assert "counterexample: found/it.json" in said.out
    assert said.err == ""  # no progress when nobody watches
    found = load_counterexample(here / "found" / "it.json")
    assert found.recheck(sys.modules["my_claims"].too_much).ok


def test_a_claim_that_stands_leaves_nothing_and_exit_code_0(here, capsys):
    before = sorted(here.iterdir())
    assert main(["falsify", "my_claims:nothing", "--seconds", "0.5"]) == 0
    assert "nothing was tested" in capsys.readouterr().out
    assert main(["falsify", "smoothness", "--seconds", "0.5"]) == 0
    assert "No counterexample to smoothness (upper)" in capsys.readouterr().out
    assert [path for path in sorted(here.iterdir()) if path.name != "__pycache__"] == before


def test_problems_are_drawn_from_the_strategy_named(here, capsys):
    assert main(["falsify", "my_claims:seven", "--side", "upper", "--seconds", "0.5"]) == 0
    assert "nothing was tested" in capsys.readouterr().out
    where = ["--problems", "my_claims:sevens"]
    assert main(["falsify", "my_claims:seven", "--side", "upper", "--seconds", "60", *where]) == 1
    assert "context x 7 tokens" in capsys.readouterr().out


def test_the_side_of_a_bound_can_be_turned_against_it(here, capsys):
    assert (
        main(["falsify", "smoothness", "--side", "lower", "--seconds", "0.5"]) == 0
    )  # a Bound speaks on its own side only
    assert "nothing was tested" in capsys.readouterr().out


def test_a_terminal_sees_one_line_of_progress_and_a_pipe_none(here, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["falsify", "my_claims:fair", "--seconds", "1.5", "--limits", "--formats"]) == 0
    seen = capsys.readouterr().err
    assert "1 problems, 0 s, nothing claimed yet" in seen
    assert "nearest claim / truth 0." in seen
    assert "\n" not in seen
    assert seen.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my_claims:clumsy"], "raised ZeroDivisionError"),
        (["my_claims:missing"], "my_claims has no function 'missing'; it has too_much"),
        (["my_claims:number"], "my_claims:number is not a function, found 3"),
        (["my_claims:fair", "--problems", "my_claims:number"], "problems must be a Hypothesis strategy"),
        (["my_claims:fair", "--problems", "my_claims:missing"], "my_claims has no strategy 'missing'"),
        (["my_claims:fair", "--problems", "pairs"], "--problems must be module:strategy, found 'pairs'"),
        (["no_such_file:bound"], "cannot import no_such_file"),
        (["half_written:bound"], "SyntaxError"),
        (["no-such-bound"], "no bound is named 'no-such-bound'"),
        (["near-unigram"], "near-unigram is a prediction and claims no side"),
        (["my_claims:fair", "--seconds", "0"], "seconds must be > 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(here, capsys, arguments, message):
    assert main(["falsify", *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("rankfloor: error: ")
    assert message in said[0]


def test_an_interrupt_ends_the_hunt_with_what_there_is(here):
    hearing = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); import experiments.cli as c; "
    )
    command = [sys.executable, "-c", hearing + "sys.exit(c.main())", "falsify", "my_claims:fair", "--seconds", "300"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 60
    while not (here / "called").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.startswith(("No counterexample to my_claims:fair (lower)", "my_claims:fair claimed nothing"))
    assert err == ""


def test_the_gallery_is_printed(capsys):
    assert main(["gallery", "high-rank-floor", "yang-corollary-1"]) == 0
    out = capsys.readouterr().out
    assert "high-rank-floor: fails as written, holds when corrected\n" in out
    assert "yang-corollary-1: holds\n" in out
    assert main(["gallery", "unknown"]) == 2
    assert "no published claim is named 'unknown'" in capsys.readouterr().err
