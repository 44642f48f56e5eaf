"""Godey, de la Clergerie and Sagot (2024), sections 4 and 5: what a rank says of a language and of a head."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_array
from scipy.special import logsumexp

from synth import families
from theory import spectrum
from theory.bound import catalogue
from theory.gallery.published import Comparison, Finding, published
from theory.head import Head, HeadSpec

PAPER = "Godey, de la Clergerie and Sagot 2024"


@published(
    "high-rank-floor",
    f"{PAPER}, the argument from figure 7 to Theorem 5.3",
    "a high-rank P, as measured by W-error(d), leaves a d-dimensional head a positive loss",
)
def high_rank_floor() -> Finding:
    """P = I, V = 500: the spectrum of P is flat, and a head of dimension 2 fits it; all pairs of 12 tokens at d = 4.

    What does force a loss is the rank of the centred log-probabilities, where all are positive.
    """
    identity = families.one_hot(500)
    error = float(spectrum.w_error(np.ones(500))[2])  # the singular values of I
    angles = 2 * np.pi * np.arange(500) / 500
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gap = Head(3e5 * circle, circle).gap(identity)  # logits 3e5 cos(t_c - t_v), largest at v = c
    pairs = families.all_k_subsets(12, 2)
    rank = int(np.linalg.matrix_rank(np.asarray(pairs.p)))
    uniform = families.near_unigram(contexts=12, vocab=9, eps=0.1, exponent=0.0)
    floors = [catalogue["majorization"](uniform, HeadSpec(d, bias=True)).value for d in (1, 4, 6)]
    return Finding(
        as_written=(
            Comparison("W-error(2) of P = I, V = 500", error, ">=", 0.99),
            Comparison("gap of a head of dimension 2 on it, nats", gap, ">", 1e-3),
            Comparison(f"gap of a head of dimension 4 on all pairs of 12 tokens (P of rank {rank}), nats",
                       catalogue["moment-curve"](pairs, HeadSpec(4)).value, ">", 1e-3),
        ),
        corrected=(
            Comparison("least proved floor below the centred rank 8 of a positive P, nats", min(floors), ">", 0),
        ),
        correction="corrected (bound majorization): all probabilities positive, and log P of centred rank above d",
    )  # fmt: skip


@published(
    "w-error-of-language",
    f"{PAPER}, figure 7",
    "the slow fall of the W-error of 5-gram tables shows the high rank of contextual structure in language",
)
def w_error_of_language() -> Finding:
    """The null: tokens drawn independently from a Zipfian law, no contextual structure at all, have it too.

    20 000 tokens, V = 400, 5-grams.  On one-hot rows ``P'P`` is the diagonal of the counts of next tokens, so
    ``W-error(d)^2`` is the tail mass of the sorted next-token marginal.
    """
    vocab, rng = 400, np.random.default_rng(0)
    zipf = 1 / np.arange(1, vocab + 1)
    stream = rng.choice(vocab, size=20_000, p=zipf / zipf.sum())
    table = families.ngram(stream, 5, vocab)
    share = float(np.mean(table.support_sizes == 1))
    curve, null = _w_error(table.table.to_csr()), _tail_mass(table.table.to_csr())  # type: ignore[union-attr]
    exact = csr_array((np.ones(len(stream)), stream, np.arange(len(stream) + 1)), shape=(len(stream), vocab))
    return Finding(
        as_written=(
            Comparison("W-error(V/8) of independent tokens, without contextual structure", float(curve[50]), "<=", 0.1),
        ),
        corrected=(
            Comparison(
                "largest |W-error(d)^2 - tail mass| on one-hot rows",
                float(np.abs(_w_error(exact) ** 2 - _tail_mass(exact)).max()), "<=", 1e-12,
            ),
            Comparison(
                f"the same on the 5-grams, of which {share:.0%} are one-hot",
                float(np.abs(curve**2 - null).max()), "<=", 0.05,
            ),
        ),
        correction="corrected: with mostly one-hot rows the curve is the tail of the unigram law; draw that beside it",
    )  # fmt: skip


def _w_error(P: csr_array) -> np.ndarray:
    """W-error for d = 0 ... V from the Gram matrix of the table (C, V)."""
    energies = np.linalg.eigvalsh((P.T @ P).toarray())[::-1]
    return np.asarray(spectrum.w_error(np.sqrt(np.maximum(energies, 0))))


def _tail_mass(P: csr_array) -> np.ndarray:
    """Mass of all but the d most frequent next tokens, contexts counted once; d = 0 ... V."""
    mass = np.sort(np.asarray(P.sum(axis=0)).ravel())[::-1] / P.shape[0]
    return np.append(np.cumsum(mass[::-1])[::-1], 0.0)


@published(
    "normal-initialisation",
    f"{PAPER}, the heads of figure 6",
    "heads W = A B are trained from A (V, r) and B (r, d) with entries drawn N(0, 1)",
)
def normal_initialisation() -> Finding:
    """Logits of such a head on features of unit variance, d = 2048, r = 512, V = 2000: size, and loss on any labels.

    Their variance is r |x|^2 = r d.  With entries of variance 1 / (r d) in the product they are of order one.
    """
    d, r, vocab, rng = 2048, 512, 2000, np.random.default_rng(0)
    x = rng.standard_normal((20, d))
    logits = (x @ rng.standard_normal((r, d)).T) @ rng.standard_normal((vocab, r)).T
    scaled = logits / math.sqrt(r * d)
    uniform = math.log(vocab)
    losses = [float((logsumexp(A, axis=1) - A.mean(axis=1)).mean()) for A in (logits, scaled)]
    return Finding(
        as_written=(
            Comparison("standard deviation of the logits at the start", float(logits.std()), "<=", 10),
            Comparison("loss at the start over log V, labels independent of the logits", losses[0] / uniform, "<=", 2),
        ),
        corrected=(
            Comparison("standard deviation with entries of A B scaled by 1 / sqrt(r d)", float(scaled.std()), "<=", 10),
            Comparison("loss at the start over log V", losses[1] / uniform, "<=", 2),
        ),
        correction="corrected: the variance must fall with r and d; what was trained cannot have started at N(0, 1)",
    )
