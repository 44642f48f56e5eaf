"""Three synthetic feature sets: Gaussian with a power law, topics, heavy tails with a large mean.

Each is a function ``(rows, rows_unseen, width, vocab, seed)`` that returns the problem and, for the same full head, a
problem on contexts of the same law that were not seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from theory.frozen import FrozenProblem

Pair = tuple[FrozenProblem, FrozenProblem]


def zipf(vocab: int, exponent: float) -> np.ndarray:
    """Logits of Zipf's law."""
    return -exponent * np.log(np.arange(1.0, vocab + 1))


def gaussian(rows: int, rows_unseen: int, width: int = 32, vocab: int = 300, seed: int = 0) -> Pair:
    """Gaussian features whose standard deviations fall as ``j^-3/4``; a Gaussian head over Zipf's law."""
    rng = np.random.default_rng([seed, 0])
    W, spread = rng.standard_normal((vocab, width)), 1.5 * np.arange(1.0, width + 1) ** -0.75

    def features(count: int) -> np.ndarray:
        return rng.standard_normal((count, width)) * spread

    return pair(features, W, zipf(vocab, 1.0), (rows, rows_unseen))


def topics(rows: int, rows_unseen: int, width: int = 32, vocab: int = 300, seed: int = 0) -> Pair:
    """Twelve clusters of contexts, far apart: laws are peaked, and peaked elsewhere in each cluster."""
    rng = np.random.default_rng([seed, 1])
    centres = 1.6 * rng.standard_normal((12, width)) * np.arange(1.0, width + 1) ** -0.3
    W = 0.8 * rng.standard_normal((vocab, width))

    def features(count: int) -> np.ndarray:
        return centres[rng.integers(0, 12, count)] + 0.6 * rng.standard_normal((count, width))

    return pair(features, W, zipf(vocab, 0.7), (rows, rows_unseen))


def heavy(rows: int, rows_unseen: int, width: int = 32, vocab: int = 300, seed: int = 0) -> Pair:
    """Student-t features of five degrees of freedom, rotated, with a mean far larger than their spread."""
    rng = np.random.default_rng([seed, 2])
    spread, mean = 1.6 / np.arange(1.0, width + 1), 8 * rng.standard_normal(width)
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
    W = 0.8 * rng.standard_normal((vocab, width))

    def features(count: int) -> np.ndarray:
        scale = np.sqrt(5 / rng.chisquare(5, count))[:, None]
        return mean + (scale * rng.standard_normal((count, width)) * spread) @ turn

    return pair(features, W, zipf(vocab, 1.0) - W @ mean, (rows, rows_unseen))


def pair(features: Callable[[int], np.ndarray], W: np.ndarray, b: np.ndarray, counts: tuple[int, int]) -> Pair:
    """The problem on features seen, and that on features not seen."""
    seen, unseen = (FrozenProblem.of(features(count), W, b) for count in counts)
    return seen, unseen


SETS: dict[str, Callable[..., Pair]] = {"gaussian": gaussian, "topics": topics, "heavy": heavy}
