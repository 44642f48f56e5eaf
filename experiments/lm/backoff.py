"""Back-off n-gram models: exact next-word laws ``P(. | history)`` of a model in which only some n-grams are listed.

An n-gram ``h w`` that is listed has its probability written down.  One that is not gets the probability after the
shorter history, times the back-off weight of the history it lost (Katz 1987):

    P(w | h) = p(h w) where listed, else beta(h) P(w | h less its oldest word),    beta = 1 for an unlisted history.

A row is therefore the unigram law, scaled and overwritten once for each length of history: O(V) a row, no search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from synth import logspace


class Listed(NamedTuple):
    """The listed n-grams of one length: words (N, n) oldest first, log probability and log back-off (N,).

    Logarithms are natural; ``-inf`` is a probability of zero.
    """

    words: np.ndarray
    log_p: np.ndarray
    log_backoff: np.ndarray


@dataclass(frozen=True, eq=False)
class Level:
    """The n-grams of one length n >= 2: ``keys`` increasing, ``number of the first n - 1 words * V + last word``.

    An n-gram's number is its place here, and a word's number its token; ``log_p`` is NaN for an n-gram that is not
    listed but begins a longer one that is.
    """

    keys: np.ndarray
    log_p: np.ndarray
    log_backoff: np.ndarray


@dataclass(frozen=True, eq=False)
class BackoffModel:
    """A back-off n-gram model: ``words`` by token number, the unigrams (V,), and the longer n-grams by length.

    ``log_rows`` gives the model's own numbers, which need not sum to one; ``laws`` normalises them.
    """

    words: list[str]
    unigrams: Listed
    levels: tuple[Level, ...]

    @classmethod
    def of(cls, words: Sequence[str], listed: Sequence[Listed]) -> BackoffModel:
        """From the n-grams of length 1, 2, ...; the unigrams are every word once, in order.

        Raises ``ValueError`` for an n-gram listed twice.
        """
        return cls(list(words), listed[0], tuple(_levels(listed[1:], len(words))))

    @property
    def order(self) -> int:
        """Longest n-gram; a history is cut to ``order - 1`` words."""
        return len(self.levels) + 1

    @cached_property
    def tokens(self) -> dict[str, int]:
        """Token number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def predicted(self) -> np.ndarray:
        """Words with a positive probability somewhere, increasing: all but such as the mark that begins a sentence."""
        possible = np.isfinite(self.unigrams.log_p)
        for level in self.levels:
            possible[level.keys[np.isfinite(level.log_p)] % len(self.words)] = True
        return np.flatnonzero(possible)

    def log_row(self, history: Sequence[int]) -> np.ndarray:
        """``log P(. | history)`` (V,) as the model has it; ``history`` are word numbers, the newest last."""
        row = self.unigrams.log_p.copy()
        for length in range(1, min(len(history), self.order - 1) + 1):
            number = self._number(history[len(history) - length :])
            if number is None:
                continue
            row += (self.levels[length - 2] if length > 1 else self.unigrams).log_backoff[number]
            level, V = self.levels[length - 1], len(self.words)
            first, last = np.searchsorted(level.keys, [number * V, (number + 1) * V])
            log_p = level.log_p[first:last]
            row[level.keys[first:last][~np.isnan(log_p)] - number * V] = log_p[~np.isnan(log_p)]
        return row

    def log_rows(self, histories: Sequence[Sequence[int]], words: np.ndarray | None = None) -> np.ndarray:
        """``log_row`` of each history (C, V), or of some ``words`` only (C, len(words))."""
        chosen = np.arange(len(self.words)) if words is None else words
        out = np.empty((len(histories), len(chosen)))
        for row, history in zip(out, histories, strict=True):
            row[:] = self.log_row(history)[chosen]
        return out

    def laws(self, histories: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities of the ``predicted`` words (C, V'), each row normalised, and the sums before (C,)."""
        rows = self.log_rows(histories, self.predicted)
        totals = logspace.logsumexp(rows)
        return rows - totals[:, None], np.exp(totals)

    def _number(self, words: Sequence[int]) -> int | None:
        """Number of an n-gram of length >= 1, or ``None`` where it neither is listed nor begins a listed one."""
        number, V = int(words[0]), len(self.words)
        for level, word in zip(self.levels, words[1:], strict=False):
            key = number * V + int(word)
            number = int(np.searchsorted(level.keys, key))
            if number == len(level.keys) or level.keys[number] != key:
                return None
        return number


def _levels(listed: Sequence[Listed], V: int) -> Iterator[Level]:
    """The n-grams of each length sorted by number, those that only begin longer ones included.

    ``prefix[m]`` numbers the first words of every n-gram of the m-th length, one word further with each level.
    """
    prefix = [entries.words[:, 0].astype(np.int64) for entries in listed]
    for place, own in enumerate(listed):
        wanted = [
            before * V + entries.words[:, place + 1] for before, entries in zip(prefix, listed[place:], strict=True)
        ]
        if len(_distinct(wanted[0])) < len(wanted[0]):
            raise ValueError(f"a {place + 2}-gram is listed twice; remove one of the two lines")
        keys = _distinct(np.concatenate(wanted))
        at = np.searchsorted(keys, wanted[0])
        log_p, log_backoff = np.full(len(keys), np.nan), np.zeros(len(keys))
        log_p[at], log_backoff[at] = own.log_p, own.log_backoff
        yield Level(keys, log_p, log_backoff)
        prefix = [np.searchsorted(keys, key) for key in wanted[1:]]


def _distinct(keys: np.ndarray) -> np.ndarray:
    """The different keys, increasing."""
    ordered = np.sort(keys)
    return ordered[np.diff(ordered, prepend=-1) > 0]
