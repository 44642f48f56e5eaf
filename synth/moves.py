"""Moves on distributions whose effect on every floor is known: the raw material of metamorphic tests.

Permutations and splits of contexts leave every floor unchanged, merging contexts can only lower it relative to the
same weights, restricting tokens lowers the weighted floor (``theory`` page "high mass"), and smoothing makes another
distribution, named as such.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synth._array import Array, like, namespace, to_numpy
from synth.distribution import ContextualDistribution
from synth.known import Known
from synth.table import DenseTable, sparse_table


def permute_contexts(distribution: ContextualDistribution, order: Sequence[int]) -> ContextualDistribution:
    """Contexts in the given order.  Every floor and every known fact stay the same."""
    rows = _permutation(order, distribution.contexts, "contexts")
    weights = to_numpy(distribution.weights)[rows]
    return ContextualDistribution(
        distribution.table.take(contexts=rows), like(weights, distribution.weights), distribution.known
    )


def permute_tokens(distribution: ContextualDistribution, order: Sequence[int]) -> ContextualDistribution:
    """Tokens in the given order.  Every floor and every known fact stay the same."""
    columns = _permutation(order, distribution.vocab, "tokens")
    return ContextualDistribution(distribution.table.take(tokens=columns), distribution.weights, distribution.known)


def split_context(distribution: ContextualDistribution, context: int, share: float = 0.5) -> ContextualDistribution:
    """One context written twice, its weight divided ``share`` to ``1 - share``.  Every floor stays the same."""
    if not 0 < share < 1:
        raise ValueError(f"share must lie strictly between 0 and 1, found {share}")
    _check_index([context], distribution.contexts, "context")
    rows = np.append(np.arange(distribution.contexts), context)
    weights = to_numpy(distribution.weights)[rows].copy()
    weights[context] *= share
    weights[-1] *= 1 - share
    return ContextualDistribution(
        distribution.table.take(contexts=rows), like(weights, distribution.weights), distribution.known
    )


def merge_contexts(distribution: ContextualDistribution, groups: Sequence[int]) -> ContextualDistribution:
    """Contexts of the same group number become one: weights add, probabilities mix in proportion to them.

    ``groups`` (C,) numbers the groups 0, 1, …; what was known of the distribution is dropped.  Dense tables only.
    """
    label = np.asarray(groups)
    if label.shape != (distribution.contexts,) or set(label.tolist()) != set(range(int(label.max(initial=-1)) + 1)):
        raise ValueError("groups must give each context a number 0, 1, …, with none left out")
    member = np.zeros((int(label.max()) + 1, len(label)))
    member[label, np.arange(len(label))] = to_numpy(distribution.weights)
    weights = member.sum(axis=1)
    P = (member / weights[:, None]) @ to_numpy(distribution.p)
    reference = distribution.log_p
    return ContextualDistribution.from_probabilities(like(P, reference), like(weights / weights.sum(), reference))


def restrict_contexts(distribution: ContextualDistribution, contexts: Sequence[int]) -> ContextualDistribution:
    """The named contexts alone, weights rescaled to sum to one.  ``weight * floor`` can only go down."""
    rows = _check_index(contexts, distribution.contexts, "context")
    weights = to_numpy(distribution.weights)[rows]
    known = Known(family=distribution.known.family, parameters=distribution.known.parameters)
    return ContextualDistribution(
        distribution.table.take(contexts=rows), like(weights / weights.sum(), distribution.weights), known
    )


def restrict_tokens(
    distribution: ContextualDistribution, tokens: Sequence[int]
) -> tuple[ContextualDistribution, float]:
    """The law conditioned on a token set T, and its mass ``p(T) = sum_c pi_c p_c(T)``.

    Contexts that give T no mass are dropped; the others are weighted by ``pi_c p_c(T)``.  By the chain rule
    ``floor >= p(T) * floor of the restriction`` (conditioning keeps the class of rank-d heads).
    """
    columns = _check_index(tokens, distribution.vocab, "token")
    table = distribution.table.take(tokens=columns)
    xp = namespace(table.values)
    if isinstance(table, DenseTable):
        kept_mass = to_numpy(xp.sum(table.p, axis=1))
    else:
        kept_mass = np.asarray(table.to_csr().sum(axis=1)).ravel()
    kept = np.flatnonzero(kept_mass > 0)
    if len(kept) == 0:
        raise ValueError("the chosen tokens have no mass in any context; choose tokens that occur")
    weights = to_numpy(distribution.weights)[kept] * kept_mass[kept]
    table = table.take(contexts=kept)
    log_mass = np.log(kept_mass[kept])
    if isinstance(table, DenseTable):
        table = DenseTable(table.log_p - like(log_mass[:, None], table.log_p))
    else:
        shifted = to_numpy(table.log_p) - np.repeat(log_mass, np.diff(table.starts))
        table = sparse_table(table.to_csr(), shifted, table.log_p)
    mass = float(weights.sum())
    return ContextualDistribution(table, like(weights / mass, distribution.weights)), mass


def smooth(distribution: ContextualDistribution, share: float) -> ContextualDistribution:
    """``(1 - share) P + share p_bar``: another distribution, positive wherever the unigram law is.  Dense result."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], found {share}")
    P = (1 - share) * distribution.p + share * distribution.marginal[None, :]
    known = Known(family=f"{distribution.known.family}, smoothed {share:g}", parameters=distribution.known.parameters)
    return ContextualDistribution.from_probabilities(P, distribution.weights, known)


def shift_rows(logits: Array, shifts: Array) -> Array:
    """``A + u 1'``: the same model, by the gauge of softmax.  Shapes (C, V), (C,) -> (C, V)."""
    return logits + shifts[:, None]


def _permutation(order: Sequence[int], size: int, what: str) -> np.ndarray:
    places = np.asarray(order)
    if places.shape != (size,) or not np.array_equal(np.sort(places), np.arange(size)):
        raise ValueError(f"order must be a permutation of the {size} {what}")
    return places


def _check_index(index: Sequence[int], size: int, what: str) -> np.ndarray:
    places = np.asarray(index)
    if (
        places.ndim != 1
        or len(places) == 0
        or places.dtype.kind not in "iu"
        or places.min() < 0
        or places.max() >= size
    ):
        raise ValueError(f"{what} numbers must be a non-empty list of integers from 0 to {size - 1}")
    return places
