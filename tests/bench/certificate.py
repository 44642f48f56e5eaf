"""Fitted floors over conjugate certificates: how far the flagship lower bound is from what heads reach.

    python -m tests.bench.certificate [--only SECTION ...] [--seeds N] [--out FILE]

Every certificate is re-checked by ``theory.verify``.  A section's rows replace those in the page; others are kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from experiments.heads import Fit, Options, fit, fit_limited
from experiments.lm.corpus import moby_dick
from experiments.lm.fetch import fetched
from experiments.lm.laws import Texted, backoff_target
from experiments.lm.sphinx import read_sphinx
from synth import ContextualDistribution, families
from theory import HeadSpec, catalogue, verify
from theory.certificate import Effort, certify

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "certificate.md"

DEFAULT = Effort()
COLDER = (*DEFAULT.split, 0.003)
LONG = Effort(single=1000, metrics=48, several=5000, split=COLDER)
TEXT = Effort(single=1600, metrics=24, several=2500, split=COLDER)
LARGE = Effort(single=800, metrics=4, several=600)

RANDOM_STARTS = 8
"""Of the fits that the long searches are compared with."""

Row = dict[str, Any]


def zipfian(scale: float, seed: int) -> ContextualDistribution:
    """60 x 40, full rank: interaction logits of standard deviation ``scale`` on a Zipfian unigram law."""
    return families.zipf(contexts=60, vocab=40, rank=40, scale=scale, seed=seed)


def words(contexts: int = 150, vocab: int = 300) -> ContextualDistribution:
    """Moby Dick: the most frequent words, bigrams interpolated half and half with the unigram law of the words kept."""
    text = re.findall(r"[a-z]+(?:'[a-z]+)?", moby_dick().lower().replace("’", "'"))
    frequent = Counter(text).most_common(vocab)
    kept = {word: index for index, (word, _) in enumerate(frequent)}
    counts = np.zeros((contexts, vocab))
    for first, second in itertools.pairwise(text):
        if kept.get(first, contexts) < contexts and second in kept:
            counts[kept[first], kept[second]] += 1
    unigram = np.array([count for _, count in frequent], dtype=np.float64)
    rows, weights = counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=1)
    P = 0.5 * rows + 0.5 * unigram / unigram.sum()
    return ContextualDistribution.from_probabilities(P, weights / weights.sum())


def measured(
    distribution: ContextualDistribution, spec: HeadSpec, fitted: Fit, effort: Effort, label: Row | None = None
) -> Row:
    """Fit over certificate, verified, with the processor seconds it took, and a head of the class over it."""
    began = time.process_time()
    bound = certify(distribution, spec, fitted.head, effort)
    seconds = time.process_time() - began
    verdict = verify(bound, distribution, spec)
    if not verdict.ok:
        raise AssertionError(f"a certificate was rejected: {verdict.message}")
    row = {
        **(label or {}),
        "d": spec.dim,
        "fit": fitted.gap,
        "certificate": bound.value,
        "ratio": fitted.gap / bound.value if bound.value > 0 else float("inf"),
        "in class": fitted.head.belongs_to(spec, distribution),
        "ratio in class": in_class(distribution, spec, fitted) / bound.value if bound.value > 0 else float("inf"),
        "seconds": seconds,
    }
    print(json.dumps(row), flush=True)
    return row


def in_class(distribution: ContextualDistribution, spec: HeadSpec, fitted: Fit) -> float:
    """The gap of the fit of the class, inf where no head of it was found."""
    if fitted.head.belongs_to(spec, distribution):
        return fitted.gap
    inside = fit_limited(distribution, spec, fitted)
    return float("inf") if inside is None else inside.gap


def thorough(distribution: ContextualDistribution, dim: int) -> Fit:
    """The best fit from the closed forms and from random starts."""
    return fit(distribution, HeadSpec(dim), Options(random_starts=RANDOM_STARTS))


def zipf_section(seeds: int) -> Iterator[Row]:
    """Three scales, four dimensions, M = 4."""
    for scale in (0.3, 1.0, 2.0):
        for dim in (1, 3, 8, 20):
            for seed in range(seeds):
                laws = zipfian(scale, seed)
                spec = HeadSpec(dim, max_underestimate=4.0)
                yield measured(laws, spec, thorough(laws, dim), LONG, {"scale": scale, "seed": seed})


def default_section(seeds: int) -> Iterator[Row]:
    """The same laws, one seed, the default effort."""
    for scale in (0.3, 1.0, 2.0):
        for dim in (1, 3, 8, 20):
            laws = zipfian(scale, 0)
            spec = HeadSpec(dim, max_underestimate=4.0)
            yield measured(laws, spec, fit(laws, HeadSpec(dim)), DEFAULT, {"scale": scale})


def text_section(seeds: int) -> Iterator[Row]:
    """Moby Dick, 150 x 300, M = 4."""
    laws = words()
    for dim in (2, 8, 32):
        yield measured(laws, HeadSpec(dim, max_underestimate=4.0), thorough(laws, dim), TEXT)


def limits_section(seeds: int) -> Iterator[Row]:
    """From a small M to a large one, and none; majorization beside it."""
    for scale, dim in ((0.3, 3), (1.0, 1), (1.0, 3), (2.0, 3)):
        laws = zipfian(scale, 0)
        fitted = fit(laws, HeadSpec(dim))
        for limit in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, None):
            spec = HeadSpec(dim, max_underestimate=limit)
            label = {"scale": scale, "M": limit or "none"}
            row = measured(laws, spec, fitted, DEFAULT, label)
            yield row | {"majorization": fitted.gap / catalogue["majorization"](laws, spec).value}


def bias_section(seeds: int) -> Iterator[Row]:
    """Heads with a bias."""
    for scale in (0.3, 1.0, 2.0):
        for dim in (0, 1, 3, 8):
            laws = zipfian(scale, 0)
            spec = HeadSpec(dim, True, max_underestimate=4.0)
            yield measured(laws, spec, fit(laws, HeadSpec(dim, True)), DEFAULT, {"scale": scale})


def metrics_section(seeds: int) -> Iterator[Row]:
    """What more metrics mend, and what a smaller M does."""
    text, zipf = words(), zipfian(1.0, 0)
    cases = [("Zipf, scale 1", zipf, 8, 4.0, count) for count in (1, 4, 12, 24)]
    cases += [("Moby Dick", text, dim, 4.0, count) for dim in (8, 32) for count in (1, 4)]
    cases += [("Moby Dick", text, 32, limit, 1) for limit in (2.0, 1.0)]
    for name, laws, dim, limit, count in cases:
        label = {"laws": name, "M": limit, "metrics": count}
        effort = replace(LONG, metrics=count, several=2000)
        yield measured(laws, HeadSpec(dim, max_underestimate=limit), thorough(laws, dim), effort, label)


def size_section(seeds: int) -> Iterator[Row]:
    """Seconds on larger tables, d = 8, scale 1."""
    large = Effort(single=150, metrics=1)
    for contexts, vocab, effort in (
        (60, 40, DEFAULT),
        (300, 300, Effort(single=300, several=450)),
        (2000, 1000, large),
    ):
        laws = families.zipf(contexts=contexts, vocab=vocab, rank=min(contexts, vocab), scale=1.0, seed=0)
        spec = HeadSpec(8, max_underestimate=4.0)
        yield measured(laws, spec, fit(laws, HeadSpec(8)), effort, {"table": f"{contexts} x {vocab}"})


def trigram_section(seeds: int) -> Iterator[Row]:
    """Rows of a trigram model of American English, without sampling noise; needs ``rankfloor lm fetch``."""
    model = read_sphinx(fetched("pocketsphinx-lm"))
    laws = backoff_target("en-us", model, Texted("Moby Dick", moby_dick()), 500, 2000).distribution
    for dim in (2, 8, 32):
        fitted = fit(laws, HeadSpec(dim), Options(max_evaluations=300))
        label = {"table": f"{laws.contexts} x {laws.vocab}"}
        row = measured(laws, HeadSpec(dim, max_underestimate=4.0), fitted, LARGE, label)
        yield row | {"fit seconds": fitted.seconds, "fit status": fitted.status.name.lower()}


SECTIONS: dict[str, tuple[str, Callable[[int], Iterator[Row]]]] = {
    "zipf": ("Zipfian laws 60 × 40, M = 4, long search (48 metrics)", zipf_section),
    "default": ("The same laws, seed 0, default effort", default_section),
    "text": ("Moby Dick, 150 contexts × 300 words, bigrams half and half with the unigram law, M = 4", text_section),
    "metrics": ("One metric or several: 1000 evaluations with one, 2000 with several", metrics_section),
    "limits": ("From small M to none, 60 × 40, seed 0, default effort", limits_section),
    "bias": ("With a bias, 60 × 40, seed 0, M = 4, default effort", bias_section),
    "trigram": (
        "Trigrams en-us, 500 histories of Moby Dick, given its 2000 likeliest words (mass 0.89), M = 4",
        trigram_section,
    ),
    "size": ("Larger tables, scale 1, d = 8, M = 4", size_section),
}

REMARKS = {
    "trigram": (
        "Rows of the model are exact and normalised, then conditioned on those words (mass 0.890): another law, whose\n"
        "lower bounds hold for the full vocabulary times the mass. Four metrics, at most 300 evaluations for fits.\n"
    )
}
"""What a section needs to be read."""

NOTES = """# Conjugate certificates

