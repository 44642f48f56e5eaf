"""Claims on the rank of log P: what dimension a softmax head needs.

Yang, Dai, Salakhutdinov and Cohen (2018): softmax ignores a constant per row, so the rank of ``log P`` and the least
rank of a matrix of logits for P differ by at most one.  Taking the constant out (``L J``) gives that least rank.
"""

from __future__ import annotations

import numpy as np

from synth import families
from theory.bound import catalogue
from theory.gallery.published import Comparison, Finding, published
from theory.head import HeadSpec

PAPER = "Yang, Dai, Salakhutdinov and Cohen 2018"
RANKS = (1, 3, 6)


def _laws(rank: int) -> tuple[np.ndarray, float, float]:
    """``log P`` of a law of centred rank ``rank``, the gap of a head of that dimension, a floor one dimension below."""
    distribution = families.low_rank(contexts=20, vocab=12, rank=rank, scale=0.2, spectrum="flat")
    gap = catalogue["plug-in-svd"](distribution, HeadSpec(rank)).value
    floor = catalogue["majorization"](distribution, HeadSpec(rank - 1)).value
    return np.asarray(distribution.log_p), gap, floor


@published(
    "rank-of-log-p",
    f"{PAPER}, section 2.2, where the rank of log P is taken for the dimension needed",
    "a head of dimension d expresses P exactly if and only if d >= rank(log P)",
)
def rank_of_log_p() -> Finding:
    """Laws of known centred rank 1, 3, 6: the uncentred rank is one more, yet one dimension less is exact."""
    laws = [_laws(rank) for rank in RANKS]
    uncentred = [int(np.linalg.matrix_rank(L)) for L, _, _ in laws]
    centred = [int(np.linalg.matrix_rank(L - L.mean(axis=1, keepdims=True))) for L, _, _ in laws]
    needed = min(rank - found for rank, found in zip(RANKS, uncentred, strict=True))
    return Finding(
        as_written=(
            Comparison("(dimension of an exact head) - rank(log P)", needed, ">=", 0),
            Comparison("largest gap at d = rank(log P) - 1, nats", max(gap for _, gap, _ in laws), ">", 1e-12),
        ),
        corrected=(
            Comparison("largest |rank(L J) - dimension of the exact head|",
                       max(abs(a - b) for a, b in zip(centred, RANKS, strict=True)), "<=", 0),
            Comparison("largest gap at d = rank(L J), nats", max(gap for _, gap, _ in laws), "<=", 1e-12),
            Comparison("least proved floor at d = rank(L J) - 1, nats", min(floor for _, _, floor in laws), ">", 0),
        ),
        correction="corrected (bound full-rank): d >= rank(L J), log P with the mean over tokens taken out of each row",
    )  # fmt: skip


@published("yang-corollary-1", f"{PAPER}, Corollary 1", "a head of dimension d < rank(log P) - 1 cannot express P")
def corollary_1() -> Finding:
    """Proved floors two dimensions below the rank of log P."""
    floors = []
    for rank in RANKS:
        L, _, floor = _laws(rank)
        floors.append(floor if rank - 1 < np.linalg.matrix_rank(L) - 1 else np.nan)
    return Finding(
        as_written=(Comparison("least proved floor at d = rank(log P) - 2, nats", float(np.min(floors)), ">", 0),)
    )
