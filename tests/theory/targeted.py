"""Draws of problems on which a bound applies by construction, so that every bound speaks on every example.

A ``Draw`` is a Hypothesis strategy of cases (distribution, class of heads, members of it that are known) and the names
of the bounds whose assumptions each case meets.  Together the draws name every bound of both catalogues.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from hypothesis.strategies import SearchStrategy

from synth import ContextualDistribution
from tests.theory.drawn_tables import (
    SCALES,
    between,
    drawn_logits,
    one_of,
    ranked_spec,
    seeded,
    shuffled,
    weighted,
)  # fmt: skip
from tests.theory.lawful import Answer, Case, lawful
from tests.theory.targeted_frozen import FrozenDraw
from theory import Head, HeadSpec, Side, catalogue, unigram_truncation
from theory.bounds.budget_precision import nearest_rows
from theory.formats import FORMATS

ROOM = 1e-9
"""Relative room between a known head and the limit it is drawn to meet."""


@dataclass(frozen=True)
class Draw:
    """Cases, the ``bounds`` that apply to each of them, and those asked beside them where they apply.

    ``fitted`` holds every lower side against a short fit, too.
    """

    cases: SearchStrategy[Case]
    bounds: tuple[str, ...]
    against: tuple[str, ...] = ()
    fitted: bool = False

    def ask(self, case: Case) -> list[Answer]:
        """What every bound of the draw says, verified and in keeping with the law."""
        asked, beside = ([catalogue[name] for name in names] for names in (self.bounds, self.against))
        return lawful(case, asked, beside, self.fitted)

    def side(self, name: str) -> Side:
        """The side of a bound."""
        return catalogue[name].side


# ---------------------------------------------------------------------- shapes of tables


def roomy(rng: np.random.Generator, most: int = 6, bias: bool | None = None) -> Case:
    """A positive table with more contexts than the rank and three tokens more; heads without limits."""
    rank = between(rng, 1, most - 3) if bias else one_of(rng, 0, *range(1, most - 2), *range(1, most - 2))
    contexts, vocab = between(rng, rank + 1, most), between(rng, rank + 3, most)
    spec = ranked_spec(rank, one_of(rng, False, True) if bias is None else bias)
    return Case(weighted(drawn_logits(rng, contexts, vocab), rng), spec)


def with_bias(rng: np.random.Generator) -> Case:
    """The same with a bias."""
    return roomy(rng, bias=True)


def holed(rng: np.random.Generator) -> Case:
    """Zeros in any context but the first few, which make a positive block larger than the rank; limited or not."""
    rank = one_of(rng, 0, 1, 1, 2, 2)
    contexts, vocab = between(rng, rank + 1, 6), between(rng, rank + 3, 6)
    spec = ranked_spec(rank, one_of(rng, False, True))
    logits = drawn_logits(rng, contexts, vocab)
    holes = rng.random(logits.shape) < one_of(rng, 0.0, 0.1, 0.5)
    holes[: rank + 1], holes[:, 0] = False, False
    distribution = shuffled(np.where(holes, -np.inf, logits), rng)
    return one_of(rng, Case, _within_underestimate, _within_range)(distribution, spec)


def two_tokens(rng: np.random.Generator) -> Case:
    """V = 2, zeros among the probabilities or not."""
    logits = drawn_logits(rng, between(rng, 1, 8), 2)
    if one_of(rng, False, True):
        logits[rng.integers(len(logits)), rng.integers(2)] = -np.inf
    return Case(weighted(logits, rng), HeadSpec(between(rng, 1, 2), one_of(rng, False, True)))


def no_dimension(rng: np.random.Generator) -> Case:
    """No dimension at all; any table."""
    logits = drawn_logits(rng, between(rng, 1, 6), between(rng, 1, 6))
    holes = rng.random(logits.shape) < one_of(rng, 0.0, 0.3)
    holes[:, int(rng.integers(logits.shape[1]))] = False
    return Case(weighted(np.where(holes, -np.inf, logits), rng), HeadSpec(0, one_of(rng, False, True)))


def full_rank(rng: np.random.Generator) -> Case:
    """As many dimensions as the logits have, or zeros and as many as the table allows."""
    contexts, vocab, bias = between(rng, 1, 6), between(rng, 2, 6), one_of(rng, False, True)
    most = min(vocab - 1, contexts - int(bias))
    rank, scale = between(rng, 0, most), one_of(rng, *SCALES)
    logits = scale * rng.standard_normal((contexts, rank)) @ rng.standard_normal((rank, vocab))
    logits = logits + (rng.standard_normal(vocab) if bias else 0.0)
    if one_of(rng, False, True):
        logits[rng.random(logits.shape) < 0.2], rank = -np.inf, most
        logits[:, 0] = 0.0
    return Case(weighted(logits, rng), HeadSpec(rank, bias))


# ---------------------------------------------------------------------- supports


def few_tokens(rng: np.random.Generator) -> Case:
    """Supports of at most k tokens, anywhere, and 2k dimensions or 2k - 1 and a bias."""
    k, bias = between(rng, 1, 3), one_of(rng, False, True)
    vocab = between(rng, 2 * k, 8)
    logits = drawn_logits(rng, between(rng, 1, 6), vocab)
    for row in logits:
        row[rng.permutation(vocab)[int(rng.integers(1, k + 1)) :]] = -np.inf
    least = 2 * k - int(bias)
    return Case(weighted(logits, rng), HeadSpec(between(rng, least, max(least, min(vocab, least + 1))), bias))


def staircases(rng: np.random.Generator) -> Case:
    """One base law conditioned on nested supports, contexts repeated, in any order; a token may never be seen."""
    vocab, contexts, bias = between(rng, 1, 8), between(rng, 1, 8), one_of(rng, False, True)
    base = one_of(rng, *SCALES) * rng.standard_normal(vocab) * int(one_of(rng, False, True))
    reach = rng.integers(1, vocab + 1, contexts)
    logits = np.where(np.arange(vocab) < reach[:, None], base, -np.inf)
    spec = HeadSpec(1 if bias or vocab == 1 else 2, bias)
    return Case(shuffled(logits, rng), spec)


def all_subsets(rng: np.random.Generator) -> Case:
    """Every k-subset of V >= 3k tokens as a uniform context of any weight, other contexts beside them."""
    k = one_of(rng, 1, 1, 2)
    vocab = between(rng, 3 * k, 7 if k == 1 else 6)
    extra = between(rng, 0, 3)
    others = drawn_logits(rng, extra + 1, vocab)
    subsets = np.array(list(combinations(range(vocab), k)))
    uniform = np.full((len(subsets), vocab), -np.inf)
    np.put_along_axis(uniform, subsets, 0.0, axis=1)
    again = uniform[rng.integers(0, len(uniform), between(rng, 0, 3))]
    spec = ranked_spec(between(rng, 0, 2 * k - 1), one_of(rng, False, True))
    return Case(shuffled(np.vstack([uniform, again, others[:extra]]), rng), spec)


# ---------------------------------------------------------------------- limits


def _truncated(distribution: ContextualDistribution, spec: HeadSpec, scale: float = 1.0) -> Head:
    """A head near the table, its logits scaled: a member of the classes whose limits it is given."""
    head = unigram_truncation(distribution, spec.dim, spec.bias, 0.0 if distribution.is_positive else 0.1)
    return Head(scale * head.H, head.W, None if head.b is None else scale * head.b)


def _within_underestimate(distribution: ContextualDistribution, spec: HeadSpec, scale: float = 1.0) -> Case:
    """The class of heads that underestimate no more than a known one."""
    head = _truncated(distribution, spec, scale)
    limit = head.underestimate(distribution) * (1 + ROOM) + ROOM
    return Case(distribution, HeadSpec(spec.dim, spec.bias, max_underestimate=limit), (head,))


def _within_range(distribution: ContextualDistribution, spec: HeadSpec, scale: float = 1.0) -> Case:
    """The class of heads whose logits span no more than those of a known one."""
    head = _truncated(distribution, spec, scale)
    return Case(distribution, HeadSpec(spec.dim, spec.bias, logit_range=head.logit_range * (1 + ROOM) + ROOM), (head,))


def _within_norm(
    distribution: ContextualDistribution, spec: HeadSpec, scale: float = 1.0, name: str | None = None
) -> Case:
    """The class of heads no larger than a known one, its logits rounded to a format if one is named."""
    head = _truncated(distribution, spec, scale)
    head = Head(head.H, head.W, head.b, name)
    limit = head.norm * (1 + ROOM) + ROOM
    return Case(distribution, HeadSpec(spec.dim, spec.bias, norm=limit, float_format=name), (head,))


def limited(rng: np.random.Generator) -> Case:
    """A positive table, and a class limited to what one of its heads needs."""
    free = roomy(rng)
    limit = one_of(rng, _within_underestimate, _within_range, _within_norm)
    return limit(free.distribution, free.spec, one_of(rng, 1.0, 0.5, 0.0))


def small_norms(rng: np.random.Generator) -> Case:
    """Two modes at least, zeros or not, and heads of a small norm; a range beside it or not."""
    contexts, vocab = between(rng, 2, 6), between(rng, 2, 6)
    logits = drawn_logits(rng, contexts, vocab)
    first, second = rng.choice(vocab, 2, replace=False)
    if one_of(rng, False, True):
        logits[rng.random(logits.shape) < 0.3] = -np.inf
    logits[0, first] = logits[1, second] = 0.1 + max(0.0, float(logits.max()))
    logits[2:, first] = np.where(np.isfinite(logits[2:]).any(axis=1), logits[2:, first], 0.0)
    spec = HeadSpec(
        between(rng, 0, vocab - 1),
        one_of(rng, False, False, False, True),
        norm=one_of(rng, 1.0, 0.1, 4.0, 20.0),
        logit_range=one_of(rng, None, None, 1.0, 5.0),
    )
    return Case(shuffled(logits, rng), spec)


def rounded(rng: np.random.Generator) -> Case:
    """Logits rounded to a format, no larger than those of a known head."""
    free = roomy(rng, most=5)
    name = one_of(rng, *sorted(FORMATS))
    return _within_norm(free.distribution, free.spec, one_of(rng, 1.0, 0.5), name)


def coarse(rng: np.random.Generator) -> Case:
    """A coarse format, one dimension for each token, and a head whose rows are log p + u, rounded."""
    logits = drawn_logits(rng, one_of(rng, 1, 1, 2), between(rng, 2, 9))
    holes = rng.random(logits.shape) < one_of(rng, 0.0, 0.2)
    holes[:, 0] = False
    distribution = shuffled(np.where(holes, -np.inf, logits), rng)
    name = one_of(rng, "fp8-e4m3", "fp8-e4m3", "bfloat16", "float16")
    spec = HeadSpec(distribution.vocab, one_of(rng, False, True), float_format=name)
    return Case(distribution, spec, (rounded_rows(distribution, name),))


def rounded_rows(distribution: ContextualDistribution, name: str) -> Head:
    """The head of all dimensions whose rows are ``log p + u``, rounded, at the best u that the partition found."""
    return Head(nearest_rows(distribution, name), np.eye(distribution.vocab), None, name)


DRAWS: dict[str, Draw | FrozenDraw] = {
    "positive tables": Draw(
        seeded(roomy),
        (
            "plug-in-svd", "plug-in-unigram", "smoothness", "first-order", "fisher-range", "unigram",
            "majorization", "probability-floor", "high-mass",
        ),
        fitted=True,
    ),
    "heads with a bias": Draw(seeded(with_bias), ("near-unigram",)),
    "no dimension": Draw(seeded(no_dimension), ("unigram",), ("plug-in-unigram", "majorization")),
    "dimensions enough": Draw(seeded(full_rank), ("full-rank",), ("majorization", "probability-floor")),
    "two tokens": Draw(seeded(two_tokens), ("binary",), ("majorization", "probability-floor")),
    "positive blocks": Draw(seeded(holed), ("conjugate-certificate", "majorization"), ("unigram",), True),
    "supports of few tokens": Draw(
        seeded(few_tokens), ("sparse-support", "moment-curve"), ("all-k-subsets", "majorization")
    ),
    "nested supports": Draw(
        seeded(staircases), ("nested-supports", "staircase-head"), ("all-k-subsets", "majorization")
    ),
    "all subsets": Draw(seeded(all_subsets), ("all-k-subsets",), ("unigram",), True),
    "limits of a known head": Draw(seeded(limited), ("fisher-range-lower",), ("unigram",)),
    "small norms": Draw(seeded(small_norms), ("packing", "range-floor", "budget-head"), ("majorization", "unigram")),
    "rounded logits": Draw(seeded(rounded), ("rounded-floor",), ("unigram",)),
    "coarse formats": Draw(seeded(coarse), ("precision-floor",), ("range-floor",)),
    "frozen features": FrozenDraw(),
}  # fmt: skip
"""Every draw by what its problems have in common."""
