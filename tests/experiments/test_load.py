"""Loading models: the head is the model's own, scales are folded, and what cannot be analysed is refused in words."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from experiments.lm.body import TransformerBody
from experiments.lm.load import load
from experiments.lm.model import AFTER_NORM
from tests.experiments.tiny import VOCAB, neox, saved, tokenizer
from tests.tolerances import identity

CLOSE = {"rtol": identity(np.float32), "atol": identity(np.float32)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("neox")
    neox(place)
    return place


def no_network(*_):
    raise RuntimeError("a local model must be read without a network")


def test_a_folder_gives_its_head_without_any_network(folder, monkeypatch, capfd):
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    model = load(folder)
    np.testing.assert_array_equal(model.W, load_file(folder / "model.safetensors")["embed_out.weight"])
    assert (model.vocab, model.dim, model.layers, model.b, model.bos, model.caveats) == (VOCAB, 16, 3, None, None, ())
    assert model.head_residual <= CLOSE["rtol"]
    assert capfd.readouterr() == ("", "")


def test_without_a_tokenizer_encode_says_what_to_do(folder):
    with pytest.raises(ValueError, match=r"came without a tokenizer; put its tokenizer\.json beside the weights"):
        load(folder).encode("w1 w2")


@pytest.mark.parametrize("bos", [True, False])
def test_bos_is_what_the_tokenizer_puts_in_front(tmp_path, bos):
    neox(tmp_path)
    tokenizer(tmp_path, bos=bos)
    model = load(tmp_path)
    assert model.bos == (10 if bos else None)
    found = model.encode("w3 w1 w2")
    assert found.dtype == np.int64
    assert found.tolist() == [3, 1, 2]


def test_a_tokenizer_larger_than_the_head_is_refused(tmp_path):
    neox(tmp_path, vocab=8)
    tokenizer(tmp_path)
    with pytest.raises(ValueError, match="has 11 tokens, its head only 8; give the tokenizer that belongs"):
        load(tmp_path).encode("w1")


def test_a_scale_of_the_logits_is_folded_into_the_head(tmp_path):
    from transformers import GraniteConfig, GraniteForCausalLM

    config = GraniteConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=24, max_position_embeddings=64, logits_scaling=8.0, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    own = saved(GraniteForCausalLM(config), tmp_path)
    model = load(tmp_path)
    assert any("0.125 times h Wᵀ: the factor is folded into W" in caveat for caveat in model.caveats)
    np.testing.assert_allclose(model.W, own.lm_head.weight.detach().numpy() / 8, **CLOSE)
    ids, seen = np.arange(12)[None], {}
    model.body.states(ids, seen.__setitem__, every_layer=False)
    with torch.inference_mode():
        logits = own(torch.from_numpy(ids)).logits[0].double()
    np.testing.assert_allclose(seen[AFTER_NORM] @ model.W.T, logits, **CLOSE)
    losses = torch.nn.functional.cross_entropy(logits, torch.arange(12), reduction="none")
    np.testing.assert_allclose(model.body.losses(seen[AFTER_NORM], np.arange(12)), losses, **CLOSE)


def test_a_softcapped_head_is_refused(tmp_path):
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
        intermediate_size=24, max_position_embeddings=64,
    )  # fmt: skip
    saved(Gemma2ForCausalLM(config), tmp_path)
    with pytest.raises(ValueError, match=r"bends its logits \(final_logit_softcapping 30\.0\)"):
        load(tmp_path)


def test_a_bent_head_is_told_by_its_residual(tmp_path):
    model = neox(tmp_path)
    straight = model.forward

    def bent(*args, **options):
        out = straight(*args, **options)
        out.logits = torch.tanh(out.logits)
        return out

    model.forward = bent
    with pytest.raises(ValueError, match="are not a linear function of its last states"):
        TransformerBody("bent", model)


def test_the_fingerprint_is_that_of_the_parameters(folder, tmp_path):
    neox(tmp_path / "same")
    neox(tmp_path / "other", seed=1)
    found = [load(place).fingerprint() for place in (folder, tmp_path / "same", tmp_path / "other")]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere/model.gguf", "does not exist; give a model folder"),
        ("./nowhere", "does not exist; give a model folder"),
        ("{tmp}/notes.txt", "is neither .gguf nor .safetensors"),
        ("{tmp}", "cannot be loaded"),
        ("{tmp}/broken.gguf", "cannot be loaded"),
        ("{tmp}/broken.safetensors", "cannot be read"),
    ],
)
def test_bad_sources_are_told_in_one_line(tmp_path, source, message):
    for name in ("notes.txt", "broken.gguf", "broken.safetensors"):
        (tmp_path / name).write_text("not a model at all")
    with pytest.raises(ValueError, match=message) as raised:
        load(source.format(tmp=tmp_path))
    assert "\n" not in str(raised.value)


def test_an_unreachable_hub_asks_for_local_files(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"pass a local folder or a \.gguf file where there is no network"):
        load("nobody/no-such-model")


def test_smollm2_that_was_not_fetched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path))
    monkeypatch.delenv("RANKFLOOR_SMOLLM2", raising=False)
    with pytest.raises(ValueError, match="run: rankfloor lm fetch smollm2"):
        load("smollm2")
    monkeypatch.setenv("RANKFLOOR_SMOLLM2", str(tmp_path / "gone.gguf"))
    with pytest.raises(ValueError, match="RANKFLOOR_SMOLLM2 names"):
        load("smollm2")


# ---------------------------------------------------------------------- a head alone

TALL = torch.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("tensors", "caveat"),
    [
        ({"lm_head.weight": TALL, "lm_head.bias": torch.ones(6), "x.weight": TALL + 1}, None),
        ({"model.embed_tokens.weight": TALL, "norm": torch.ones(2)}, "right if embeddings are tied"),
        ({"anything": TALL.to(torch.bfloat16)}, None),
    ],
)
def test_a_head_alone(tmp_path, tensors, caveat):
    save_file(tensors, tmp_path / "head.safetensors")
    model = load(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(model.W, TALL.numpy())
    assert model.W.dtype == np.float32
    assert (model.b is not None) == ("lm_head.bias" in tensors)
    assert (model.body, model.layers, len(model.caveats)) == (None, 0, int(caveat is not None))
    assert caveat is None or caveat in model.caveats[0]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": TALL, "b": TALL + 1}, "holds 2 matrices and none is called"),
        ({"a": torch.ones(3)}, "holds 0 matrices"),
        ({"a": TALL.T.contiguous()}, "a head has a row per token; store its transpose"),
        ({"a": TALL / 0}, "not finite"),
    ],
)
def test_what_is_no_head_is_refused(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "head.safetensors")
