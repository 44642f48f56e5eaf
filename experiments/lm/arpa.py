r"""Reader of back-off n-gram models in the ARPA format, the one that SRILM, KenLM, CMU Sphinx and others write.

    \data\
    ngram 1=3
    ngram 2=2

    \1-grams:
    -0.5  a  -0.2
    ...
    \end\

A line holds log10 of a probability, the n words oldest first, and log10 of the back-off weight (0 where left out).  By
convention a log10 of -99 stands for a probability of zero.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.lm.backoff import BackoffModel, Listed

ZERO = -98.9
"""A log10 probability below this stands for zero."""


class Section(NamedTuple):
    """The lines of one length of n-grams: numbers and words, with the line of the file that the section begins at."""

    order: int
    line: int
    log_p: list[float]
    words: list[list[str]]
    log_backoff: list[float]


def read_arpa(path: str | Path) -> BackoffModel:
    r"""The back-off model in an ARPA file, packed by gzip if its name ends in ``.gz``.

    Raises ``ValueError``, with the line, for a file that cannot be read, has no ``\data\``, lists another number of
    n-grams than it announces, a malformed line, a word that is no unigram, or a probability above one.
    """
    path = Path(path)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = raw.decode("utf-8").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); give an ARPA file in UTF-8, plain or .gz") from error
    counts, start = _counts(lines, path)
    sections = [_section(lines, start, order, counts[order], path) for order in counts]
    words = [line[0] for line in sections[0].words]
    tokens = {word: number for number, word in enumerate(words)}
    if len(tokens) < len(words):
        twice = next(word for number, word in enumerate(words) if tokens[word] != number)
        raise ValueError(f"{path}: the word {twice!r} has two unigrams; remove one of the two lines")
    return BackoffModel.of(words, [_listed(section, tokens, path) for section in sections])


def log10_to_log(values: np.ndarray) -> np.ndarray:
    """Natural logarithms of log10 probabilities; those that stand for zero become ``-inf``."""
    return np.where(values <= ZERO, -np.inf, values * math.log(10))


def _counts(lines: list[str], path: Path) -> tuple[dict[int, int], int]:
    r"""Number of n-grams of each length, as announced, and the first line after the announcement."""
    found = next((number for number, line in enumerate(lines) if line.strip() == "\\data\\"), None)
    if found is None:
        raise ValueError(f"{path} has no line \\data\\, so it is no ARPA file; check what kind of model it is")
    counts, number = dict[int, int](), found + 1
    while number < len(lines) and (match := re.fullmatch(r"\s*ngram\s+(\d+)\s*=\s*(\d+)\s*|\s*", lines[number])):
        if match[1]:
            counts[int(match[1])] = int(match[2])
        number += 1
    if not counts or list(counts) != list(range(1, len(counts) + 1)):
        raise ValueError(f"{path}: \\data\\ announces n-grams of lengths {list(counts)}; 1, 2, ... are needed in order")
    return counts, number


def _section(lines: list[str], start: int, order: int, count: int, path: Path) -> Section:
    """The n-grams of one length."""
    title = f"\\{order}-grams:"
    at = next((number for number in range(start, len(lines)) if lines[number].strip() == title), None)
    if at is None:
        raise ValueError(f"{path} announces {order}-grams but has no line {title}; the file may be cut short")
    section = Section(order, at, [], [], [])
    for number, line in _body(lines, at + 1):
        parts = line.split()
        try:
            if len(parts) not in (order + 1, order + 2):
                raise ValueError
            log_p, log_backoff = float(parts[0]), float(parts[order + 1]) if len(parts) == order + 2 else 0.0
        except ValueError:
            raise ValueError(
                f"{path}, line {number + 1}: a {order}-gram needs log10 p, {order} words and perhaps log10 of the "
                f"back-off, found {line.strip()[:60]!r}; correct that line"
            ) from None
        if not (log_p <= 0 and log_backoff < math.inf):
            raise ValueError(f"{path}, line {number + 1}: log10 p must be <= 0 and finite numbers given; found {parts}")
        section.log_p.append(log_p)
        section.words.append(parts[1 : order + 1])
        section.log_backoff.append(log_backoff)
    if len(section.words) != count:
        raise ValueError(
            f"{path} announces {count} {order}-grams and lists {len(section.words)}; the file may be cut short"
        )
    return section


def _body(lines: list[str], start: int) -> Iterator[tuple[int, str]]:
    """Lines of a section with their numbers, empty ones left out, up to the next title."""
    for number in range(start, len(lines)):
        if re.match(r"\s*\\(end\\|\d+-grams:)", lines[number]):
            return
        if lines[number].strip():
            yield number, lines[number]


def _listed(section: Section, tokens: dict[str, int], path: Path) -> Listed:
    try:
        words = np.array([[tokens[word] for word in gram] for gram in section.words], dtype=np.int64)
    except KeyError as unknown:
        raise ValueError(f"{path}: the {section.order}-grams use {unknown}, which is no unigram; add it") from None
    log_p = log10_to_log(np.array(section.log_p))
    return Listed(words.reshape(-1, section.order), log_p, np.array(section.log_backoff) * math.log(10))
