"""Heads of growing rank on frozen features: scores, the paper's recipe, the sweep, its files and how it resumes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from experiments.lm.model import LanguageModel
from experiments.lm.ranks import literal, score
from experiments.lm.ranks import sweep as sweep_module
from experiments.lm.ranks.command import RanksConfig, carry_out
from experiments.lm.ranks.contexts import dealt
from experiments.lm.ranks.literal import loss_and_gradients, peak_rate, schedule, train_literally
from experiments.lm.ranks.score import FULL, scores
from experiments.lm.ranks.store import SweepFolder
from experiments.lm.ranks.sweep import Trial, Work, full_head, problem_of, sweep
from tests.experiments.ranked import WINDOW, material, transformer
from tests.experiments.test_lm_cli import fails
from tests.tolerances import LIBRARIES, identity
from theory.frozen import METRICS, FrozenHead, gap, predict_points

QUICK = Work(folds=2, draws=2, evaluations=200, tolerance=1e-6)


def head_of(rank, world):
    return METRICS["unigram"](problem_of(world, world.fitted)).truncation(rank)


# ---------------------------------------------------------------------- contexts and scores


def test_windows_are_dealt_whole_and_samples_nest():
    X = np.repeat(np.arange(10 * WINDOW, dtype=np.float32)[:, None], 2, axis=1)
    model = LanguageModel("m", np.ones((3, 2), dtype=np.float32))
    dealt_ = dealt(model, X, np.zeros(len(X), dtype=np.int64), (5 * WINDOW, 5 * WINDOW), WINDOW, seed=1)
    windows = [set((part.X[:, 0] // WINDOW).astype(int)) for part in (dealt_.fitted, dealt_.held_out)]
    assert windows[0] | windows[1] == set(range(10))
    assert not windows[0] & windows[1]
    assert np.array_equal(dealt_.fitted.first(20).X, dealt_.fitted.first(40).X[:20])
    assert all(np.all(np.diff(run) == 1) for run in dealt_.fitted.X[:, 0].reshape(-1, WINDOW))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_scores_are_divergences_losses_and_hits(precision, monkeypatch):
    world = material()
    monkeypatch.setattr(score, "BLOCK_ENTRIES", 1000)
    head, part = head_of(3, world), world.held_out
    found = scores({"h": head}, full_head(world), part, precision)
    X = part.X.astype(np.float64)
    log_p, log_q = (
        it - np.log(np.exp(it).sum(axis=1, keepdims=True)) for it in (X @ world.W.T.astype(float), head.logits(X))
    )
    here, kl = np.arange(len(part)), np.sum(np.exp(log_p) * (log_p - log_q), axis=1)
    loss, full = -log_q[here, part.y], -log_p[here, part.y]
    close = LIBRARIES if precision == "float64" else identity(np.float32)
    assert found["h"].kl == pytest.approx(kl.mean(), rel=close, abs=0)
    assert found["h"].loss == pytest.approx(loss.mean(), rel=close, abs=0)
    assert found["h"].excess == pytest.approx((loss - full).mean(), rel=close, abs=0)
    assert found["h"].accuracy == np.mean(log_q.argmax(axis=1) == part.y)
    assert found[FULL].kl == 0
    assert found["h"].kl > found[FULL].kl + 10 * close  # a sabotage twin: another head is told apart


def test_errors_of_scores_shrink_with_the_sample():
    errors = []
    for rows in (400, 6400):
        world = material(rows=(300, rows))
        errors.append(scores({"h": head_of(3, world)}, full_head(world), world.held_out)["h"].kl_stderr)
    assert 2 < errors[0] / errors[1] < 8  # 4 for windows of equal spread


# ---------------------------------------------------------------------- the paper's recipe


def test_gradients_of_the_recipe_have_the_claimed_order():
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal((7, 3)), rng.standard_normal((3, 4))]
    X, y = rng.standard_normal((5, 4)), rng.integers(0, 7, 5)
    way = [rng.standard_normal(part.shape) for part in factors]
    loss, gradients = loss_and_gradients(factors, X, y)
    slope = sum(float(np.vdot(g, d)) for g, d in zip(gradients, way, strict=True))
    steps = np.geomspace(1e-2, 1e-4, 5)
    errors = [
        abs(loss_and_gradients([f + h * d for f, d in zip(factors, way, strict=True)], X, y)[0] - loss - h * slope)
        for h in steps
    ]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(2, abs=0.1, rel=0)


def test_rates_warm_up_and_end_at_a_tenth():
    assert [peak_rate(rank) for rank in (32, 64, 512, 1024, 4096)] == [2e-2, 1e-2, 7e-3, 5e-3, 5e-3]
    rates = [schedule(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1, rel=1e-12, abs=0)
    assert rates[9] == max(rates) == 1
    assert rates[-1] == pytest.approx(literal.FINAL, rel=1e-4, abs=0)


def test_the_recipe_lowers_the_loss_and_repeats_itself():
    world = material()
    runs = [train_literally(world.fitted, 50, 4, 60, seed) for seed in (0, 0, 1)]
    assert np.mean(runs[0].losses[-5:]) < np.mean(runs[0].losses[:5])
    assert np.array_equal(runs[0].losses, runs[1].losses)
    assert not np.array_equal(runs[0].losses, runs[2].losses)
    assert runs[0].head.b is None
    with pytest.raises(ValueError, match="a rank and a number of steps of at least 1, found 0 and 5"):
        train_literally(world.fitted, 50, 0, 5)


def test_the_recipe_starts_far_above_the_unigram_law():
    """N(0, 1) for both factors makes logits far apart: the first loss is many times log V."""
    world = material(width=8)
    assert train_literally(world.fitted, 50, 8, 1).losses[0] > 2 * math.log(50)


# ---------------------------------------------------------------------- one trial


def test_hard_targets_are_fitted_to_the_next_tokens():
    world = material()
    trial = Trial(world, world.fitted, replace(QUICK, target="hard", ridge=1e-2, folds=0))
    (curve, lines) = next(iter(trial.ranks([2])))
    by = {line["head"]: line for line in lines}
    assert by["trained"]["in_loss"] < min(by[name]["in_loss"] for name in ("raw", "unigram", "information"))
    assert curve["trained"] == by["trained"]["in_kl"]
    assert curve["out_predicted"] is None
    soft = next(iter(Trial(world, world.fitted, replace(QUICK, folds=0)).ranks([2])))[1]
    trained = next(line for line in soft if line["head"] == "trained")
    assert trained["in_kl"] < by["trained"]["in_kl"]
    assert trained["in_loss"] > by["trained"]["in_loss"]


@pytest.mark.parametrize(("pages", "bytes_"), [(2**24, 2**36 // 5), (2**10, 2**31), (None, 2**31)])
def test_tables_are_kept_in_a_fifth_of_the_memory(pages, bytes_, monkeypatch):
    def system(name):
        if pages is None:
            raise ValueError(f"unrecognized configuration name {name}")
        return {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": pages}[name]

    monkeypatch.setattr(sweep_module.os, "sysconf", system)
    assert sweep_module.memory() == bytes_
    assert Work().options.memory == bytes_


def test_a_head_without_a_bias_has_none():
    world = material()
    trial = Trial(world, world.fitted, replace(QUICK, bias=False, folds=0))
    point = next(predict_points(trial.problem, [2], trial.work.effort(WINDOW)))
    heads = trial.heads(point, trial.trained(point))
    assert all(head.b is None for head in heads.values())
    assert gap(trial.problem, heads["trained"]) <= point.upper + identity(np.float32) * 1e-2


def test_interrupted_sweeps_go_on(tmp_path):
    world = material()
    whole, halved = (SweepFolder(tmp_path / name, {"a": 1}) for name in ("whole", "halved"))
    for folder in (whole, halved):
        folder.describe({})
    sweep(world, 200, [1, 2, 4], QUICK, whole)
    sweep(world, 200, [1, 4], QUICK, halved)
    before = (tmp_path / "halved" / "N00000200-r0004.json").stat().st_mtime_ns
    (tmp_path / "halved" / "N00000200-r0001.json").write_text("{ cut short")
    sweep(world, 200, [1, 2, 4], QUICK, halved)
    assert (tmp_path / "halved" / "N00000200-r0004.json").stat().st_mtime_ns == before
    one, other = (pd.read_parquet(folder.path / "curve.parquet") for folder in (whole, halved))
    assert one["rank"].tolist() == other["rank"].tolist() == [1, 2, 4]
    assert np.abs(one["trained"] - other["trained"]).max() <= 2 * QUICK.tolerance
    assert not SweepFolder(tmp_path / "whole", {"a": 2}).has(200, 1)
    assert whole.has(200, 1)


# ---------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a sweep over a tiny transformer, what was said, and how to run it again."""
    place = tmp_path_factory.mktemp("ranks")
    folder, text = transformer(place)
    arguments = ["lm", "ranks", str(folder), "--text", str(text), "--ranks", "1", "2", "4", "8", "16"]
    arguments += ["--tokens", "400", "--held-out", "600", "--window", str(WINDOW), "--sizes", "150"]
    arguments += ["--sized-ranks", "2", "--literal", "--literal-steps", "20", "--out", str(place / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKFLOOR_CACHE", str(place / "cache"))
        code = main(arguments)
    return place / "out", code, arguments


def test_trained_heads_lie_in_the_predicted_intervals_on_a_transformer(swept):
    out, code, _ = swept
    curve, heads = pd.read_parquet(out / "curve.parquet"), pd.read_parquet(out / "heads.parquet")
    assert code == 0
    assert len(curve) == 6
    slack = 1e-4
    assert (curve["low"] <= curve["trained"]).all()
    assert (curve["trained"] <= curve["upper"] + slack).all()
    trained = heads[heads["head"] == "trained"].set_index(["contexts", "rank"])
    own = curve.set_index(["contexts", "rank"])
    noise = 3 * trained["out_kl_stderr"]
    assert (own["out_low"] - noise <= trained["out_kl"]).all()
    assert (trained["out_kl"] <= own["out_high"] + noise).all()
    main_curve = curve[(curve["contexts"] == 400) & (curve["rank"] < 16)]
    assert (np.abs(main_curve["predicted"] / main_curve["trained"] - 1) <= 0.2).all()
    assert not (2 * main_curve["trained"] <= main_curve["upper"]).any()  # sabotage twin: twice the loss lies outside


def test_the_sweep_writes_every_head_and_the_figure(swept):
    out, _, _ = swept
    heads, facts = pd.read_parquet(out / "heads.parquet"), json.loads((out / "config.json").read_text())
    assert set(heads["head"]) == {
        "full",
        "raw",
        "whitened",
        "unigram",
        "information",
        "predicted",
        "trained",
        "literal",
    }
    assert {path.name for path in out.iterdir()} >= {"ranks.png", "ranks.pdf"}
    assert (facts["vocab"], facts["dim"], facts["tokens"]) == (60, 16, 400)
    last = heads[(heads["rank"] == 16) & heads["head"].isin(["raw", "trained", "unigram"])]
    assert (last["out_kl"].abs() <= identity(np.float32)).all()  # the full rank cuts nothing off
    full = heads[heads["head"] == "full"]
    assert full["out_loss"].nunique() == 1


def test_a_second_run_only_reads(swept, capsys, monkeypatch):
    out, _, arguments = swept
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("N*.json")}
    monkeypatch.setenv("RANKFLOOR_CACHE", str(out.parent / "cache"))
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("N*.json")} == before
    assert "600 contexts held out" in said
    assert "the paper's recipe, rank 4 on 400 contexts" in said


