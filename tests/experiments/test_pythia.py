"""The reader of published evaluations, trap by trap on trees written here, and against the published files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.lm.late_rise import as_loss, equal_width, judge, near_copies, table_1, transposed
from experiments.lm.pythia import RUN, SHAPES, TOKENS, metric, read
from experiments.lm.scaling import DIGITISED, read_points
from tests.experiments.evaluations import NEOX, evaluation, hugging_face, write, write_run
from tests.tolerances import rounding
from theory.saturation import Rule

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PUBLISHED = DATA / "pythia-evals"
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published evaluations are not beside the repository")


def row(tmp_path, path, content):
    write(tmp_path, path, content)
    (found,) = read(tmp_path).to_dict("records")
    return found


def test_a_plain_file_is_read_whole(tmp_path):
    found = row(
        tmp_path,
        "evals/pythia-v1/pythia-70m-deduped/zero-shot/70m-deduped_step512.json",
        evaluation(hugging_face("70m-deduped", 512), 80.0, sciq={"acc": 0.5, "acc_stderr": 0.01}),
    )
    expected = {"version": "v1", "model": "70m-deduped", "shots": 0, "series": "main", "size": "70m", "layers": 6}
    expected |= {"width": 512, "deduped": True, "batch_tokens": 2_097_152, "step": 512, "tokens": 512 * 2_097_152}
    expected |= {"lambada_openai_ppl": 80.0, "lambada_openai_ppl_stderr": 3.2, "sciq_acc": 0.5, "copies": 1}
    assert {key: found[key] for key in expected} == expected
    assert not found["repeats"]


def test_the_config_is_believed_before_names(tmp_path):
    """A zero-shot file named 5shot, in a folder that calls itself five-shot, of another model than the folder says."""
    content = evaluation(hugging_face("1b-bf16", 64), 99.0, shots=0)
    found = row(tmp_path, "pythia-v1/pythia-1b/five-shot/1b-bf16-5shot_step128.json", content)
    assert (found["shots"], found["model"], found["step"], found["width"]) == (0, "1b-bf16", 64, 2048)


@pytest.mark.parametrize("folder", ["pythia-160m-0.5MtokBS", "pythia-160m-0.5MtokBS/five-shot"])
def test_batch_size_ablations_lie_flat_or_nested(tmp_path, folder):
    content = evaluation(hugging_face("160m-0.5MtokBS", 572000), 40.0, shots=5)
    found = row(tmp_path, f"pythia-v1/{folder}/160m-0.5MtokBS_step572000.json", content)
    assert (found["batch_tokens"], found["tokens"], found["shots"]) == (2**19, TOKENS, 5)
    assert (found["size"], found["width"]) == ("160m", 768)


def test_version_0_tells_its_batch_and_width_itself(tmp_path):
    name = "pythia-160m-0shot-global_step71500_eval_results_12-30-2022-23-05-56.json"
    found = row(tmp_path, f"pythia-v0/pythia-160m/zero-shot/{name}", evaluation(NEOX | {"iteration": 71500}, 25.0))
    assert (found["version"], found["batch_tokens"], found["tokens"]) == ("v0", 4_194_304, TOKENS)
    assert (found["step"], found["width"], found["layers"]) == (71500, 768, 12)


@pytest.mark.parametrize("inside", [True, False])
def test_of_two_files_for_one_checkpoint_one_is_kept(tmp_path, inside):
    """The one in the folder named after its shots, whatever the names' order; in one folder, the later."""
    stem = "pythia-160m-0shot-global_step500_eval_results_"
    other = "zero-shot" if inside else "five-shot"
    early, late = ("12-30-2022-23-05-56", "12-30-2022-23-05-58")
    content = NEOX | {"iteration": 500}
    write(
        tmp_path, f"pythia-v0/pythia-160m/zero-shot/{stem}{late if inside else early}.json", evaluation(content, 30.0)
    )
    found = row(
        tmp_path, f"pythia-v0/pythia-160m/{other}/{stem}{early if inside else late}.json", evaluation(content, 31.0)
    )
    assert (found["lambada_openai_ppl"], found["copies"]) == (30.0, 2)


