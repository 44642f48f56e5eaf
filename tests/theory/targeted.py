"""Draws of problems on which a bound applies by construction, so that every bound speaks on every example.

A ``Draw`` is a Hypothesis strategy of cases (distribution, class of heads, members of it that are known) and the names
of the bounds whose assumptions each case meets.  Together the draws name every bound of both catalogues.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from synth import ContextualDistribution, strategies
from tests.theory.drawn_tables import SCALES, drawn_logits, ranked_spec, shuffled, weighted
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


@st.composite
def roomy(draw: DrawFn, most: int = 6, bias: bool | None = None) -> Case:
    """A positive table with more contexts than the rank and three tokens more; heads without limits."""
    rank = draw(st.integers(int(bool(bias)), most - 3))
    contexts, vocab = draw(st.integers(rank + 1, most)), draw(st.integers(rank + 3, most))
    spec = ranked_spec(rank, draw(st.booleans()) if bias is None else bias)
    logits, rng = drawn_logits(draw, contexts, vocab)
    return Case(weighted(logits, rng), spec)


@st.composite
def holed(draw: DrawFn) -> Case:
    """Zeros in any context but the first few, which make a positive block larger than the rank; limited or not."""
    rank = draw(st.integers(0, 2))
    contexts, vocab = draw(st.integers(rank + 1, 6)), draw(st.integers(rank + 3, 6))
    spec = ranked_spec(rank, draw(st.booleans()))
    logits, rng = drawn_logits(draw, contexts, vocab)
    holes = rng.random(logits.shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    holes[: rank + 1], holes[:, 0] = False, False
    distribution = shuffled(np.where(holes, -np.inf, logits), rng)
    return draw(st.sampled_from([Case, _within_underestimate, _within_range]))(distribution, spec)


@st.composite
def two_tokens(draw: DrawFn) -> Case:
    """V = 2, zeros among the probabilities or not."""
    logits, rng = drawn_logits(draw, draw(st.integers(1, 8)), 2)
    if draw(st.booleans()):
        logits[rng.integers(len(logits)), rng.integers(2)] = -np.inf
    return Case(weighted(logits, rng), HeadSpec(draw(st.integers(1, 2)), draw(st.booleans())))


@st.composite
def no_dimension(draw: DrawFn) -> Case:
    """No dimension at all; any table."""
    logits, rng = drawn_logits(draw, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    holes = rng.random(logits.shape) < draw(st.sampled_from([0.0, 0.3]))
    holes[:, int(rng.integers(logits.shape[1]))] = False
    return Case(weighted(np.where(holes, -np.inf, logits), rng), HeadSpec(0, draw(st.booleans())))


@st.composite
def full_rank(draw: DrawFn) -> Case:
    """As many dimensions as the logits have, or zeros and as many as the table allows."""
    contexts, vocab, bias = draw(st.integers(1, 6)), draw(st.integers(2, 6)), draw(st.booleans())
    most = min(vocab - 1, contexts - int(bias))
    rng = np.random.default_rng(draw(strategies.seeds()))
    rank, scale = draw(st.integers(0, most)), draw(st.sampled_from(SCALES))
    logits = scale * rng.standard_normal((contexts, rank)) @ rng.standard_normal((rank, vocab))
    logits = logits + (rng.standard_normal(vocab) if bias else 0.0)
    if draw(st.booleans()):
        logits[rng.random(logits.shape) < 0.2], rank = -np.inf, most
        logits[:, 0] = 0.0
    return Case(weighted(logits, rng), HeadSpec(rank, bias))


# ---------------------------------------------------------------------- supports


@st.composite
def few_tokens(draw: DrawFn) -> Case:
    """Supports of at most k tokens, anywhere, and 2k dimensions or 2k - 1 and a bias."""
    k, bias = draw(st.integers(1, 3)), draw(st.booleans())
    vocab = draw(st.integers(2 * k, 8))
    logits, rng = drawn_logits(draw, draw(st.integers(1, 6)), vocab)
    for row in logits:
        row[rng.permutation(vocab)[int(rng.integers(1, k + 1)) :]] = -np.inf
    least = 2 * k - int(bias)
    return Case(weighted(logits, rng), HeadSpec(draw(st.integers(least, max(least, min(vocab, least + 1)))), bias))


@st.composite
def staircases(draw: DrawFn) -> Case:
    """One base law conditioned on nested supports, contexts repeated, in any order; a token may never be seen."""
    vocab, contexts, bias = draw(st.integers(1, 8)), draw(st.integers(1, 8)), draw(st.booleans())
    rng = np.random.default_rng(draw(strategies.seeds()))
    base = draw(st.sampled_from(SCALES)) * rng.standard_normal(vocab) * int(draw(st.booleans()))
    reach = rng.integers(1, vocab + 1, contexts)
    logits = np.where(np.arange(vocab) < reach[:, None], base, -np.inf)
    spec = HeadSpec(1 if bias or vocab == 1 else 2, bias)
    return Case(shuffled(logits, rng), spec)


@st.composite
def all_subsets(draw: DrawFn) -> Case:
    """Every k-subset of V >= 3k tokens as a uniform context of any weight, other contexts beside them."""
    k = draw(st.sampled_from([1, 1, 2]))
    vocab = draw(st.integers(3 * k, 7 if k == 1 else 6))
    extra = draw(st.integers(0, 3))
    others, rng = drawn_logits(draw, extra + 1, vocab)
    subsets = np.array(list(combinations(range(vocab), k)))
    uniform = np.full((len(subsets), vocab), -np.inf)
    np.put_along_axis(uniform, subsets, 0.0, axis=1)
    again = uniform[rng.integers(0, len(uniform), draw(st.integers(0, 3)))]
    spec = ranked_spec(draw(st.integers(0, 2 * k - 1)), draw(st.booleans()))
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


@st.composite
def limited(draw: DrawFn) -> Case:
    """A positive table, and a class limited to what one of its heads needs."""
    free = draw(roomy())
    limit = draw(st.sampled_from([_within_underestimate, _within_range, _within_norm]))
    return limit(free.distribution, free.spec, draw(st.sampled_from([1.0, 0.5, 0.0])))


@st.composite
def small_norms(draw: DrawFn) -> Case:
    """Two modes at least, zeros or not, and heads of a small norm; a range beside it or not."""
    contexts, vocab = draw(st.integers(2, 6)), draw(st.integers(2, 6))
    logits, rng = drawn_logits(draw, contexts, vocab)
    first, second = rng.choice(vocab, 2, replace=False)
    if draw(st.booleans()):
        logits[rng.random(logits.shape) < 0.3] = -np.inf
    logits[0, first] = logits[1, second] = 0.1 + max(0.0, float(logits.max()))
    logits[2:, first] = np.where(np.isfinite(logits[2:]).any(axis=1), logits[2:, first], 0.0)
    spec = HeadSpec(
        draw(st.integers(0, vocab - 1)),
        draw(st.sampled_from([False, False, False, True])),
        norm=draw(st.sampled_from([1.0, 0.1, 4.0, 20.0])),
        logit_range=draw(st.sampled_from([None, None, 1.0, 5.0])),
    )
    return Case(shuffled(logits, rng), spec)


@st.composite
def rounded(draw: DrawFn) -> Case:
    """Logits rounded to a format, no larger than those of a known head."""
    free = draw(roomy(most=5))
    name = draw(st.sampled_from(sorted(FORMATS)))
    return _within_norm(free.distribution, free.spec, draw(st.sampled_from([1.0, 0.5])), name)


@st.composite
def coarse(draw: DrawFn) -> Case:
    """A coarse format, one dimension for each token, and a head whose rows are log p + u, rounded."""
    logits, rng = drawn_logits(draw, draw(st.integers(1, 2)), draw(st.integers(2, 9)))
    holes = rng.random(logits.shape) < draw(st.sampled_from([0.0, 0.2]))
    holes[:, 0] = False
    distribution = shuffled(np.where(holes, -np.inf, logits), rng)
    name = draw(st.sampled_from(["fp8-e4m3", "fp8-e4m3", "bfloat16", "float16"]))
    spec = HeadSpec(distribution.vocab, draw(st.booleans()), float_format=name)
    return Case(distribution, spec, (rounded_rows(distribution, name),))


def rounded_rows(distribution: ContextualDistribution, name: str) -> Head:
    """The head of all dimensions whose rows are ``log p + u``, rounded, at the best u that the partition found."""
    return Head(nearest_rows(distribution, name), np.eye(distribution.vocab), None, name)


DRAWS: dict[str, Draw | FrozenDraw] = {
    "positive tables": Draw(
        roomy(),
        (
            "plug-in-svd", "plug-in-unigram", "smoothness", "first-order", "fisher-range", "unigram",
            "majorization", "probability-floor", "high-mass",
        ),
        fitted=True,
    ),
    "heads with a bias": Draw(roomy(bias=True), ("near-unigram",)),
    "no dimension": Draw(no_dimension(), ("unigram",), ("plug-in-unigram", "majorization")),
    "dimensions enough": Draw(full_rank(), ("full-rank",), ("majorization", "probability-floor")),
    "two tokens": Draw(two_tokens(), ("binary",), ("majorization", "probability-floor")),
    "positive blocks": Draw(holed(), ("conjugate-certificate", "majorization"), ("unigram",), True),
    "supports of few tokens": Draw(few_tokens(), ("sparse-support", "moment-curve"), ("all-k-subsets", "majorization")),
    "nested supports": Draw(staircases(), ("nested-supports", "staircase-head"), ("all-k-subsets", "majorization")),
    "all subsets": Draw(all_subsets(), ("all-k-subsets",), ("unigram",), True),
    "limits of a known head": Draw(limited(), ("fisher-range-lower",), ("unigram",)),
    "small norms": Draw(small_norms(), ("packing", "range-floor", "budget-head"), ("majorization", "unigram")),
    "rounded logits": Draw(rounded(), ("rounded-floor",), ("unigram",)),
    "coarse formats": Draw(coarse(), ("precision-floor",), ("range-floor",)),
    "frozen features": FrozenDraw(),
}  # fmt: skip
"""Every draw by what its problems have in common."""
