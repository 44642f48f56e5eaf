"""The trial "werror": W-error of the n-grams of a text beside its Zipf null."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.trials.registry import trial


@dataclass(frozen=True)
class WError:
    """A text, how it is cut, and the order of its n-grams."""

    text: str = "moby-dick"
    """A text file, or moby-dick for the embedded one."""
    vocab: int = 1024
    """Size of the byte-pair vocabulary trained on the text."""
    order: int = 3
    """n of the n-grams."""


@trial("werror")
def werror(parameters: WError, seed: int) -> Iterator[dict[str, Any]]:
    """W-error at about eight dimensions to each factor of ten, exact up to V = 5000; one record per dimension.

    ``zipf`` is what it would be if every context had one continuation.  The seed is that of the block method used
    beyond V = 5000.
    """
    from experiments.config import EMBEDDED
    from experiments.lm.corpus import moby_dick, read_text, tokenize
    from experiments.lm.ngram import werror_curves

    text = moby_dick() if parameters.text == EMBEDDED else read_text(parameters.text)
    corpus = tokenize(text, parameters.vocab)
    curve = werror_curves(corpus, [parameters.order], seed=seed)
    for line in curve.drop(columns=["vocab", "order", "text"]).to_dict("records"):
        yield {str(name): value for name, value in line.items()}