def test_step_1_repeats_step_0(tmp_path):
    for step in (0, 1, 2):
        file = f"pythia-v1/pythia-70m/zero-shot/70m_step{step}.json"
        write(tmp_path, file, evaluation(hugging_face("70m", step), 900.0 + (step == 2)))
    table = read(tmp_path)
    assert table["step"].tolist() == [0, 1, 2]
    assert table["repeats"].tolist() == [False, True, False]


def test_baselines_and_interventions_are_series_of_their_own(tmp_path):
    folder = "pythia-v1/pythia-1.4b-deduped"
    long = "pretrained=EleutherAI/intervention-pythia-v1.1-1.4b-deduped-long,revision=step9"
    write(tmp_path, f"{folder}/zero-shot/1.4b-deduped_step9.json", evaluation(hugging_face("1.4b-deduped", 9), 9.0))
    write(
        tmp_path,
        f"{folder}/baseline/baseline-1.4b-deduped_step9.json",
        evaluation(hugging_face("1.4b-deduped", 9), 8.0),
    )
    write(tmp_path, f"{folder}/intervention/intervention-1.4b-deduped-long_step9.json", evaluation(long, 7.0))
    table = read(tmp_path)
    assert sorted(table["series"]) == ["baseline", "intervention-long", "main"]
    assert set(table["model"]) == {"1.4b-deduped"}
    assert table["copies"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("start", [".", "evals", "evals/pythia-v1", "evals/pythia-v1/pythia-70m", "file"])
def test_any_part_of_a_clone_will_do(tmp_path, start):
    path = "evals/pythia-v1/pythia-70m/zero-shot/70m_step8.json"
    write(tmp_path, path, evaluation(hugging_face("70m", 8), 9.0))
    write(tmp_path, "evals/notes.json", {"results": 3})
    write(tmp_path, "evals/list.json", [1, 2])
    (found,) = read(tmp_path / (path if start == "file" else start)).to_dict("records")
    assert (found["version"], found["model"]) == ("v1", "70m")


def test_tasks_are_chosen_or_all_read(tmp_path):
    content = evaluation(hugging_face("70m", 8), 9.0, sciq={"acc": 0.5}, wsc={"acc": 0.4})
    write(tmp_path, "pythia-v1/pythia-70m/zero-shot/70m_step8.json", content)
    assert "wsc_acc" not in read(tmp_path)
    assert read(tmp_path, None)["wsc_acc"].tolist() == [0.4]
    assert "lambada_openai_ppl" not in read(tmp_path, ["wsc"])
    with pytest.raises(ValueError, match="nearest are sciq_acc"):
        metric(read(tmp_path), "sciq_ac")


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("pythia-v1/pythia-70m/a_step1.json", "{", "is not valid JSON"),
        ("pythia-v1/pythia-70m/a.json", {"config": {}}, "none is an evaluation"),
        ("evals/a_step1.json", evaluation(None, 9.0), "neither its config nor its folder names a model"),
        ("pythia-v1/pythia-70m/a.json", evaluation(None, 9.0), "neither its config nor its name tells the step"),
        ("pythia-v1/pythia-3b/a_step1.json", evaluation(None, 9.0), "no model of size '3b' is known"),
    ],
)
def test_bad_trees_are_named(tmp_path, path, content, message):
    write(tmp_path, path, content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        read(tmp_path / "nowhere")


def test_the_rise_is_found_and_set_beside_its_width(tmp_path):
    write_run(tmp_path, "pythia-v1/pythia-70m/zero-shot", "70m", late=0.8)
    write_run(tmp_path, "pythia-v1/pythia-70m-deduped/zero-shot", "70m-deduped")
    write_run(tmp_path, "pythia-v1/pythia-70m-copy/zero-shot", "70m-copy")
    table = read(tmp_path)
    for name in ("lambada_openai_ppl", "lambada_openai_acc"):
        judged = judge(table, name, Rule()).set_index("model")
        assert judged["finding"].to_dict() == {
            "70m": "late rise", "70m-deduped": "no late rise", "70m-copy": "no late rise"
        }  # fmt: skip
        (contrast,) = equal_width(judged.reset_index()).to_dict("records")
        assert contrast["rise"] == "v1 70m"
        assert contrast["no_rise"] == "v1 70m-copy, v1 70m-deduped"
        assert contrast["split"]
        assert near_copies(table, name) == [("v1 70m-copy", "70m-deduped (0-shot)", 0.0)]
    assert table_1(table) is None


def test_losses_have_less_as_better():
    assert as_loss([1.0, np.e], "lambada_openai_ppl").tolist() == [0.0, 1.0]
    assert as_loss([0.25], "sciq_acc_norm").tolist() == [-0.25]
    assert as_loss([0.9], "wikitext_bits_per_byte").tolist() == [0.9]


def test_shapes_agree_with_the_digitised_points():
    points = read_points(DIGITISED)
    shapes = points.set_index("model")[["layers", "width", "vocab"]]
    assert {model: tuple(shape) for model, shape in shapes.T.to_dict("list").items()} == SHAPES
    assert set(points["tokens"]) == {TOKENS}


@pytest.fixture(scope="module")
def everything():
    return read(PUBLISHED)


@published
def test_every_published_run_saw_the_same_tokens(everything):
    full = everything[everything["series"] == "main"].groupby(RUN)["tokens"].max()
    assert set(full) == {TOKENS}
    assert len(full) == 40


@published
def test_the_zero_shot_table_is_the_flat_extract(everything):
    """432 rows of 16 models; values agree to the last digit."""
    v1 = everything[(everything["version"] == "v1") & (everything["shots"] == 0) & (everything["series"] == "main")]
    assert (len(v1), v1["model"].nunique(), int(v1["repeats"].sum())) == (432, 16, 16)
    flat = pd.read_csv(DATA / "pythia_lambada.csv").assign(model=lambda t: t["model"].str.removeprefix("pythia-"))
    both = v1.merge(flat, on=["model", "step"], suffixes=("", "_flat"))
    assert len(both) == 432
    for name in ("lambada_openai_ppl", "lambada_openai_ppl_stderr", "lambada_openai_acc", "sciq_acc", "arc_easy_acc"):
        assert (both[name] == both[f"{name}_flat"]).all()


@published
def test_four_models_rise_late_and_no_other(everything):
    judged = judge(everything, "lambada_openai_ppl", Rule())
    zero = judged[(judged["version"] == "v1") & (judged["shots"] == 0)].set_index("model")
    rising = zero[zero["finding"] == "late rise"]
    assert set(rising.index) == {"70m", "70m-deduped", "160m", "160m-deduped"}
    assert set(zero["finding"]) == {"late rise", "no late rise"}
    shown = {model: (round(run["best_value"], 1), round(run["final_value"], 1)) for model, run in rising.iterrows()}
    assert shown == {
        "70m": (94.3, 142.4), "70m-deduped": (86.3, 138.5), "160m": (24.8, 38.1), "160m-deduped": (24.1, 32.2)
    }  # fmt: skip
    assert zero[zero["finding"] != "late rise"]["p_scatter"].min() > 0.5


@published
def test_equal_widths_end_either_way(everything):
    judged = judge(everything, "lambada_openai_ppl", Rule())
    split = equal_width(judged).query("split").set_index(["width", "shots"])["no_rise"].to_dict()
    assert split == {
        (512, 0): "v0 70m", (512, 5): "v1 70m-0.25MtokBS",
        (768, 0): "v0 160m (4M batch)", (768, 5): "v1 160m-0.5MtokBS",
    }  # fmt: skip


@published
def test_another_measure_agrees(everything):
    findings = [judge(everything, name, Rule())["finding"].tolist() for name in ("lambada_openai_ppl", "sciq_acc")]
    assert findings[0] == findings[1]


@published
def test_the_final_lambada_cells_of_table_1_look_transposed(everything):
    compared = table_1(everything)
    here = compared.set_index("metric")["final_here"]
    assert abs(here["lambada_openai_ppl"] - 38.06) <= 0.005
    assert abs(here["lambada_openai_acc"] - 32.84) <= 0.005 + rounding(33, 1)
    assert transposed(compared)
    swapped = compared.assign(final=[38.0, 32.9, *compared["final"][2:]])
    assert not transposed(swapped)


@published
def test_one_pair_of_runs_is_one_run(everything):
    pairs = near_copies(everything, "lambada_openai_ppl")
    assert {(one, other) for one, other, _ in pairs} == {
        ("v1 2.8b", "2.8b-deduped (0-shot)"), ("v1 2.8b", "2.8b-deduped (5-shot)")
    }  # fmt: skip
