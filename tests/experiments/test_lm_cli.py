"""``rankfloor lm``: dispatch, what the commands write and say, and one-line errors with exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from experiments.cli import main
from experiments.lm.cli import SUBCOMMANDS
from experiments.lm.scaling import DIGITISED, compare, read_points
from tests.experiments.evaluations import evaluation, hugging_face, write, write_run
from tests.tolerances import rounding
from theory.scaling import HOFFMANN, Count


def fails(capsys, arguments, message):
    code = main(["lm", *arguments])
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(said) == 1
    assert said[0].startswith("rankfloor: error: ")
    assert message in said[0]
    return True


def test_help_lists_the_sub_commands_and_loads_nothing_heavy():
    code = "import sys, experiments.cli as c; c.main(['lm', '--help']); print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "set()"
    assert all(f"  {name} " in done.stdout for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_sub_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["lm", name, "--help"])
    assert stopped.value.code == 0
    assert f"rankfloor lm {name}" in capsys.readouterr().out


def test_saturation_says_and_writes_what_it_found(tmp_path, capsys):
    write_run(tmp_path / "evals", "pythia-v1/pythia-70m/zero-shot", "70m", late=0.8)
    write_run(tmp_path / "evals", "pythia-v1/pythia-70m-deduped/five-shot", "70m-deduped", shots=5)
    out = tmp_path / "out"
    assert main(["lm", "saturation", str(tmp_path / "evals"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "late rise (1 of 2 runs, each at level 0.05): v1 70m 0-shot" in said
    assert "cannot tell width from what goes with it" in said  # no width has both kinds with equal shots
    assert pd.read_parquet(out / "saturation.parquet")["finding"].tolist() == ["late rise", "no late rise"]
    assert {path.name for path in out.iterdir()} >= {"curves.parquet", "saturation.png", "saturation.pdf"}
    assert json.loads((out / "config.json").read_text())["metric"] == "lambada_openai_ppl"


def test_scaling_reports_both_conventions_side_by_side(tmp_path, capsys):
    assert main(["lm", "scaling", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "the sign of the mean gap of the smaller models depends on what N counts" in said
    models = pd.read_parquet(tmp_path / "scaling.parquet")
    assert set(models["convention"]) == {count.value for count in Count}
    laws = pd.read_parquet(tmp_path / "laws.parquet")
    assert len(laws) == 2 * 7
    assert (tmp_path / "scaling.png").exists()


def test_scaling_of_points_on_a_law_finds_no_gap(tmp_path, capsys):
    points = read_points(DIGITISED).drop(columns="best_loss")
    N = [Count.TOTAL.parameters(*map(int, shape)) for shape in points[["layers", "width", "vocab"]].to_numpy()]
    points["loss"] = HOFFMANN(pd.Series(N, dtype=float).to_numpy(), points["tokens"].to_numpy(float))
    points.to_csv(tmp_path / "points.csv")
    assert main(["lm", "scaling", str(tmp_path / "points.csv"), "--out", str(tmp_path / "out")]) == 0
    assert "at their best" not in capsys.readouterr().out
    models, laws = compare(points.assign(best_loss=float("nan")), 4e8, HOFFMANN)
    total = models[models["convention"] == Count.TOTAL.value]
    assert total["gap"].abs().max() <= rounding(1e3, 10)
    assert laws["alpha"][0] == pytest.approx(0.34, rel=0, abs=rounding(1e3, 10))


def test_free_constants_are_said_to_be_free(tmp_path, capsys):
    assert main(["lm", "scaling", "--free", "--out", str(tmp_path)]) == 0
    assert "all constants free" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scalin"], "did you mean 'scaling'?"),
        (["saturation", "nowhere"], "nowhere does not exist"),
        (["saturation", "here", "--metric", "lambada_openai_pp"], "the nearest are lambada_openai_ppl"),
        (["saturation", "here", "--alpha", "2"], "alpha must lie in [0, 1)"),
        (["scaling", "nowhere.csv"], "cannot read the points nowhere.csv"),
        (["scaling", "short.csv"], "lacks the column vocab"),
        (["scaling", "empty.csv"], "an empty cell in the row of b"),
        (["scaling", "--smallest", "1e12"], "lower --smallest, which is 1e+12"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "here/pythia-v1/pythia-70m/70m_step1.json", evaluation(hugging_face("70m", 1), 9.0))
    write(tmp_path, "short.csv", "model,layers,width,tokens,loss\na,1,2,3,4\n")
    write(tmp_path, "empty.csv", "model,layers,width,vocab,tokens,loss\na,1,2,3,4,5\nb,1,2,3,4,\n")
    assert fails(capsys, arguments, message)
    assert not (tmp_path / "runs").exists()


def test_a_single_checkpoint_is_too_short(tmp_path, capsys):
    write(tmp_path, "pythia-v1/pythia-70m/70m_step1.json", evaluation(hugging_face("70m", 1), 9.0))
    assert main(["lm", "saturation", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "too few checkpoints" in capsys.readouterr().out
