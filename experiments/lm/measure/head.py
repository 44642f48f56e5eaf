"""Spectra of a head, and of the logits it makes of the states of a text, each beside a Gaussian head.

Four matrices, in the notation of ``docs/notation.md`` with Σ the second moment of the states, K their covariance:

    W                 the head as stored;
    J W               centred over tokens, as softmax sees it: a vector added to every row changes no probability;
    J W Σ^{1/2}       on the data: its singular values times √N are those of the logits A J, gauge removed;
    J W K^{1/2}       those of the logits less their mean over contexts, Q A J: what a bias cannot express.

The null of the first two is a Gaussian matrix of equal shape; of the others a Gaussian head of equal shape on the same
states, so that what the states alone bring about is not taken for a property of the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments.lm.measure.row import NONE, Row
from theory import spectrum
from theory.jackknife import block_jackknife
from theory.nulls import gaussian_spectra, marchenko_pastur
from theory.triangle import triangle

DRAWS = 20
"""Draws of each null spectrum."""

RAW, CENTRED, DATA, LOGITS = "head W", "centred J W", "on data J W Σ^½", "logits Q A J"
"""Names of the four matrices."""

GAUSSIAN = "Gaussian head"
SAME_STATES = "Gaussian head, same states"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of one matrix, draws of its null scaled to the same energy, and errors over the text.

    ``sigma`` (k,) decreasing, ``null`` (draws, k), ``flat`` (k,) the Marchenko-Pastur quantiles of equal energy,
    ``errors`` the standard error of each measure, empty where the matrix does not depend on the text.
    """

    name: str
    sigma: np.ndarray
    null: np.ndarray
    null_is: str
    flat: np.ndarray
    errors: dict[str, float]


def tail_exponent(sigma: np.ndarray) -> float:
    """Exponent of ``sigma_i ~ i^-a`` between the first sixteenth and the first half of the spectrum."""
    return spectrum.tail_exponent(sigma[: max(len(sigma) // 2, 2)], skip=len(sigma) // 16)


def dims_for(share: float) -> Callable[[np.ndarray], float]:
    """The least dimension that holds ``share`` of the energy."""
    return lambda sigma: float(np.argmax(spectrum.w_error(sigma) ** 2 <= 1 - share))


MEASURES: dict[str, Callable[[np.ndarray], float]] = {
    "largest singular value": lambda sigma: float(sigma[0]),
    "least singular value": lambda sigma: float(sigma[-1]),
    "singular entropy of σ (nats)": spectrum.singular_entropy,
    "singular entropy of σ² (nats)": spectrum.energy_entropy,
    "effective rank exp H(σ)": spectrum.entropy_rank,
    "stable rank": spectrum.stable_rank,
    "participation ratio of σ²": spectrum.participation_ratio,
    "tail exponent, i = d/16 to d/2": tail_exponent,
    "dimensions for 90 % of ‖·‖²": dims_for(0.9),
    "dimensions for 99 % of ‖·‖²": dims_for(0.99),
}
"""What is read off a spectrum; entropies are divergences from the uniform law (``theory.spectrum``)."""


def head_spectra(W: np.ndarray, X: np.ndarray | None, seed: int = 0) -> list[Spectrum]:
    """Spectra of W (V, D) float and, given states X (N, D) in the order of the text, of what it makes of them.

    Raises ``ValueError`` for numbers that are not finite.  Cost: O(V D^2 + N D^2) and a few dozen O(D^3).
    """
    V, D = W.shape
    centred = triangle(W, W.mean(axis=0, dtype=np.float64))
    found = [
        _spectrum(RAW, _values(triangle(W)), (V, D), np.eye(D), seed),
        _spectrum(CENTRED, _values(centred), (V - 1, D), np.eye(D), seed),
    ]
    if X is None:
        return found
    for name, less_mean in ((DATA, False), (LOGITS, True)):
        root = _root(X, less_mean)
        own = _spectrum(name, _values(centred @ root), (V - 1, D), root, seed)
        found.append(_with_errors(own, centred, X, less_mean))
    return found


def rows(spectra: list[Spectrum]) -> list[Row]:
    """Every measure of every spectrum beside its null."""
    return [
        Row(
            measure, one.name, f(one.sigma), one.errors.get(measure, NONE),
            float(np.mean([f(draw) for draw in one.null])), float(np.std([f(draw) for draw in one.null], ddof=1)),
            one.null_is,
        )
        for one in spectra
        for measure, f in MEASURES.items()
    ]  # fmt: skip


def _spectrum(name: str, sigma: np.ndarray, shape: tuple[int, int], through: np.ndarray, seed: int) -> Spectrum:
    norm, k = float(np.linalg.norm(sigma)), len(sigma)
    drawn = norm * gaussian_spectra(shape[0], through, DRAWS, seed)[:, :k]
    null_is = GAUSSIAN if name in (RAW, CENTRED) else SAME_STATES
    return Spectrum(name, sigma, drawn, null_is, marchenko_pastur((shape[0], k), norm**2), {})


def _with_errors(own: Spectrum, centred: np.ndarray, X: np.ndarray, less_mean: bool) -> Spectrum:
    """Standard errors over blocks of text."""

    def measured(kept: np.ndarray) -> np.ndarray:
        sigma = _values(centred @ _root(X[kept], less_mean))
        return np.array([f(sigma) for f in MEASURES.values()])

    errors = block_jackknife(measured, len(X))
    return Spectrum(
        own.name, own.sigma, own.null, own.null_is, own.flat, dict(zip(MEASURES, map(float, errors), strict=True))
    )


def _root(X: np.ndarray, less_mean: bool) -> np.ndarray:
    """S (D, D) with ``S S' = X'X / N``, about the mean of X if asked for."""
    R = triangle(X, X.mean(axis=0, dtype=np.float64) if less_mean else None) / np.sqrt(len(X))
    S = np.zeros((X.shape[1], X.shape[1]))
    S[:, : len(R)] = R.T
    return S


def _values(M: np.ndarray) -> np.ndarray:
    """Singular values that are not rounding, decreasing."""
    sigma = np.linalg.svd(M, compute_uv=False)
    return sigma[: max(1, spectrum.numerical_rank(sigma, M.shape))]
