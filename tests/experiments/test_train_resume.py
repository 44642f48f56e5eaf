"""Training that survives: interrupted and uninterrupted runs are equal to the last bit, half lines dropped."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.cli import main
from experiments.lm.corpus import moby_dick
from experiments.lm.train import ladder as job
from experiments.lm.train.checkpoints import checkpoint_folder
from experiments.lm.train.config import PRESETS, Recipe
from experiments.lm.train.log import Log
from experiments.lm.train.schedule import checkpoint_steps
from experiments.lm.train.trainer import Ladder, Trainer
from experiments.lm.train.watch import LadderWatch

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
)
WIDTH = 8


@pytest.fixture(scope="module")
def excerpt(tmp_path_factory):
    """A text file that is cut in a moment."""
    path = tmp_path_factory.mktemp("text") / "excerpt.txt"
    path.write_text(moby_dick()[:60_000])
    return path


@pytest.fixture(scope="module")
def whole(excerpt, tmp_path_factory):
    """A ladder of one width, prepared, and its run without interruption."""
    config = little(excerpt, tmp_path_factory.mktemp("whole"))
    ladder = job.prepare(config)
    trainer = Trainer(ladder, WIDTH)
    trainer.run()
    return ladder, rows(trainer)


def little(text, out, device="cpu"):
    base = PRESETS["test"]
    return dataclasses.replace(
        base, text=str(text), out=out, device=device, recipe=Recipe(tokens=16_000, batch=8),
        shape=dataclasses.replace(base.shape, widths=(WIDTH,)),
    )  # fmt: skip


def rows(trainer):
    """What was measured, without the time it took."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in trainer.log.rows]


def elsewhere(ladder, folder):
    """The same ladder in another folder."""
    (folder / "tokenizer.json").write_bytes(ladder.tokenizer.read_bytes())
    return Ladder(ladder.config, ladder.text, folder)


def stop_at(when):
    def watch(_width, step, _loss):
        if step == when:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize("when", [1, 23, 32, 61])
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(whole, tmp_path, when):
    ladder, expected = whole
    here = elsewhere(ladder, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Trainer(here, WIDTH).run(stop_at(when))
    again = Trainer(here, WIDTH)
    assert 0 < again.step <= when or when == 1
    again.run()
    assert rows(again) == expected
    last = ladder.config.steps
    files = [checkpoint_folder(one.width_folder(WIDTH), last) / "model.safetensors" for one in (ladder, here)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_two_runs_of_one_seed_are_equal_and_of_two_seeds_are_not(excerpt, tmp_path, device):
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        config = little(excerpt, tmp_path / name, device)
        trainer = Trainer(job.prepare(dataclasses.replace(config, recipe=Recipe(16_000, 8, seed=seed))), WIDTH)
        trainer.run()
        made.append(rows(trainer))
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_a_finished_width_is_not_trained_again(whole, monkeypatch):
    ladder, _ = whole
    monkeypatch.setattr(Trainer, "run", lambda *_: pytest.fail("trained again"))
    with LadderWatch(ladder.config) as progress:
        assert job.train(ladder, progress) == []


def test_a_lost_line_is_measured_again_from_its_checkpoint(whole, tmp_path):
    ladder, expected = whole
    here = elsewhere(ladder, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Trainer(here, WIDTH).run(stop_at(40))
    log = here.width_folder(WIDTH) / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2] + lines[3:])[:-40])  # one line lost, the last one half-written
    again = Trainer(here, WIDTH)
    again.run()
    assert sorted(rows(again), key=lambda row: row["step"]) == expected


