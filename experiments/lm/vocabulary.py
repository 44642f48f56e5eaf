"""Text cut with a tokenizer that already exists, read from local files: nothing is trained and nothing downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from experiments.lm.corpus import Corpus

PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
"""The two files of a byte-level BPE, as GPT-2's were published first and as they are now."""


def cut_with(path: str | Path, text: str, name: str = "text") -> Corpus:
    """``text`` cut by the tokenizer in ``path``, nothing added to it.

    ``path`` is a ``tokenizer.json``, a folder that holds one or a pair of ``PAIRS``, or a SentencePiece ``.model``
    (needs the sentencepiece package).  ``vocab`` is the tokenizer's size, special tokens included, used or not.

    Raises ``ValueError`` for a missing or unreadable file, a folder without a tokenizer, and an empty text.
    """
    path = Path(path)
    if not text.strip():
        raise ValueError("the text is empty; give some text to cut")
    if not path.exists():
        raise ValueError(f"{path} does not exist; give a tokenizer.json, a folder with one, or a .model file")
    try:
        numbers, pieces = _sentencepiece(path, text) if path.suffix == ".model" else _tokenizers(path, text)
    except ValueError:
        raise
    except Exception as error:  # both libraries raise bare exceptions of their own
        raise ValueError(f"{path} cannot be read as a tokenizer ({error}); check which kind of file it is") from error
    sha = hashlib.sha256(text.encode()).hexdigest()
    return Corpus(np.array(numbers, dtype=np.int64), pieces, name=name, text_sha256=sha)


def _tokenizers(path: Path, text: str) -> tuple[list[int], list[str]]:
    """Token numbers and pieces by the tokenizers library."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    if path.is_dir() and (path / "tokenizer.json").exists():
        path = path / "tokenizer.json"
    if path.is_dir():
        pair = next((pair for pair in PAIRS if all((path / part).exists() for part in pair)), None)
        if pair is None:
            raise ValueError(f"{path} holds neither tokenizer.json nor vocab.json and merges.txt; name the file itself")
        bpe = Tokenizer(models.BPE.from_file(*(str(path / part) for part in pair)))
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        bpe = Tokenizer.from_file(str(path))
    size = max(bpe.get_vocab().values()) + 1
    pieces = [bpe.id_to_token(number) or "" for number in range(size)]
    return bpe.encode(text, add_special_tokens=False).ids, pieces


def _sentencepiece(path: Path, text: str) -> tuple[list[int], list[str]]:
    """Token numbers and pieces by the sentencepiece library."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise ValueError(f"{path} needs the sentencepiece package; run: pip install sentencepiece") from error
    processor = SentencePieceProcessor(model_file=str(path))
    return processor.encode(text), [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
