"""Contexts of an n-gram model as a text has them: the words before each of its words, within the sentence."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from experiments.lm.backoff import BackoffModel
from synth._check import generator, integer

START = "<s>"
"""The mark that begins a sentence in n-gram models."""

UNKNOWN = -1


class Histories(NamedTuple):
    """Different histories, word numbers with the newest last, how often each was met, and places of the text passed."""

    words: list[tuple[int, ...]]
    counts: np.ndarray
    met: int
    skipped: int
    """Places where a word of the history is not in the model's vocabulary."""


def histories(model: BackoffModel, text: str, contexts: int, seed: int = 0) -> Histories:
    """The first ``contexts`` different histories met in a walk over the places of ``text`` in random order.

    A place is a word; its history is the ``order - 1`` words before it in its sentence, with ``<s>`` first where the
    model has that word.  Counts are those of the walk, so a history's weight is its share of the places passed.
    Places whose history holds a word that the model does not know are passed over.

    Raises ``ValueError`` when the text has fewer different histories.
    """
    integer("contexts", contexts, 1)
    stream, begins = _stream(model, text)
    met: dict[tuple[int, ...], int] = {}
    skipped = passed = 0
    for place in generator(seed).permutation(np.flatnonzero(stream != model.tokens.get(START, -2))):
        first = max(begins[place], place - model.order + 1)
        history = tuple(int(word) for word in stream[first:place])
        passed += 1
        if UNKNOWN in history:
            skipped += 1
            continue
        if history not in met and len(met) == contexts:
            passed -= 1
            break
        met[history] = met.get(history, 0) + 1
    if len(met) < contexts:
        raise ValueError(
            f"the text has {len(met)} different histories of {model.order - 1} words that the model knows, "
            f"{contexts} were asked for; ask for fewer contexts or give a longer text"
        )
    return Histories(list(met), np.array(list(met.values())), passed, skipped)


def _stream(model: BackoffModel, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Word numbers of the text, ``UNKNOWN`` where there is none, and where the sentence of each begins."""
    mark = [model.tokens[START]] if START in model.tokens else []
    numbers, begins = list[int](), list[int]()
    for sentence in re.split(r"[.!?]+\s|\n\s*\n", text.replace("’", "'")):
        words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", sentence)
        begins += [len(numbers)] * (len(mark) + len(words))
        numbers += mark + [_number(model, word) for word in words]
    return np.array(numbers, dtype=np.int64), np.array(begins, dtype=np.int64)


def _number(model: BackoffModel, word: str) -> int:
    """The word as written, or in small letters, or in capitals, whichever the model has."""
    forms = (word, word.lower(), word.upper())
    return next((model.tokens[form] for form in forms if form in model.tokens), UNKNOWN)
