"""What a run leaves on disk: a state to go on from, and models that other programs read.

Both appear whole or not at all: files are written beside their place, brought to the disk, and renamed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.atomic import replacing
from experiments.lm.train.config import Shape, heads
from experiments.lm.train.model import ROTARY_BASE, ROTARY_SHARE, GPTNeoX


@dataclass(frozen=True)
class State:
    """A width in the middle of its training: updates done, weights, AdamW's averages, processor seconds so far.

    There is no state of a generator: the batch of a step is a function of seed and step.  ``place`` says where it was
    made (device, threads, versions); elsewhere the course goes on, but is not the same to the last bit.
    """

    step: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    seconds: float
    place: str


def save_state(path: Path, state: State) -> None:
    """Replace the state at ``path``."""
    buffer = io.BytesIO()
    torch.save(vars(state), buffer)
    with replacing(path) as stream:
        stream.write(buffer.getbuffer())


def load_state(path: Path, device: torch.device) -> State | None:
    """The state at ``path``, or ``None`` if there is none.  ``ValueError`` for a damaged file."""
    if not path.exists():
        return None
    try:
        return State(**torch.load(path, map_location=device, weights_only=True))
    except Exception as error:  # a damaged archive raises whatever its bytes happen to mean
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}); delete {path.parent} to train this width anew"
        ) from error


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the model after ``step`` updates lies."""
    return folder / f"step-{step:07d}"


def save_checkpoint(folder: Path, step: int, model: GPTNeoX, shape: Shape, tokenizer: Path) -> Path:
    """Write the model as a folder in the layout of published GPT-NeoX models; returns it.

    ``model.safetensors`` (names as in the files of Pythia), ``config.json``, ``tokenizer.json``: what transformers'
    ``from_pretrained`` and ``rankfloor lm measure`` read.  A folder that exists is left as it is.
    """
    from safetensors.torch import save

    target = checkpoint_folder(folder, step)
    if target.exists():
        return target
    draft = Path(tempfile.mkdtemp(dir=folder, prefix=".checkpoint-"))
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    _write(draft / "model.safetensors", save(weights, metadata={"format": "pt"}))
    _write(draft / "config.json", json.dumps(transformers_config(model, shape), indent=1).encode())
    _write(draft / "tokenizer.json", tokenizer.read_bytes())
    _write(draft / "tokenizer_config.json", b'{"tokenizer_class": "PreTrainedTokenizerFast"}\n')
    os.replace(draft, target)
    return target


def load_checkpoint(folder: Path, step: int, model: GPTNeoX) -> None:
    """Fill ``model`` with the weights after ``step`` updates.  ``ValueError`` if they are not there or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = checkpoint_folder(folder, step) / "model.safetensors"
    try:
        model.load_state_dict(load(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete {folder} to train this width anew") from error


def clear_drafts(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for draft in folder.glob(".checkpoint-*"):
        shutil.rmtree(draft)
    for pattern in (".state.pt-*", ".config.json-*"):
        for file in folder.glob(pattern):
            file.unlink()


def transformers_config(model: GPTNeoX, shape: Shape) -> dict[str, Any]:
    """``config.json`` of the model: every setting on which its outputs depend."""
    width = model.embed_out.in_features
    rope = {"rope_type": "default", "rope_theta": ROTARY_BASE, "partial_rotary_factor": ROTARY_SHARE}
    return {
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": shape.vocab,
        "hidden_size": width, "num_hidden_layers": shape.layers,
        "num_attention_heads": heads(width, shape.head_size), "intermediate_size": 4 * width, "hidden_act": "gelu",
        "max_position_embeddings": shape.window, "layer_norm_eps": 1e-5, "rotary_pct": ROTARY_SHARE,
        "rotary_emb_base": ROTARY_BASE, "rope_parameters": rope, "use_parallel_residual": True,
        "attention_bias": True, "tie_word_embeddings": False, "bos_token_id": None, "eos_token_id": None,
        "torch_dtype": "float32",
    }  # fmt: skip


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
