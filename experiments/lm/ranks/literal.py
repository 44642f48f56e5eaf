"""Rank-constrained heads as the paper trains them (Godey, de la Clergerie & Sagot 2024, section 4 and appendix).

``W = A B`` without a bias, entries of A (V, r) and B (r, D) drawn N(0, 1), next tokens as targets; Adam (.9, .95),
eps 1e-8, decoupled weight decay .1, gradients clipped at norm 1, batches of 256 contexts, learning rate warmed up over
1 % of the steps and taken to a tenth by a cosine.  The peak rate is the one they chose by rank (their Figure 9, the
model nearest in width).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.lm.ranks.contexts import Contexts
from theory.frozen import FrozenHead

BETAS, EPSILON, DECAY, CLIP, BATCH = (0.9, 0.95), 1e-8, 0.1, 1.0, 256
WARM_UP, FINAL = 0.01, 0.1

RATES = ((32, 2e-2), (256, 1e-2), (512, 7e-3), (1024, 5e-3))
"""Peak learning rates by largest rank: their choice for Pythia-410M; the last serves beyond."""


def peak_rate(rank: int) -> float:
    """The learning rate they chose for heads of this rank."""
    return next((rate for limit, rate in RATES if rank <= limit), RATES[-1][1])


def schedule(step: int, steps: int) -> float:
    """Share of the peak rate at a step counted from 0: linear warm-up, then a cosine to ``FINAL``."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return FINAL + (1 - FINAL) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True, eq=False)
class LiteralRun:
    """The head reached and the loss of each batch (steps,), nats per token."""

    head: FrozenHead
    losses: np.ndarray


def train_literally(contexts: Contexts, vocab: int, rank: int, steps: int, seed: int = 0) -> LiteralRun:
    """``steps`` steps of the recipe on batches drawn without replacement, epoch after epoch.  float32.

    Cost: ``steps`` times O(256 V r).  Raises ``ValueError`` unless rank and steps are at least 1.
    """
    if rank < 1 or steps < 1:
        raise ValueError(f"the recipe needs a rank and a number of steps of at least 1, found {rank} and {steps}")
    rng = np.random.default_rng(seed)
    drawn = [rng.standard_normal((vocab, rank)), rng.standard_normal((rank, contexts.X.shape[1]))]
    factors = [part.astype(np.float32) for part in drawn]
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in factors]
    order, losses = rng.permutation(len(contexts)), np.empty(steps)
    batch, place = min(BATCH, len(contexts)), 0
    for step in range(steps):
        if place + batch > len(order):
            order, place = rng.permutation(len(contexts)), 0
        rows, place = order[place : place + batch], place + batch
        losses[step], gradients = loss_and_gradients(factors, contexts.X[rows], contexts.y[rows])
        norm = math.sqrt(sum(float(np.vdot(part, part)) for part in gradients))
        scale = np.float32(min(1.0, CLIP / norm)) if norm > 0 else np.float32(1)
        rate = peak_rate(rank) * schedule(step, steps)
        for factor, gradient, (first, second) in zip(factors, gradients, moments, strict=True):
            _adam(factor, gradient * scale, (first, second), rate, step + 1)
    A, B = (part.astype(np.float64) for part in factors)
    return LiteralRun(FrozenHead(A, B, None), losses)


def loss_and_gradients(
    factors: list[np.ndarray], X: np.ndarray, y: np.ndarray
) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Mean loss of a batch and its gradients: ``dA = R'H``, ``dB = (R A)'X`` with ``R = (q - e_y) / n``."""
    A, B = factors
    X, here = X.astype(A.dtype, copy=False), np.arange(len(y))
    H = X @ B.T
    logits = H @ A.T
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[here, y].astype(np.float64)
    np.exp(logits, out=logits)
    totals = logits.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(totals[:, 0].astype(np.float64)) - chosen))
    logits /= totals
    logits[here, y] -= 1
    logits /= len(y)
    return loss, (logits.T @ H, (logits @ A).T @ X)


def _adam(
    factor: np.ndarray, gradient: np.ndarray, moments: tuple[np.ndarray, np.ndarray], rate: float, step: int
) -> None:
    """One step of Adam with decoupled decay, in place."""
    first, second = moments
    first += (1 - BETAS[0]) * (gradient - first)
    second += (1 - BETAS[1]) * (gradient * gradient - second)
    root = np.sqrt(second / (1 - BETAS[1] ** step)) + EPSILON
    factor -= np.float32(rate) * (first / (1 - BETAS[0] ** step) / root + DECAY * factor)
