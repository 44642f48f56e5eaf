"""GPT-NeoX in plain torch: the architecture of Pythia, with the parameter names of its published files.

    x_0 = E[token];   x_{l+1} = x_l + attention(norm(x_l)) + mlp(norm'(x_l));   logits = W norm''(x_L)

Both branches of a block read the same x (parallel residual); queries and keys are rotated in a quarter of each head's
dimensions (rotary embedding); the head W (V, d) is untied from E and has no bias.  See Black et al. (2022).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from experiments.lm.train.config import Shape, heads
from experiments.lm.train.seeds import named

ROTARY_SHARE, ROTARY_BASE = 0.25, 10000.0
"""Share of each head's dimensions that is rotated, and base of the wavelengths."""


class Attention(nn.Module):
    """Causal self-attention; queries, keys and values of a head lie side by side in one product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.size = width // heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Shape (batch, window, width), in and out."""
        mixed = self.query_key_value(x).view(*x.shape[:2], -1, 3 * self.size).transpose(1, 2)
        query, key, value = mixed.chunk(3, dim=-1)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.dense(seen.transpose(1, 2).reshape(x.shape))


class Feedforward(nn.Module):
    """Two products around a GELU, four widths in the middle."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(width, 4 * width)
        self.dense_4h_to_h = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., width), in and out."""
        return self.dense_4h_to_h(nn.functional.gelu(self.dense_h_to_4h(x)))


class Block(nn.Module):
    """``x + attention(norm(x)) + mlp(norm'(x))``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(width)
        self.post_attention_layernorm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = Feedforward(width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Shape (batch, window, width), in and out."""
        seen = self.attention(self.input_layernorm(x), cos, sin)
        return x + seen + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Embedding, blocks, final norm."""

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        count = heads(width, shape.head_size)
        self.embed_in = nn.Embedding(shape.vocab, width)
        self.layers = nn.ModuleList(Block(width, count) for _ in range(shape.layers))
        self.final_layer_norm = nn.LayerNorm(width)
        self.head_size = width // count

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Hidden states (batch, window, width) of each depth: embedding, after each block, after the final norm."""
        cos, sin = rotation(tokens.shape[1], self.head_size, tokens.device)
        states = [self.embed_in(tokens)]
        for block in self.layers:
            states.append(block(states[-1], cos, sin))
        return [*states, self.final_layer_norm(states[-1])]


class GPTNeoX(nn.Module):
    """The language model: next-token logits (batch, window, V) of tokens (batch, window)."""

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        self.gpt_neox = Body(width, shape)
        self.embed_out = nn.Linear(width, shape.vocab, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits; position t predicts token t + 1."""
        return self.embed_out(self.gpt_neox(tokens)[-1])


def rotation(window: int, head_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (window, rotated dimensions) of the angles position / base^(2i/n); the halves repeat."""
    rotated = int(head_size * ROTARY_SHARE)
    wavelengths = ROTARY_BASE ** (torch.arange(0, rotated, 2, device=device, dtype=torch.float32) / rotated)
    angles = torch.arange(window, device=device, dtype=torch.float32)[:, None] * (1.0 / wavelengths)
    angles = torch.cat([angles, angles], dim=1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x_i, x_{i + n/2}) of the first n dimensions by the angle of their position; keep the rest."""
    turned, kept = x[..., : cos.shape[1]], x[..., cos.shape[1] :]
    first, second = turned.chunk(2, dim=-1)
    return torch.cat([turned * cos + torch.cat([-second, first], dim=-1) * sin, kept], dim=-1)


def initial(width: int, shape: Shape, seed: int, base_width: int) -> GPTNeoX:
    """A model with weights drawn by NumPy from ``seed`` by name, so that every device starts from the same.

    Standard deviations, in the maximal update parametrisation (Yang et al. 2021), where what a layer puts out does not
    depend on the width d at the start: products ``sqrt(2 / 5d)``, those that write into the residual ``2 / (L sqrt d)``
    (Black et al. 2022), embedding ``sqrt(2 / 5 base_width)``, head ``1 / d``; biases 0, gains 1.
    """
    model = GPTNeoX(width, shape)
    inner, outer = math.sqrt(2 / (5 * width)), 2 / (shape.layers * math.sqrt(width))
    scales = {
        "embed_in": math.sqrt(2 / (5 * base_width)), "embed_out": 1 / width, "query_key_value": inner,
        "dense_h_to_4h": inner, "dense": outer, "dense_4h_to_h": outer,
    }  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
                continue
            drawn = named(seed, "weights", width, name).standard_normal(tuple(parameter.shape), dtype=np.float32)
            parameter.copy_(torch.from_numpy(drawn) * scales[name.split(".")[-2]])
    return model
