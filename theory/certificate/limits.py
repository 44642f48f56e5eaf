"""What is known of the log error ``E = log q - log p`` of every head of a class: a box for every entry."""

from __future__ import annotations

import math

from synth._array import Array, namespace
from theory.certificate.peak import Box
from theory.head import HeadSpec


def box(log_p: Array, weights: Array, spec: HeadSpec, vocab: int | None = None) -> Box:
    """``low <= E <= high`` and ``w = pi p``, for positive log-probabilities (C, V) and weights (C,).

    ``q <= 1`` gives ``high = -log p``.  ``max_underestimate = M`` is ``E >= -M``.  A range of logits of at most B gives
    ``q_v >= 1 / (1 + (V - 1) e^B)``; and where all V tokens are at hand, the range of ``E_c`` is at most
    ``B + range(log p_c)`` while ``sum_v p_v e^{E_v} = 1`` forces ``max E_c >= 0``.  Unlimited classes have
    ``low = -inf``.  ``vocab`` is V where ``log_p`` holds only some of the tokens.
    """
    xp = namespace(log_p)
    low = xp.full_like(log_p, -math.inf if spec.max_underestimate is None else -spec.max_underestimate)
    B = spec.effective_range
    if not math.isinf(B):
        V = vocab or log_p.shape[1]
        least = B + math.log(V - 1 + math.exp(-min(B, 700.0)))
        low = xp.maximum(low, -(least + log_p))
        if log_p.shape[1] == V:
            spread = xp.max(log_p, axis=1) - xp.min(log_p, axis=1)
            low = xp.maximum(low, -(B + spread)[:, None] + xp.zeros_like(log_p))
        low = xp.minimum(low, xp.zeros_like(low))
    return Box(weights[:, None] * xp.exp(log_p), low, -log_p)