def test_a_killed_command_goes_on(whole, excerpt, tmp_path, capsys):
    _, expected = whole
    arguments = ["lm", "train", str(excerpt), "--preset", "test", "--widths", str(WIDTH), "--tokens", "16000"]
    arguments += ["--out", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "experiments.cli", *arguments], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        logs = list(tmp_path.rglob("log.jsonl"))
        if logs and logs[0].read_bytes().count(b"\n") >= 4:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    _, said = process.communicate()
    assert said == b""
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "late rise" in out
    (folder,) = tmp_path.iterdir()
    (log,) = folder.rglob("log.jsonl")
    lines = map(json.loads, log.read_text().splitlines())
    found = [{key: value for key, value in row.items() if key != "seconds"} for row in lines]
    assert [row["step"] for row in found] == [row["step"] for row in expected]
    same = ("held_out", "train", "sigma", "anisotropy")
    threads = [[row[name] for name in same] for row in (found[-1], expected[-1])]
    for one, other in zip(*threads, strict=True):  # the command may have used another number of threads
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-2)
    written = {path.name for path in folder.iterdir()}
    assert {"config.json", "curves.parquet", "saturation.parquet", "training.png", "training.pdf"} <= written


def test_a_tiny_model_learns_more_than_token_frequencies(whole):
    ladder, found = whole
    facts = json.loads((ladder.folder / "config.json").read_text())
    assert found[-1]["held_out"] + 5 * found[-1]["held_out_stderr"] < facts["nulls"]["unigram"] < found[0]["held_out"]
    assert [row["step"] for row in found] == checkpoint_steps(ladder.config)
    table = job.curves(ladder)
    judged = job.judge(ladder, table)
    assert judged["finding"].tolist() == ["no late rise"]
    assert pd.read_parquet(ladder.folder / "saturation.parquet")["width"].tolist() == [WIDTH]


def test_stored_checkpoints_can_be_loaded_and_hold_the_tokenizer(whole):
    transformers = pytest.importorskip("transformers", reason="reads with transformers, which rankfloor[lm] installs")
    ladder, found = whole
    folder = checkpoint_folder(ladder.width_folder(WIDTH), found[-1]["step"])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    inputs, targets = ladder.text.sample(ladder.text.held_out, ladder.config.watch.windows)
    with torch.no_grad():
        logits = theirs(torch.from_numpy(inputs)).logits.double()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten())
    assert float(loss) == pytest.approx(found[-1]["held_out"], abs=1e-5)
    ids = transformers.AutoTokenizer.from_pretrained(folder)("Call me Ishmael.")["input_ids"]
    assert max(ids) < ladder.text.vocab
    assert transformers.AutoTokenizer.from_pretrained(folder).decode(ids) == "Call me Ishmael."


# ---------------------------------------------------------------- files


@settings(max_examples=40)
@given(st.integers(0, 130))
def test_a_log_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    log = Log(path)
    for step in range(5):
        log.append({"step": step, "value": step / 3})
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    again = Log(path)
    assert again.rows == log.rows[: whole[:cut].count(b"\n")]
    again.append({"step": 9})
    assert Log(path).rows == [*log.rows[: whole[:cut].count(b"\n")], {"step": 9}]


def test_a_damaged_line_or_state_is_an_error(whole, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 0}\n{"st\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 2, is damaged"):
        Log(path)
    path.write_text("[1]\n")
    with pytest.raises(ValueError, match="line 1, is not a JSON object"):
        Log(path)
    here = elsewhere(whole[0], tmp_path)
    here.width_folder(WIDTH).mkdir()
    (here.width_folder(WIDTH) / "state.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"state\.pt is damaged"):
        Trainer(here, WIDTH)


def test_a_run_that_diverges_says_so(excerpt, tmp_path):
    config = dataclasses.replace(little(excerpt, tmp_path), recipe=Recipe(16_000, 8, rate=1e30))
    with pytest.raises(ValueError, match="width 8 diverged before step"):
        Trainer(job.prepare(config), WIDTH).run()


def test_another_number_of_threads_is_noted(whole, tmp_path):
    here = elsewhere(whole[0], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Trainer(here, WIDTH).run(stop_at(20))
    threads = torch.get_num_threads()
    assert Trainer(here, WIDTH).resumed == ""
    torch.set_num_threads(threads + 1)
    try:
        assert "may differ in rounding" in Trainer(here, WIDTH).resumed
    finally:
        torch.set_num_threads(threads)
