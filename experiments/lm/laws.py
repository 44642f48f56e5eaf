"""Real models as targets: their exact next-token laws at contexts of a text, as a distribution with a floor.

There is no sampling noise: a row is the model's own law.  With fewer tokens than the model has (``tokens``), a row is
that law *conditioned* on the most probable tokens of the contexts taken together, which is another law: its floor times
the mass kept is a lower bound for the full vocabulary (docs/theorems/high-mass.md), its fits are no upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.lm.backoff import BackoffModel
from experiments.lm.histories import histories
from experiments.lm.model import LanguageModel
from experiments.source import Described
from synth import ContextualDistribution, moves
from synth._check import integer
from synth.known import Known

WARM = 64
"""Tokens that a context of a neural model has before it at least, or half a window where that is less."""

PER_WINDOW = 32
"""Contexts taken from one window at most."""


@dataclass(frozen=True)
class Texted:
    """A text with its name."""

    name: str
    text: str


def backoff_target(
    name: str, model: BackoffModel, text: Texted, contexts: int, tokens: int | None = None, seed: int = 0
) -> Described:
    """Rows of a back-off model at ``contexts`` different histories of a text, weighted by how often they were met.

    Rows are normalised; the description says how far from one their sums were.  Words that the model never predicts
    (``<s>``) are left out.  Cost: O(C V).

    Raises ``ValueError`` for a text with too few histories, and for bad numbers.
    """
    found = histories(model, text.text, contexts, seed)
    log_p, sums = model.laws(found.words)
    facts = {
        "model": name, "order": model.order, "text": text.name, "histories": contexts, "seed": seed,
        "places": found.met, "skipped": found.skipped, "least_sum": float(sums.min()), "largest_sum": float(sums.max()),
    }  # fmt: skip
    weights = found.counts / found.counts.sum()
    distribution = ContextualDistribution.from_logits(log_p, weights, Known(f"{model.order}-gram model", facts))
    sentence = (
        f"{name}, {model.order}-gram back-off model: {contexts:,} histories of {text.name} met at {found.met:,} places "
        f"({found.skipped / found.met:.1%} passed over for unknown words), rows summed to {sums.min():.4f} to "
        f"{sums.max():.4f} and were normalised"
    )
    return restricted(Described(distribution, sentence), tokens)


def model_target(
    model: LanguageModel, text: Texted, contexts: int, tokens: int | None = None, window: int = 512
) -> Described:
    """Rows of a neural language model at ``contexts`` places of a text, of equal weight.

    Windows of ``window`` tokens are spread evenly over the text, at most ``PER_WINDOW`` places taken evenly from each,
    none with fewer than ``WARM`` tokens before it.  ``log P = X W' + b`` less a constant per row, so D dimensions (and
    a bias, where the model has one) express the law exactly: ``known`` says so.  Cost: one pass of the model over the
    windows; O(C V) numbers.

    Raises ``ValueError`` for a text too short, a model without body or tokenizer, and bad numbers.
    """
    from experiments.lm.collect import collect
    from experiments.lm.conditionals import conditionals

    integer("contexts", contexts, 1)
    chosen = _windows(model, text, contexts, integer("window", window, 2))
    collected = collect(model, chosen.ravel(), window=window)
    X = collected.X[_places(contexts, len(chosen), window)]
    log_p = np.concatenate([rows for _, rows in conditionals(model, X)])
    D = model.dim
    known = Known(
        model.name, {"model": model.name, "text": text.name, "window": window, "caveats": list(model.caveats)}
    )
    known = replace(known, logit_rank=D if model.b is None else D + 1, bias_rank=D)
    caveats = f" ({'; '.join(model.caveats)})" if model.caveats else ""
    sentence = (
        f"{model.name}{caveats}: its own laws at {contexts:,} places in {len(chosen)} windows of {window} tokens of "
        f"{text.name}; D = {D}"
    )
    return restricted(Described(ContextualDistribution.from_logits(log_p, known=known), sentence), tokens)


def restricted(described: Described, tokens: int | None) -> Described:
    """The law conditioned on the ``tokens`` most probable tokens, and what that means; the same where all are kept."""
    distribution = described.distribution
    if tokens is None or integer("vocab", tokens, 2) >= distribution.vocab:
        return described
    kept = np.sort(np.argsort(-distribution.marginal, kind="stable")[:tokens])
    inside, mass = moves.restrict_tokens(distribution, kept.tolist())
    known = distribution.known  # conditioning takes columns of the logits: their rank can only fall
    facts = {**known.parameters, "tokens_kept": tokens, "mass_kept": mass}
    return Described(
        inside.with_known(replace(known, parameters=facts)),
        f"{described.sentence}; conditioned on the {tokens:,} most probable of {distribution.vocab:,} tokens, mass "
        f"{mass:.4f}: another law, whose lower bounds hold for the full one times that mass (high-mass)",
    )


def _windows(model: LanguageModel, text: Texted, contexts: int, window: int) -> np.ndarray:
    """Token windows (count, window) spread evenly over the text."""
    stream = model.encode(text.text)
    count = -(-contexts // min(PER_WINDOW, window - _warm(window)))
    if len(stream) < count * window + 1:
        raise ValueError(
            f"{text.name} has {len(stream):,} tokens, {contexts} contexts need {count} windows of {window}; ask for "
            "fewer contexts, a smaller --window, or give a longer text"
        )
    starts = np.linspace(0, len(stream) - window, count).astype(np.int64)
    return stream[starts[:, None] + np.arange(window)]


def _places(contexts: int, windows: int, window: int) -> np.ndarray:
    """Rows of the collected states: ``contexts`` places, evenly from each window."""
    # without a BOS token the last place of the last window predicts nothing
    offsets = np.linspace(_warm(window), window - 2, -(-contexts // windows)).astype(np.int64)
    return (np.arange(windows)[:, None] * window + offsets).ravel()[:contexts]


def _warm(window: int) -> int:
    return min(WARM, window // 2)
