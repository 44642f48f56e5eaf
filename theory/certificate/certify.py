"""``certify``: a lower bound on the floor of a class of heads, with the certificate that proves it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synth import ContextualDistribution
from synth._array import Array, like, namespace, to_numpy
from theory.blocks import positive_blocks
from theory.bound import Bound, Claim, NotApplicable, Side, Status, in_double
from theory.certificate.ascent import Watch
from theory.certificate.dual import Dual
from theory.certificate.limits import box
from theory.certificate.search import Effort, Found, expected_gap, search
from theory.certificate.starts import guesses
from theory.head import Head, HeadSpec

NAME = "conjugate-certificate"


def certify(
    distribution: ContextualDistribution,
    spec: HeadSpec,
    start: Head | None = None,
    effort: Effort | None = None,
    watch: Watch | None = None,
) -> Bound:
    """The best conjugate certificate found for the floor of ``spec`` on ``distribution``, nats per token.

    ``start`` is a fitted head: its log error is one of the places where the ascent begins, and its gap sets the units
    of temperature.  It need not lie in the class, and proves nothing itself.  ``effort`` says how long to search;
    ``watch(evaluations, value)`` is told of progress.  With ``max_underestimate`` or a limited range of logits the
    bound holds for that class; without, for all heads.  A table with zeros is bounded on a block without.

    Runs where the distribution lives, in float64.  Cost: per evaluation and metric one symmetric eigenvalue problem of
    size min(C, V), and O(C V) beyond; memory about 20 + 45 K tables (L-BFGS keeps 20 pairs).
    Raises ``ValueError`` when the head is for another table; status ``not_applicable`` where no block is positive.
    """
    spec.check_against(distribution)
    if start is not None:
        start.check_shape(distribution)
    try:
        claim = certified_claim(in_double(distribution), spec, start, effort or Effort(), watch)
    except NotApplicable as why:
        return Bound(0.0, NAME, Side.LOWER, Status.NOT_APPLICABLE, reason=str(why))
    status = Status.PROVED if claim.value > 0 else Status.VACUOUS
    return Bound(claim.value, NAME, Side.LOWER, status, certificate=claim.certificate, reason=claim.reason)


def certified_claim(
    distribution: ContextualDistribution,
    spec: HeadSpec,
    start: Head | None,
    effort: Effort,
    watch: Watch | None = None,
    host: bool = False,
) -> Claim:
    """The claim behind ``certify``, on a distribution in float64; ``host`` brings the table to NumPy first."""
    if spec.float_format is not None:
        raise NotApplicable("speaks of logits that are not rounded; drop float_format from the HeadSpec")
    block = _block(distribution, spec.rank)
    log_p, weights = distribution.table.take(*block).block(0, len(block.contexts)), distribution.weights
    if host:
        log_p, weights = to_numpy(log_p), to_numpy(weights)
    xp = namespace(log_p)
    weights = xp.take(weights, like(block.contexts, log_p, dtype=xp.int64))
    dual = Dual(log_p, weights, box(log_p, weights, spec, distribution.vocab), spec.dim, spec.bias)
    if dual.width <= 0:
        return Claim(
            0.0, reason=f"a head of dimension {spec.dim} is exact on {log_p.shape[0]} x {log_p.shape[1]} logits"
        )
    gap, fitted = expected_gap(dual, weights), None
    if start is not None and distribution.is_positive:
        gap = min(gap, max(start.gap(distribution), 1e-12))
        fitted = _rearranged(like(start.log_q(), log_p), block) - log_p
    found = search(dual, list(guesses(dual, fitted)), gap, effort, watch)
    return Claim(found.value, certificate=_certificate(found, block, distribution))


class Block(NamedTuple):
    """Contexts and tokens of a positive block, in an order that does not depend on how the table lists them."""

    contexts: np.ndarray
    tokens: np.ndarray


def _block(distribution: ContextualDistribution, rank: int) -> Block:
    """All contexts and tokens of a positive table; else the block of the most entries beyond the rank.

    Rounding errors grow in an ascent, so contexts and tokens are sorted by keys that are free of them.
    """
    if distribution.is_positive:
        contexts, tokens = np.arange(distribution.contexts), np.arange(distribution.vocab)
    else:
        blocks = list(positive_blocks(distribution, rank))
        if not blocks:
            raise NotApplicable(
                f"no block of positive probabilities has more than {rank} contexts and {rank + 1} tokens; "
                "merge contexts or smooth the distribution (synth.moves)"
            )
        contexts, tokens = max(blocks, key=lambda block: (len(block[0]) - rank) * (len(block[1]) - rank))
    L = to_numpy(distribution.table.take(contexts, tokens).block(0, len(contexts)))
    weights = to_numpy(distribution.weights)[contexts]
    rows = np.lexsort((L.min(axis=1), L.max(axis=1), weights))
    columns = np.lexsort((L.min(axis=0), L.max(axis=0)))
    return Block(contexts[rows], tokens[columns])


def _rearranged(table: Array, block: Block) -> Array:
    """Rows and columns of a table in the order of the block."""
    xp = namespace(table)
    rows, columns = (like(index, table, dtype=xp.int64) for index in block)
    return xp.take(xp.take(table, rows, axis=0), columns, axis=1)


def _certificate(found: Found, block: Block, distribution: ContextualDistribution) -> dict[str, object]:
    """Plain arrays for the re-check, in the order of the table; the block is named where it is not the whole table."""
    z, log_r, log_s = (np.stack([to_numpy(part) for part in parts]) for parts in zip(*found.point.metrics, strict=True))
    rows, columns = np.argsort(block.contexts), np.argsort(block.tokens)
    certificate: dict[str, object] = {
        "kind": NAME,
        "z": z[:, rows][:, :, columns],
        "r": np.exp(log_r[:, rows]),
        "s": np.exp(log_s[:, columns]),
        "t": to_numpy(found.point.shift)[rows],
        "cap": found.cap,
    }
    if z.shape[1:] != distribution.table.shape:
        certificate |= {"contexts": block.contexts[rows], "tokens": block.tokens[columns]}
    return certificate
