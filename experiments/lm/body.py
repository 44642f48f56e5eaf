"""The network below the head, run in torch: states are looked at where they arise, and dropped.

The head itself is not run on a pass: the body stops where the head begins, and logits are made from a few hundred rows
at a time, so memory does not grow with windows times vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from experiments.lm.model import AFTER_NORM, BEFORE_NORM, EMBEDDING, Visit

PROBE = 16
"""Tokens on which the head is checked."""

ROWS = 512
"""Positions whose logits are held at a time."""

VOLATILE = ("_name_or_path", "transformers_version", "quantization_config", "dtype")
"""Entries of a configuration that say nothing of what the model computes in float32."""


class _HeadReached(Exception):
    """Raised where the head would begin, so that no logits are made."""


class TransformerBody:
    """A causal model of transformers with a linear head, on a CUDA device if there is one.

    ``scale`` is s in ``logits = s (h Wᵀ + b)``, ``residual`` the largest deviation from that over a few tokens,
    relative to the largest logit.  Raises ``ValueError`` for a model without a linear head, and where the layers
    cannot be told.
    """

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval().requires_grad_(False)
        self.head = _linear_head(name, model)
        self.stack = _layers(name, model)
        self.scale, self.residual = self._check_head()

    # ------------------------------------------------------------------ head

    def head_arrays(self) -> tuple[np.ndarray, np.ndarray | None]:
        """W (V, D) and b (V,) or ``None``, float32, the scale folded in."""
        W = _numpy(self.head.weight)
        b = None if self.head.bias is None else _numpy(self.head.bias)
        return (W, b) if self.scale == 1.0 else (W * np.float32(self.scale), None if b is None else b * self.scale)

    @torch.inference_mode()
    def _check_head(self) -> tuple[float, float]:
        """Scale and relative residual of ``logits = s (h Wᵀ + b)`` on tokens spread over the vocabulary."""
        vocab = self.head.weight.shape[0]
        ids = torch.arange(PROBE, device=self.head.weight.device)[None] * 7919 % vocab
        seen: list[torch.Tensor] = []
        with _hooked(self.head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))):
            logits = self.model(ids, use_cache=False).logits.double()[0]
        plain = torch.nn.functional.linear(seen[0], self.head.weight, self.head.bias).double()[0]
        largest = float(logits.abs().max())
        scale = float((logits * plain).sum() / (plain * plain).sum())
        limit = 16 * float(torch.finfo(torch.float32).eps) * math.sqrt(self.head.weight.shape[1])
        scale = 1.0 if abs(scale - 1) <= limit else scale
        residual = float((logits - scale * plain).abs().max()) / largest
        if not residual <= limit:
            raise ValueError(
                f"the logits of {self.name} are not a linear function of its last states (relative residual "
                f"{residual:.1e}, float32 allows {limit:.0e}); a softcapped or otherwise bent head cannot be analysed"
            )
        return scale, residual

    # ------------------------------------------------------------------ passes

    @torch.inference_mode()
    def states(self, ids: np.ndarray, visit: Visit, every_layer: bool) -> None:
        """Run token windows ``ids`` (windows, length) and visit the places in order, rows window after window."""

        def look(name: str, found: Any) -> None:
            states = found[0] if isinstance(found, tuple) else found
            visit(name, _numpy(states.reshape(-1, states.shape[-1])))

        def stop(_: Any, args: Any) -> None:
            look(AFTER_NORM, args[0])
            raise _HeadReached

        last = len(self.stack) - 1
        hooks = [self.stack[last].register_forward_hook(lambda _, __, out: look(BEFORE_NORM, out))]
        if every_layer:
            hooks.append(self.stack[0].register_forward_pre_hook(lambda _, args: look(EMBEDDING, args[0])))
            hooks += [
                layer.register_forward_hook(lambda _, __, out, name=f"layer {at + 1}": look(name, out))
                for at, layer in enumerate(self.stack[:last])
            ]
        with _hooked(*hooks, self.head.register_forward_pre_hook(stop)):
            try:
                self.model(torch.from_numpy(ids).to(self.head.weight.device), use_cache=False)
            except _HeadReached:
                return
        raise RuntimeError(f"{self.name} never reached its head")

    @torch.inference_mode()
    def losses(self, states: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """``-log q(target | state)`` (N,) float64 in nats, from float32 logits, ``ROWS`` states at a time."""
        device, found = self.head.weight.device, np.empty(len(targets))
        for start in range(0, len(targets), ROWS):
            part = slice(start, start + ROWS)
            h = torch.from_numpy(states[part]).to(device)
            logits = (self.scale * torch.nn.functional.linear(h, self.head.weight, self.head.bias)).double()
            own = logits.gather(1, torch.from_numpy(targets[part]).to(device)[:, None])[:, 0]
            found[part] = (torch.logsumexp(logits, dim=1) - own).cpu().numpy()
        return found

    def digest(self) -> str:
        """SHA-256 of configuration and parameters."""
        facts = {key: value for key, value in self.model.config.to_dict().items() if key not in VOLATILE}
        hashed = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
        for name, parameter in self.model.named_parameters():
            hashed.update(name.encode())
            hashed.update(_numpy(parameter).data)
        return hashed.hexdigest()


def _linear_head(name: str, model: Any) -> torch.nn.Linear:
    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear):
        raise ValueError(f"{name} has no linear head (found {type(head).__name__}); give a model that ends in one")
    if getattr(model.config, "final_logit_softcapping", None):
        raise ValueError(
            f"{name} bends its logits (final_logit_softcapping {model.config.final_logit_softcapping}), so they have "
            "no rank bound; give a model with a linear head"
        )
    return head


def _layers(name: str, model: Any) -> list[torch.nn.Module]:
    """The layers: the outermost module list with as many entries as the configuration has layers."""
    layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return list(module)
    raise ValueError(f"the {layers} layers of {name} were not found; give its unembedding alone as .safetensors")


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


@contextmanager
def _hooked(*hooks: Any) -> Iterator[None]:
    """Hooks that are taken off again at the end of the block."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
