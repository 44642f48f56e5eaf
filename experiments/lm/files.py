"""What model files say by themselves: an unembedding matrix in a safetensors file, the quantisation of a GGUF file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
"""Names of unembedding matrices."""

TIED = ("model.embed_tokens.weight", "transformer.wte.weight", "wte.weight", "gpt_neox.embed_in.weight")
"""Names of input embeddings, which are the unembedding where the two are tied."""

FULL = {"F32", "F16", "BF16", "F64"}
"""GGUF types that are not quantised."""


def read_head(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """W (V, D) float32, b (V,) or ``None``, and caveats, from a safetensors file.

    W is the tensor of a usual name (``HEADS``), else the input embedding (``TIED``; a caveat says so), else the only
    matrix in the file.  Raises ``ValueError`` for a damaged file, for none or several candidates, for a matrix with
    fewer rows than columns, and for entries that are not finite.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ValueError(f"{path} needs the packages of rankfloor[lm]; pip install them ({error})") from error
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            name, caveats = _choose(path, shapes)
            W = file.get_tensor(name).float().numpy()
            bias = name.removesuffix("weight") + "bias"
            b = file.get_tensor(bias).float().numpy() if bias != name and bias in shapes else None
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error}); give a safetensors file") from error
    if W.shape[0] < W.shape[1]:
        raise ValueError(f"{name} in {path} is {W.shape}, but a head has a row per token; store its transpose")
    if not np.isfinite(W).all() or (b is not None and not np.isfinite(b).all()):
        raise ValueError(f"{name} in {path} holds entries that are not finite; give a sound checkpoint")
    return W, b, caveats


def _choose(path: Path, shapes: dict[str, tuple[int, ...]]) -> tuple[str, tuple[str, ...]]:
    """The name of the unembedding, and caveats."""
    for name in HEADS:
        if name in shapes:
            return name, ()
    for name in TIED:
        if name in shapes:
            return name, (f"{name} taken as the head: right if embeddings are tied",)
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(matrices) == 1:
        return matrices[0], ()
    raise ValueError(
        f"{path} holds {len(matrices)} matrices and none is called {' or '.join(HEADS + TIED)}; store the unembedding "
        "alone, or give the folder of the whole model"
    )


def quantisation(path: Path) -> tuple[str, ...]:
    """Caveats of a GGUF file: the commonest quantised type of its body, and that of its head.  Reads the index only."""
    from gguf import GGUFReader

    types = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}
    head = types.get("output.weight", types.get("token_embd.weight", "F32"))
    body = Counter(kind for name, kind in types.items() if name.startswith("blk.") and kind not in FULL)
    found = [f"body {body.most_common(1)[0][0]}"] if body else []
    return (*found, *([f"head {head}"] if head not in FULL else []))