def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path / "cache"))
    folder, text = transformer(tmp_path, words=100)
    given = ["ranks", str(folder), "--text", str(text)]
    capsys.readouterr()
    assert fails(capsys, [*given, "--ranks", "17"], "rank 17 is above the width 16")
    assert fails(capsys, [*given, "--ranks", "4", "--sizes", "9"], "rank 64 is above the width 16")
    assert fails(capsys, [*given, "--ranks", "0"], "ranks must be one or more integers of at least 1")
    assert fails(capsys, [*given, "--ranks", "4", "--held-out", "1"], "--held-out must be at least 2")
    assert fails(capsys, [*given, "--ranks", "4", "--sizes", "1"], "--sizes must be at least 2")
    assert fails(capsys, [*given, "--ranks", "4", "--ridge", "1"], "--ridge is for hard targets")
    assert fails(capsys, [*given, "--ranks", "4"], "the text has 100 tokens, and 2000 contexts")


def test_an_unwritable_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="choose another --out"):
        carry_out(
            RanksConfig("tiny", ranks=(1,), tokens=50, held_out=50, out=tmp_path / "file" / "x"), material((50, 50))
        )


def test_truncations_score_as_their_gap():
    world = material()
    problem = problem_of(world, world.fitted).in_float64
    for name, metric in METRICS.items():
        head = metric(problem).truncation(2)
        found = scores({name: head}, full_head(world), world.fitted, "float64")[name].kl
        assert found == pytest.approx(gap(problem, FrozenHead(head.A, head.B, head.b)), rel=LIBRARIES, abs=0)


def test_a_sweep_of_the_full_rank_alone_is_drawn(tmp_path):
    """Nothing is lost there, and a logarithmic axis has nothing to show."""
    world = material((50, 50))
    config = RanksConfig("tiny", ranks=(world.W.shape[1],), tokens=50, held_out=50, folds=0, out=tmp_path)
    assert (carry_out(config, world) / "ranks.png").stat().st_size > 0
