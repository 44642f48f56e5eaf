"""``rankfloor lm werror [TEXT]``: how well matrices of rank d approximate the n-grams of a text, and their Zipf null.

The matrix M (C, V) has one row for each different context of n - 1 tokens: the empirical law of the next token.  Rows
count equally, however often the context occurs.  ``W-error(d)`` is the relative Frobenius error of the best matrix of
rank d (Godey, de la Clergerie & Sagot 2024, Figure 7).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from experiments.config import EMBEDDED
from experiments.lm.corpus import Corpus, tokenize
from experiments.lm.vocabulary import cut_with
from experiments.table import align
from synth import families
from theory.large_spectrum import Gram, Tails, certified_tails, exact_tails
from theory.zipf import one_hot_share, zipf_w_error

if TYPE_CHECKING:
    import pandas as pd

EXACT = 5000
"""Vocabularies up to this size get an exact spectrum: the Gram matrix takes V^2 numbers, its eigenvalues V^3 work."""


@dataclass(frozen=True)
class WErrorConfig:
    """Which text, how it is cut, and how hard to try at large vocabularies."""

    text: Annotated[str, tyro.conf.Positional] = EMBEDDED
    """A text file (.txt or .gz), a folder of .txt files, sotu (once fetched), or moby-dick for the embedded one."""
    vocab: int = 4096
    """Size of the byte-pair vocabulary trained on the text."""
    tokenizer: Path | None = None
    """Cut with this tokenizer instead: a tokenizer.json, a folder with one, a SentencePiece .model."""
    orders: tuple[int, ...] = (1, 2, 3, 4, 5)
    """n of the n-grams, 1 to 5; contexts are the n - 1 tokens before."""
    vectors: int = 512
    """Singular vectors computed where the vocabulary is too large for all; the rest is bounded."""
    seed: int = 0
    """Random start of those vectors."""
    out: Path = Path("runs/lm-werror")
    """Folder for the table and the figure."""


def command(arguments: list[str]) -> None:
    """Compute the curves, print the table, write parquet and figure."""
    config = tyro.cli(
        WErrorConfig,
        args=arguments,
        prog="rankfloor lm werror",
        description="W-error of the n-grams of a text: the relative error of the best matrix of rank d, beside what it "
        "would be if every context had one continuation (Zipf's law of the tokens).",
    )
    corpus = _cut(config)
    curves = werror_curves(corpus, config.orders, config.vectors, config.seed)
    print(report(curves), flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    curves.to_parquet(config.out / "werror.parquet")
    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    from experiments.figures.werror import draw

    paths = draw(config.out, config.out / "werror")
    print(f"results: {config.out / 'werror.parquet'}\nfigure:  " + "  ".join(map(str, paths)))


def _cut(config: WErrorConfig) -> Corpus:
    """The text as token numbers."""
    from experiments.lm.measure.command import text_of

    text, name = text_of(config.text), Path(config.text).stem
    return tokenize(text, config.vocab, name) if config.tokenizer is None else cut_with(config.tokenizer, text, name)


def werror_curves(corpus: Corpus, orders: Sequence[int], vectors: int = 512, seed: int = 0) -> pd.DataFrame:
    """One row per order and dimension: ``lower`` and ``upper`` W-error, the ``zipf`` null, and facts of the matrix.

    Exact (``lower == upper``) up to V = ``EXACT``; beyond, intervals from ``vectors`` singular vectors.
    """
    import pandas as pd

    if not orders:
        raise ValueError("no order is given; name at least one of 1 to 5")
    return pd.concat([_curve(corpus, order, vectors, seed) for order in orders], ignore_index=True)


def _curve(corpus: Corpus, order: int, vectors: int, seed: int) -> pd.DataFrame:
    import pandas as pd

    table: Any = families.ngram(corpus.tokens, order, corpus.vocab).table
    M = table.to_csr()
    dims = dimensions(min(M.shape))
    tails = _tails(Gram.of(M), dims, vectors, seed)
    lower, upper = tails.w_error()
    facts = {
        "text": corpus.name, "tokens": len(corpus.tokens), "vocab": corpus.vocab, "order": order,
        "contexts": M.shape[0], "one_hot": one_hot_share(M), "exact": tails.failure == 0, "failure": tails.failure,
    }  # fmt: skip
    return pd.DataFrame({"dim": dims, "lower": lower, "upper": upper, "zipf": zipf_w_error(M, dims)}).assign(**facts)


def _tails(gram: Gram, dims: list[int], vectors: int, seed: int) -> Tails:
    if gram.size <= EXACT:
        return exact_tails(gram, dims)
    return certified_tails(gram, dims, min(vectors, gram.size), passes=5, seed=seed)


def dimensions(rank: int) -> list[int]:
    """0, then about eight dimensions to each factor of ten, up to ``rank``."""
    steps = np.round(np.geomspace(1, rank, max(2, round(8 * np.log10(max(rank, 2))) + 1))).astype(int)
    return [0, *sorted(set(steps.tolist()))]


def report(curves: pd.DataFrame) -> str:
    """What was cut, and one line per order."""
    first = curves.iloc[0]
    header = ("n", "contexts", "one-hot", "halved at d", "below 0.1 at d", "largest distance to the Zipf null")
    lines = [_line(order, own) for order, own in curves.groupby("order", sort=False)]
    exact = (
        "exact" if curves["exact"].all() else f"bounded, each interval wrong with probability {first['failure']:.0e}"
    )
    return (
        f"{first['text']}: {first['tokens']:,} tokens, V = {first['vocab']:,}; one row per different context, rows "
        f"count equally; spectra {exact}\n" + align([header, *lines], left={3, 4, 5})
    )


def _line(order: int, own: pd.DataFrame) -> tuple[str, ...]:
    tested = own[own["dim"] > 0]
    apart = np.maximum(np.abs(tested["lower"] - tested["zipf"]), np.abs(tested["upper"] - tested["zipf"]))
    worst = int(np.argmax(apart))
    bound = "" if own["exact"].all() else "at most "
    distance = f"{bound}{apart.iloc[worst]:.4f} at d = {tested['dim'].iloc[worst]}"
    row = own.iloc[0]
    return (
        str(order), f"{row['contexts']:,}", f"{row['one_hot']:.1%}", _reaches(own, 0.5), _reaches(own, 0.1), distance
    )  # fmt: skip


def _reaches(own: pd.DataFrame, level: float) -> str:
    """Between which two dimensions of the curve the W-error falls to ``level``."""
    dims = own["dim"].to_numpy()
    certain = dims[own["upper"].to_numpy() <= level]
    above = dims[own["lower"].to_numpy() > level]
    return f"{above.max() if len(above) else 0} to {certain.min()}"
