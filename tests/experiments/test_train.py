"""Small language models trained here: the architecture, the split of the text, the schedules, the measures."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.cli import main
from experiments.lm.train import data, model, schedule
from experiments.lm.train.checkpoints import save_checkpoint
from experiments.lm.train.config import PRESETS, Recipe, Shape, TrainConfig, Watch, parameters, validate
from experiments.lm.train.ladder import reading
from experiments.lm.train.measure import evaluate, spike
from experiments.lm.train.seeds import named
from tests.tolerances import identity
from theory.geometry import anisotropy
from theory.saturation import Finding

SHAPE = Shape(widths=(32,), layers=2, head_size=16, vocab=300, window=12)
TOKENS = np.arange(5 * 12).reshape(5, 12) % 300


def random_model(width, shape):
    """A model none of whose parameters has a value of its own, biases and gains included."""
    made = model.initial(width, shape, seed=1, base_width=64)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            drawn = named(2, name).standard_normal(tuple(parameter.shape), dtype=np.float32)
            parameter.add_(0.1 * torch.from_numpy(drawn))
    return made


def tokenizer(folder):
    """A tokenizer file whose content does not matter."""
    path = folder / "tokenizer.json"
    if not path.exists():
        from experiments.lm.corpus import train_tokenizer

        train_tokenizer("to be or not to be", 256).save(str(path))
    return path


# ---------------------------------------------------------------- architecture


@pytest.mark.parametrize(("width", "head_size"), [(32, 16), (48, 16), (8, 16), (24, 12)])
def test_hidden_states_and_logits_are_those_of_transformers(tmp_path, width, head_size, monkeypatch):
    transformers = pytest.importorskip(
        "transformers", reason="compares with transformers, which rankfloor[lm] installs"
    )
    shape = dataclasses.replace(SHAPE, head_size=head_size)
    ours = random_model(width, shape)
    folder = save_checkpoint(tmp_path, 0, ours, shape, tokenizer(tmp_path))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    tokens = torch.from_numpy(TOKENS)
    with torch.no_grad():
        there = theirs(tokens, output_hidden_states=True)
        here = ours.double().gpt_neox(tokens)
        tolerance = identity(np.float64)
        for own, other in zip([*here[:-2], here[-1]], there.hidden_states, strict=True):
            assert torch.allclose(own, other, rtol=tolerance, atol=tolerance)
        assert torch.allclose(ours(tokens), there.logits, rtol=tolerance, atol=tolerance)
        monkeypatch.setattr(model, "ROTARY_SHARE", 0.5)
        assert (ours(tokens) - there.logits).abs().max() > 1e3 * tolerance


def test_the_stored_model_names_its_parameters_as_published_files_do(tmp_path):
    from safetensors import safe_open

    folder = save_checkpoint(tmp_path, 7, random_model(32, SHAPE), SHAPE, tokenizer(tmp_path))
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert {"gpt_neox.embed_in.weight", "embed_out.weight", "gpt_neox.final_layer_norm.bias"} <= names
    assert "gpt_neox.layers.1.attention.query_key_value.weight" in names


def test_a_position_sees_nothing_of_what_comes_later():
    ours = random_model(32, SHAPE)
    changed = TOKENS.copy()
    changed[:, 7:] = 299 - changed[:, 7:]
    with torch.no_grad():
        one, other = ours(torch.from_numpy(TOKENS)), ours(torch.from_numpy(changed))
    assert torch.equal(one[:, :7], other[:, :7])
    assert not torch.equal(one[:, 7:], other[:, 7:])


@settings(max_examples=20)
@given(st.sampled_from([4, 8, 16, 32, 48, 64]), st.integers(1, 3), st.integers(2, 50))
def test_parameters_are_counted(width, layers, vocab):
    shape = Shape(layers=layers, vocab=vocab)
    counted = sum(p.numel() for p in model.GPTNeoX(width, shape).parameters())
    assert sum(parameters(width, shape).values()) == counted


def test_weights_depend_on_seed_and_name_alone():
    one, deeper = model.initial(32, SHAPE, 0, 64), model.initial(32, dataclasses.replace(SHAPE, layers=4), 0, 64)
    other = model.initial(32, SHAPE, 1, 64)
    assert torch.equal(one.embed_out.weight, deeper.embed_out.weight)
    assert not torch.equal(one.embed_out.weight, other.embed_out.weight)


# ---------------------------------------------------------------- text


@given(st.integers(2, 9), st.integers(1000, 3000))
def test_every_token_but_the_first_is_predicted_once_and_no_held_out_one_is_trained_on(window, count):
    text = data.cut(np.arange(count), count, window, "numbers")
    trained, held = text.targets[text.training].ravel(), text.targets[text.held_out].ravel()
    assert np.array_equal(np.sort(np.concatenate([trained, held])), 1 + np.arange(len(text.inputs) * window))
    assert np.array_equal(text.inputs + 1, text.targets)
    assert len(held) < len(trained)


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(0, 5))
def test_batches_are_passes_each_in_its_own_order(size, seed):
    text = data.cut(np.arange(700), 700, 3, "numbers")
    count = len(text.training)
    steps = -(-2 * count // size)
    rows = np.concatenate([text.batch(step, size, seed)[0][:, 0] for step in range(steps)])
    first, second = rows[:count], rows[count : 2 * count]
    assert np.array_equal(np.sort(first), np.sort(text.inputs[text.training][:, 0]))
    assert np.array_equal(np.sort(second), np.sort(first))
    assert not np.array_equal(first, second)
    assert np.array_equal(text.batch(1, size, seed)[1], text.batch(1, size, seed)[1])


# ---------------------------------------------------------------- schedules


def config(tokens, even=6):
    return TrainConfig(recipe=Recipe(tokens=tokens), watch=Watch(even=even))


@given(st.integers(2048, 10**8), st.integers(1, 60))
def test_checkpoints_are_powers_of_two_and_evenly_spaced_steps(tokens, even):
    made = config(tokens, even)
    steps = schedule.checkpoint_steps(made)
    last = made.steps
    powers = {1 << k for k in range(64) if 1 << k <= last}
    assert steps == sorted(set(steps))
    assert {0, last} | powers <= set(steps)
    assert len(steps) <= 2 + len(powers) + even
    assert max(np.diff(steps), default=1) <= math.ceil(last / even) + 1


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0, 1))
def test_the_learning_rate_warms_up_and_decays_to_its_end(steps, warmup, final):
    recipe = Recipe(warmup=warmup, final=final)
    factors = [schedule.rate_factor(step, steps, recipe) for step in range(steps + 1)]
    top = int(np.argmax(factors))
    assert max(factors) <= 1
    assert min(factors) > 0 or final < 1e-9
    assert np.all(np.diff(factors[: top + 1]) >= 0)
    assert np.all(np.diff(factors[top:]) <= 0)
    assert abs(factors[-1] - final) < 1e-12 or top >= steps - 1


@pytest.mark.parametrize("width", [16, 64, 256])
def test_rates_and_decay_follow_the_width_rule(width):
    recipe = Recipe(rate=1e-2, base_width=64, weight_decay=0.1)
    made = model.GPTNeoX(width, SHAPE)
    products, embedding, vectors = schedule.parameter_groups(made, width, recipe)
    assert products["peak"] * width == pytest.approx(1e-2 * 64)
    assert products["peak"] * products["weight_decay"] == pytest.approx(1e-3)
    assert embedding["peak"] == vectors["peak"] == 1e-2
    assert vectors["weight_decay"] == 0
    grouped = sum(len(group["params"]) for group in (products, embedding, vectors))
    assert grouped == len(list(made.parameters()))
    assert any(p is made.embed_out.weight for p in products["params"])


# ---------------------------------------------------------------- measures


def test_losses_and_anisotropy_against_their_definitions():
    ours, targets = random_model(32, SHAPE), (TOKENS + 1) % 300
    found = evaluate(ours, TOKENS, targets, batch=2, states=True)
    with torch.no_grad():
        log_q = torch.log_softmax(ours(torch.from_numpy(TOKENS)).double(), dim=-1).numpy()
    direct = -np.take_along_axis(log_q, targets[..., None], axis=-1)[..., 0].mean(axis=1)
    assert found.mean == pytest.approx(direct.mean(), rel=identity(np.float32))
    assert found.stderr == pytest.approx(direct.std(ddof=1) / math.sqrt(5), rel=identity(np.float32))
    assert len(found.states) == SHAPE.layers + 2
    unit = found.states[-1] / np.linalg.norm(found.states[-1], axis=1, keepdims=True)
    cosines = (unit @ unit.T)[~np.eye(len(unit), dtype=bool)]
    assert anisotropy(found.states[-1]) == pytest.approx(cosines.mean(), rel=identity())


def test_the_spike_of_a_head_that_knows_the_unigram_law_follows_the_token_counts():
    rng = named(0, "spike")
    text = data.cut(rng.choice(50, size=4000, p=np.arange(1, 51) / 1275), 50, 5, "numbers")
    logs = np.log(1.0 + np.bincount(text.targets[text.training].ravel(), minlength=50))
    noise = rng.standard_normal((50, 8))
    share, frequency = spike(3.0 + np.outer(10 * logs, np.eye(8)[2]) + noise, text)
    assert share > 0.5
    assert frequency > 0.99
    assert spike(noise, text)[0] < 0.5
    assert spike(noise, text)[1] < 0.6


@pytest.mark.parametrize(
    ("held_out", "train", "said"),
    [
        (Finding.RISES, Finding.RISES, "saturates"),
        (Finding.RISES, Finding.NO_RISE, "overfits"),
        (Finding.NO_RISE, Finding.RISES, "does not saturate"),
        (Finding.SCATTER, Finding.NO_RISE, "does not saturate"),
        (Finding.TOO_SHORT, Finding.TOO_SHORT, "too few"),
    ],
)
def test_a_rise_on_held_out_text_alone_is_not_saturation(held_out, train, said):
    assert reading(held_out, train).startswith(said)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "tiney"], "did you mean 'tiny'?"),
        (["--widths", "50"], "width 50 is not filled by attention heads of size 16"),
        (["--widths", "32", "16"], "widths must be distinct and increasing"),
        (["--tokens", "100"], "less than one batch of 2048"),
        (["--rate", "0"], "rate must be a finite number > 0"),
        (["--warmup", "2"], "warmup must lie in [0, 1]"),
        (["--windows", "1"], "windows must be an integer"),
        (["--device", "nowhere"], "device 'nowhere' is not there"),
        (["no-such-file.txt"], "no-such-file.txt"),
        (["short.txt", "--preset", "test", "--vocab", "260"], "short has"),
        (["short.txt", "--vocab", "3000"], "different tokens, 3000 were asked for"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("short.txt").write_text("to be or not to be, that is the question " * 3)
    code = main(["lm", "train", *arguments])
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(said) == 1
    assert said[0].startswith("rankfloor: error: ")
    assert message in said[0]


def test_the_presets_are_valid_and_named_after_themselves():
    assert all(validate(preset) is preset for preset in PRESETS.values())
    assert [preset.preset for preset in PRESETS.values()] == list(PRESETS)
    assert len({preset.key for preset in PRESETS.values()}) == len(PRESETS)
