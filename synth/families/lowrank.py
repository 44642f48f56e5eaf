"""Exact logit rank with a chosen spectrum: the family on which "rank" means one thing only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synth import spectra
from synth._check import generator, integer, plain, positive
from synth.distribution import ContextualDistribution
from synth.known import Known


def low_rank(  # noqa: PLR0913
    contexts: int = 60,
    vocab: int = 40,
    rank: int = 8,
    *,
    spectrum: str | Sequence[float] = "power_law",
    scale: float = 1.0,
    centred: bool = False,
    seed: int = 0,
) -> ContextualDistribution:
    """``P = softmax(scale sqrt(C V) U diag(s) T')`` with random orthonormal U (C, rank) and T (V, rank), 1'T = 0.

    ``s`` is a profile of ``synth.spectra`` by name, or ``rank`` positive numbers (rescaled to unit root-sum-square),
    so the root-mean-square logit is ``scale``.  Contexts weigh the same.  The columns of T sum to zero, hence
    ``rank(L J) = rank``.  A bias saves a dimension only when U spans the all-ones vector, which a random U does
    (with probability one) just for ``rank = C``; ``centred`` makes U orthogonal to it, so that no bias ever helps.
    Known: ``logit_rank``, ``bias_rank``.

    Raises ``ValueError`` for ``rank`` above ``min(C, V - 1)`` (``min(C - 1, V - 1)`` if centred), and for a spectrum
    whose smallest value would drown in rounding, since the stated rank could not be seen.
    """
    parameters = plain(locals())
    integer("contexts", contexts, 1 + int(centred))
    integer("vocab", vocab, 2)
    most = min(contexts - int(centred), vocab - 1)
    integer("rank", rank, 1, most, "the logits of so many contexts and tokens have no higher centred rank")
    values = _spectrum(spectrum, rank, max(contexts, vocab))
    rng = generator(seed)
    U = _orthonormal(rng, contexts, rank, centred)
    T = _orthonormal(rng, vocab, rank, centred=True)
    logits = (U * (positive("scale", scale) * np.sqrt(contexts * vocab) * values)) @ T.T
    if not isinstance(spectrum, str):
        parameters["spectrum"] = tuple(float(value) for value in spectrum)
    known = Known("low_rank", parameters, logit_rank=rank, bias_rank=min(rank, contexts - 1))
    return ContextualDistribution.from_logits(logits, known=known)


def _orthonormal(rng: np.random.Generator, size: int, rank: int, centred: bool) -> np.ndarray:
    """Random orthonormal columns (size, rank), orthogonal to the all-ones vector if ``centred``."""
    G = rng.standard_normal((size, rank))
    return np.linalg.qr(G - G.mean(axis=0) if centred else G)[0]


def _spectrum(spectrum: str | Sequence[float], rank: int, size: int) -> np.ndarray:
    values = spectra.profile(spectrum, rank) if isinstance(spectrum, str) else np.asarray(spectrum, dtype=np.float64)
    if values.shape != (rank,) or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError(
            f"spectrum must name a profile or hold {rank} finite numbers > 0, found {spectrum!r}; "
            f"choose one of {', '.join(spectra.catalogue)} or match its length to rank"
        )
    visible = 1e3 * float(np.finfo(np.float64).eps) * size
    if values.min() < visible * values.max():
        raise ValueError(
            f"the smallest singular value is {values.min() / values.max():.1e} of the largest, below the {visible:.1e} "
            "that rounding leaves visible; lower the rank or choose a slower decay"
        )
    return values / np.linalg.norm(values)
