"""The families of the benchmark, with their caps."""

from __future__ import annotations

import numpy as np

from experiments.heads.frozen import Labels
from experiments.lm.corpus import moby_dick, tokenize
from synth import ContextualDistribution, families
from synth._array import Array
from tests.bench.frozen_problems import FullProblem, RankProblem
from tests.bench.problems import HeadProblem, Problem
from theory import HeadSpec

BUDGETS = (250, 500, 1000)
"""Evaluations at which methods are compared where the infimum is not attained."""


def zipf() -> ContextualDistribution:
    """Power-law unigram times an interaction of rank 200."""
    return families.zipf(contexts=1000, vocab=500, rank=200, scale=2.0, seed=0)


def near_uniform() -> ContextualDistribution:
    """Independent normal logits of standard deviation 1/2."""
    return ContextualDistribution.from_logits(0.5 * np.random.default_rng(0).standard_normal((600, 300)))


def peaky() -> ContextualDistribution:
    """Logits with singular values ``900 i^-0.8`` on random orthogonal factors, centred."""
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((400, 200)))[0]
    T = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    L = (U * (900 * np.arange(1, 201) ** -0.8)) @ T.T
    return ContextualDistribution.from_logits(L - L.mean(axis=1, keepdims=True))


def trigrams() -> ContextualDistribution:
    """Moby Dick in 2,048 byte pairs, the histories of two tokens that occur at least 100 times."""
    return families.ngram(tokenize(moby_dick(), vocab=2048).tokens, order=3, vocab=2048, min_count=100)


def features(rows: int = 2000, vocab: int = 500, width: int = 128) -> tuple[Array, ContextualDistribution]:
    """Correlated features, columns of scales from 0.03 to 30 and means five times as large, and soft targets.

    The targets are Zipf's law times a head on the whitened features with weights that fall as ``j^-1/2``, plus noise on
    the logits that no head explains.
    """
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((rows, width))
    X = latent @ (np.eye(width) + 0.5 * rng.standard_normal((width, width)) / np.sqrt(width))
    scales = 10 ** rng.uniform(-1.5, 1.5, width)
    X = scales * (X + 5 * rng.standard_normal(width))
    head = rng.standard_normal((vocab, width)) * np.arange(1, width + 1) ** -0.5
    noise = 0.5 * rng.standard_normal((rows, vocab))
    logits = latent @ head.T + noise - np.log(np.arange(1, vocab + 1))
    return X, ContextualDistribution.from_logits(logits)


def labelled(rows: int = 2000, vocab: int = 500, width: int = 128) -> tuple[Array, Labels]:
    """The same features standardised, a label drawn from each target, classes that never occur left out; ridge 1/N."""
    X, distribution = features(rows, vocab, width)
    totals = np.cumsum(distribution.p, axis=1)
    drawn = np.random.default_rng(1).random((rows, 1)) * totals[:, -1:]
    _, y = np.unique(np.sum(totals < drawn, axis=1), return_inverse=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), Labels(y, ridge=1 / rows)


ZIPF = "Zipfian, rank 200, 1000 × 500"
TRIGRAMS = "Moby Dick trigrams, V = 2048"
FEATURES = "frozen features, 2000 × 128, badly scaled and off centre, V = 500"

PROBLEMS: tuple[Problem, ...] = (
    HeadProblem(name="zipf-8", sentence=f"{ZIPF}, d = 8", make=zipf, spec=HeadSpec(8)),
    HeadProblem(name="zipf-32", sentence=f"{ZIPF}, d = 32", make=zipf, spec=HeadSpec(32)),
    HeadProblem(
        name="zipf-128", sentence=f"{ZIPF}, d = 128", make=zipf, spec=HeadSpec(128), evaluations=600,
        horizons=(300, 600),
    ),
    HeadProblem(
        name="near-uniform", sentence="independent logits × 0.5, 600 × 300, d = 16", make=near_uniform,
        spec=HeadSpec(16), evaluations=1000, horizons=(300, 600, 1000),
    ),
    HeadProblem(
        name="peaky", sentence="peaky, spectrum 900 i^-0.8, 400 × 200, d = 8", make=peaky, spec=HeadSpec(8),
        tournaments=(False, True),
    ),
    RankProblem(
        name="frozen-16", sentence=f"{FEATURES}, soft targets, r = 16", make=features, rank=16, evaluations=1000,
        horizons=(300, 600, 1000),
    ),
    FullProblem(
        name="frozen-full", sentence="frozen features, 2000 × 128, standardised, hard labels, ridge 1/N, full rank",
        make=labelled, evaluations=1000, horizons=(300, 600, 1000),
    ),
    HeadProblem(
        name="trigrams", sentence=f"{TRIGRAMS}, d = 16 with bias", make=trigrams, spec=HeadSpec(16, bias=True),
        evaluations=BUDGETS[-1], seconds=120.0, horizons=BUDGETS, budgets=BUDGETS,
    ),
    HeadProblem(
        name="trigrams-64", sentence=f"{TRIGRAMS}, d = 64 with bias", make=trigrams, spec=HeadSpec(64, bias=True),
        evaluations=200, seconds=120.0, horizons=(100, 200), budgets=(100, 200),
        only=("rankfloor fit", "SciPy L-BFGS-B, whitened", "SciPy L-BFGS-B, raw", "torch Adam, tuned"),
    ),
)  # fmt: skip
