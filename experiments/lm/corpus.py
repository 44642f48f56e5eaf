"""Text into token numbers: the embedded novel or a user's file, cut by a byte-level BPE trained on the spot.

The size of the vocabulary is a variable we control, so the tokenizer is trained rather than downloaded; a result is
kept in a cache that a damaged or stale file never poisons.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.lm.cache import cache_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BYTES = 256
"""Tokens of a byte-level alphabet: the smallest vocabulary."""

MOBY_DICK = Path(__file__).parent / "data" / "moby-dick.txt.gz"


@dataclass(frozen=True, eq=False)
class Corpus:
    """A tokenised text: ``tokens`` (N,) int64 below ``vocab``, and ``pieces``, the byte-level string of each token.

    ``vocab`` is the size reached, less than the size asked for when the text runs out of pairs to merge.
    """

    tokens: np.ndarray
    pieces: list[str]
    name: str
    text_sha256: str

    @property
    def vocab(self) -> int:
        """Number of tokens V."""
        return len(self.pieces)

    def decode(self, tokens: np.ndarray) -> str:
        """The text of some token numbers; a character cut in half becomes U+FFFD."""
        from tokenizers import decoders

        return decoders.ByteLevel().decode([self.pieces[token] for token in tokens])


def moby_dick() -> str:
    """Herman Melville's *Moby Dick* (1.2 million characters), which comes with the package."""
    return read_text(MOBY_DICK)


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file, unpacked if its name ends in ``.gz``; a byte-order mark is dropped.

    Raises ``ValueError`` for a file that cannot be read, is empty, or is not text.
    """
    path = Path(path)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read ({error}); give a text file, or one packed by gzip as .gz") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start}); convert it, for instance with iconv") from error
    if "\x00" in text:
        raise ValueError(f"{path} holds NUL characters, so it is binary; give a plain text file")
    if not text.strip():
        raise ValueError(f"{path} is empty; give a file with some text")
    return text


def tokenize(text: str, vocab: int = 2048, name: str = "text", cache: str | Path | None = None) -> Corpus:
    """Train a byte-level BPE of ``vocab`` tokens on ``text`` and cut the text with it; deterministic.

    The result is cached under ``cache`` (default: :func:`experiments.lm.cache.cache_folder`), keyed by the SHA-256 of
    the text, ``vocab`` and the version of the ``tokenizers`` package.  A damaged entry is made again; a cache that
    cannot be written is done without.

    Raises ``ValueError`` for an empty text or a vocabulary below the 256 bytes.
    """
    import tokenizers

    if isinstance(vocab, bool) or not isinstance(vocab, int) or vocab < BYTES:
        raise ValueError(f"vocab must be an integer of at least {BYTES} (the byte alphabet), found {vocab!r}")
    if not text:
        raise ValueError("the text is empty; give some text to train a tokenizer on")
    sha = hashlib.sha256(text.encode()).hexdigest()
    entry = _cache_folder(cache) / f"bpe-{sha[:32]}-{vocab}-{tokenizers.__version__}.npz"
    stored = _load(entry, sha)
    if stored is None:
        stored = _train(text, vocab)
        with contextlib.suppress(OSError):
            _store(entry, *stored, sha)
    return Corpus(*stored, name=name, text_sha256=sha)


def train_tokenizer(text: str, vocab: int) -> Tokenizer:
    """The byte-level BPE of ``vocab`` tokens (fewer where the text runs out of pairs) trained on ``text``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator([text], trainer)
    return bpe


def _train(text: str, vocab: int) -> tuple[np.ndarray, list[str]]:
    """Token numbers of ``text`` and the pieces, by number."""
    bpe = train_tokenizer(text, vocab)
    numbers = bpe.get_vocab()
    return np.array(bpe.encode(text).ids, dtype=np.int64), sorted(numbers, key=lambda piece: numbers[piece])


def _cache_folder(cache: str | Path | None) -> Path:
    return Path(cache) if cache is not None else cache_folder()


def _load(entry: Path, sha: str) -> tuple[np.ndarray, list[str]] | None:
    """What was stored for the text of this SHA-256, or ``None`` if it is absent or damaged."""
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["text_sha256"]) != sha:
                return None
            return stored["tokens"], json.loads(stored["pieces"].tobytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def _store(entry: Path, tokens: np.ndarray, pieces: list[str], sha: str) -> None:
    """Write beside the entry and rename, so that a reader never sees half a file."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=entry.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            packed = np.frombuffer(json.dumps(pieces).encode(), dtype=np.uint8)
            np.savez_compressed(file, tokens=tokens, pieces=packed, text_sha256=np.array(sha))
        os.replace(draft, entry)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
