"""A tiny transformer on disk with a text of its own, and the contexts of a tiny head, for tests of ranks."""

from __future__ import annotations

import numpy as np

from experiments.lm.model import LanguageModel
from experiments.lm.ranks.contexts import dealt
from tests.experiments.tiny import neox, tokenizer

WINDOW = 16


def transformer(tmp_path, words=1400):
    """Folder of a model and path of a text that it can read."""
    folder, text = tmp_path / "model", tmp_path / "text.txt"
    neox(folder)
    tokenizer(folder, words=40, bos=False)
    drawn = np.random.default_rng(0).zipf(1.5, words) % 40
    text.write_text(" ".join(f"w{word}" for word in drawn))
    return folder, text


def material(rows=(300, 200), width=8, vocab=50, seed=0):
    """Contexts of a random head whose next tokens are drawn from its own laws."""
    rng = np.random.default_rng(seed)
    total = sum(-(-count // WINDOW) for count in rows) * WINDOW
    X = rng.standard_normal((total, width)) * np.arange(1, width + 1) ** -0.6 + 0.5
    W = rng.standard_normal((vocab, width))
    laws = np.exp(X @ W.T)
    laws /= laws.sum(axis=1, keepdims=True)
    y = np.array([rng.choice(vocab, p=law) for law in laws])
    model = LanguageModel("tiny", W.astype(np.float32), None, ("random",))
    return dealt(model, X.astype(np.float32), y, rows, WINDOW, seed)