How far [conjugate certificates](../theorems/conjugate-certificate.md) are below what heads reach: `ratio` is the fitted
floor over the certificate, 1 proves the fit globally optimal in its class. *in class* says whether the fitted head,
which no limit was imposed on, lies in the class of the certificate; where it does not, the ratio compares with a floor
that may be lower than that of the class, and *ratio in class* takes a fit of the class instead
(`experiments.heads.fit_limited`; inf where that finds no head of it). Laws:
`families.zipf(contexts=60, vocab=40, rank=40, scale=scale)`, whose interaction logits have standard deviation `scale`.
Every certificate was verified. Made by `python -m tests.bench.certificate`; seconds are processor seconds, one thread.
"""


def table(rows: list[Row]) -> str:
    """A Markdown table of the rows."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(shown(row[name]) for name in names) + " |" for row in rows])


def shown(value: Any) -> str:
    """A cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and 0 < abs(value - 1) < 1e-2:
        return f"{value:.7f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def medians(rows: list[Row]) -> str:
    """Per scale: the median ratio of each dimension over the seeds, and the median of all."""
    lines = ["", "| scale | d = 1 | d = 3 | d = 8 | d = 20 | median |", "|---|---|---|---|---|---|"]
    for scale in sorted({row["scale"] for row in rows}):
        ratios = {d: [row["ratio"] for row in rows if row["scale"] == scale and row["d"] == d] for d in (1, 3, 8, 20)}
        cells = [median(found) for found in ratios.values()]
        lines.append("| " + " | ".join(f"{value:.3f}" for value in (scale, *cells, median(cells))) + " |")
    return "\n".join(lines) + "\n"


def write(page: Path, name: str, rows: list[Row]) -> None:
    """Put a section into the page, in its place."""
    text = page.read_text() if page.exists() else ""
    found = dict(re.findall(r"<!-- (\w+) -->\n(.*?)(?=<!-- \w+ -->|\Z)", text, flags=re.DOTALL))
    extra = medians(rows) if name == "zipf" else ""
    remark = REMARKS[name] + "\n" if name in REMARKS else ""
    found[name] = f"## {SECTIONS[name][0]}\n\n{remark}{table(rows)}\n{extra}"
    parts = [f"<!-- {key} -->\n\n{found[key].strip()}\n" for key in SECTIONS if key in found]
    page.write_text("\n".join([NOTES, *parts]))


def main() -> None:
    """Measure the sections asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    for name in arguments.only:
        write(arguments.out, name, list(SECTIONS[name][1](arguments.seeds)))


if __name__ == "__main__":
    main()
