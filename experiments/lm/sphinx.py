"""Reader of CMU Sphinx's binary language models (``.lm.bin``), such as the trigrams that pocketsphinx comes with.

The file, little-endian: the 19 bytes ``Trie Language Model``, the order n (1 byte), the number of n-grams of each
length (uint32); if n > 1 a uint32 and tables of 2^16 float32, log probabilities and log back-offs for each length from
2 to n - 1, log probabilities for n; the unigrams and one more entry (float32 log probability, float32 log back-off,
uint32 first child); the longer n-grams packed in bits; and the words, each ended by a zero byte, after their length.

N-grams are kept as a tree from the *newest* word to the oldest: the children of w are the words before it.  An entry
of a length below n is the word, 16 bits of a back-off and 16 of a probability (places in the tables), and its first
child; of length n, the word and 16 bits of a probability.  One entry more than there are holds a first child alone,
where the last one's end.  There may be fewer entries than announced: room is left empty behind them.  Logarithms are
to base 1.0001.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.lm.arpa import log10_to_log
from experiments.lm.backoff import BackoffModel, Listed

MAGIC = b"Trie Language Model"

BASE = 1.0001
"""Base of the logarithms; the file does not say it, the library's default does."""

TABLE = 2**16
"""Values in a table of quantised logarithms."""


def is_sphinx(path: str | Path) -> bool:
    """Whether a file begins as such a model does."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_sphinx(path: str | Path) -> BackoffModel:
    """The back-off model in a ``.lm.bin`` file, read without pocketsphinx.

    Raises ``ValueError`` for a file that cannot be read, is of another kind, or is cut short.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if not raw.startswith(MAGIC):
        raise ValueError(f"{path} is not a binary model of CMU Sphinx; it does not begin with {MAGIC.decode()!r}")
    try:
        return _model(raw, len(MAGIC))
    except (struct.error, ValueError, IndexError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); fetch it again") from error


def _model(raw: bytes, at: int) -> BackoffModel:
    order = raw[at]
    counts = [int(count) for count in struct.unpack_from(f"<{order}I", raw, at + 1)]
    at += 1 + 4 * order
    tables = np.zeros((0, TABLE), dtype="<f4")
    if order > 1:
        tables = np.frombuffer(raw, "<f4", (2 * order - 3) * TABLE, at + 4).reshape(-1, TABLE)
        at += 4 + tables.nbytes
    unigrams = np.frombuffer(raw, [("log_p", "<f4"), ("log_backoff", "<f4"), ("child", "<u4")], counts[0] + 1, at)
    at += unigrams.nbytes
    listed = [_entries(np.arange(counts[0])[:, None], unigrams["log_p"][:-1], unigrams["log_backoff"][:-1])]
    newest_first, children = listed[0].words, unigrams["child"].astype(np.int64)
    for length in range(2, order + 1):
        last = length == order
        widths = [_bits(counts[0]), *([16] if last else [16, 16, _bits(counts[length])])]
        fields = _unpack(raw, at, counts[length - 1] + 1, widths)
        at += ((counts[length - 1] + 1) * sum(widths) + 7) // 8 + 8
        used = int(children[-1])
        word, *codes = [field[:used] for field in fields]
        newest_first = np.column_stack([np.repeat(newest_first, np.diff(children), axis=0), word])
        if last:
            log_p, log_backoff = tables[-1][codes[0]], np.zeros(len(word))
        else:
            log_p, log_backoff = tables[2 * length - 4][codes[1]], tables[2 * length - 3][codes[0]]
            children = fields[3][: used + 1]
        listed.append(_entries(newest_first[:, ::-1], log_p, log_backoff))
    (size,) = struct.unpack_from("<i", raw, at)
    words = raw[at + 4 : at + 4 + size].decode("utf-8").split("\0")[:-1]
    if len(words) != counts[0]:
        raise ValueError(f"{len(words)} words for {counts[0]} unigrams")
    return BackoffModel.of(words, listed)


def _entries(words: np.ndarray, log_p: np.ndarray, log_backoff: np.ndarray) -> Listed:
    """Natural logarithms from those to base 1.0001."""
    scale = math.log(BASE)
    return Listed(words, log10_to_log(log_p.astype(np.float64) * (scale / math.log(10))), log_backoff * scale)


def _bits(largest: int) -> int:
    """Bits that hold the numbers up to ``largest``."""
    return largest.bit_length()


def _unpack(raw: bytes, at: int, count: int, widths: Sequence[int]) -> list[np.ndarray]:
    """``count`` entries of fields of the given widths in bits (at most 32 each), lowest bit first, from byte ``at``."""
    octets = np.frombuffer(raw, np.uint8, (count * sum(widths) + 7) // 8 + 8, at)
    fields, offset = [], np.arange(count, dtype=np.int64) * sum(widths)
    for width in widths:
        word = np.zeros(count, dtype=np.uint64)
        for byte in range(5):
            word |= octets[(offset >> 3) + byte].astype(np.uint64) << np.uint64(8 * byte)
        fields.append(((word >> (offset & 7).astype(np.uint64)) & np.uint64(2**width - 1)).astype(np.int64))
        offset += width
    return fields
