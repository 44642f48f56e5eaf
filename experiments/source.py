"""From a configuration to the distribution it names: a synthetic family, or the n-grams of a text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import numpy as np

from experiments.config import EMBEDDED, Source, World
from experiments.lm import corpus
from experiments.lm.corpus import Corpus
from synth import ContextualDistribution, families

OF_CORPORA = ("family", "corpus", "order", "min_count", "max_contexts")
"""Fields of a source that are not parameters of a synthetic family."""


@dataclass(frozen=True)
class Described:
    """A distribution and one sentence that says what it is."""

    distribution: ContextualDistribution
    sentence: str


def build(source: Source) -> Described:
    """The distribution that ``source`` names.

    Raises ``ValueError`` for an unknown family or parameter, an unreadable or empty text, or contradictory choices.
    """
    if (source.family is None) == (source.corpus is None):
        found = "both a family and a corpus" if source.family else "neither a family nor a corpus"
        raise ValueError(f"{found} given; choose one, for instance --family zipf or --corpus {EMBEDDED}")
    return _synthetic(source) if source.family is not None else _corpus(source)


def drawn(world: World, seed: int) -> ContextualDistribution:
    """The distribution of ``world``, drawn from ``seed`` where its family draws.  ``ValueError`` as for ``build``."""
    fields = {field.name: getattr(world, field.name) for field in dataclasses.fields(World)}
    family = families.catalogue.get(str(world.family))
    draws = family is not None and "seed" in signature(family).parameters
    return build(Source(**fields, seed=seed if draws else None)).distribution


def _synthetic(source: Source) -> Described:
    chosen = {
        name: value
        for name, value in dataclasses.asdict(source).items()
        if value is not None and name not in OF_CORPORA
    }
    distribution = families.make(str(source.family), **chosen)
    known = distribution.known
    listed = ", ".join(f"{key} {value}" for key, value in known.parameters.items())
    return Described(distribution, f"{known.family}: {listed or 'no parameters'}")


def _corpus(source: Source) -> Described:
    extra = [
        name
        for name, value in dataclasses.asdict(source).items()
        if value is not None and name not in (*OF_CORPORA, "vocab")
    ]
    if extra:
        raise ValueError(f"{extra[0]} is a parameter of synthetic families; drop it when a corpus is given")
    name = str(source.corpus)
    text = corpus.moby_dick() if name == EMBEDDED else corpus.read_text(name)
    words = corpus.tokenize(text, source.vocab or 2048, name=Path(name).stem)
    least = source.min_count or _often_enough(words, source)
    distribution = families.ngram(words.tokens, source.order, words.vocab, least)
    facts = distribution.known.parameters
    times = "once" if least == 1 else f"{least} times"
    return Described(
        distribution,
        f"{words.name}, {source.order}-grams of {len(words.tokens):,} tokens, vocabulary {words.vocab}: "
        f"{distribution.contexts:,} of {facts['contexts_total']:,} contexts (seen at least {times}), "
        f"{facts['coverage']:.1%} of the text",
    )


def _often_enough(words: Corpus, source: Source) -> int:
    """The least count that keeps at most ``max_contexts`` contexts, or the largest count there is."""
    if source.max_contexts < 1:
        raise ValueError(f"max_contexts must be >= 1, found {source.max_contexts}; keep at least one context")
    everything = families.ngram(words.tokens, source.order, words.vocab)
    predicted = len(words.tokens) - source.order + 1
    counts = np.sort(np.rint(everything.weights * predicted).astype(int))[::-1]
    if len(counts) <= source.max_contexts:
        return 1
    return int(min(counts[source.max_contexts] + 1, counts[0]))
