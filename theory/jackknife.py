"""Standard errors of statistics of a text, whose neighbouring tokens are not independent: the block jackknife.

The N tokens are cut into B contiguous blocks and the statistic is computed B times with one block left out:

    se^2 = (B - 1) / B * sum_b (theta_(-b) - mean theta_(-b))^2                                     (Quenouille, Tukey)

For a mean over blocks of equal size it is the usual standard error of the B block means.  Dependence inside a block is
accounted for; between blocks it is taken to be absent.  With few blocks it is itself uncertain, by ``1 / sqrt(2 B)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synth._check import integer

BLOCKS = 8
"""Blocks unless told otherwise."""


def block_jackknife(
    statistic: Callable[[np.ndarray], np.ndarray | float], count: int, blocks: int = BLOCKS
) -> np.ndarray:
    """Standard error of ``statistic``, a number or an array, of ``count`` items in order.

    ``statistic(kept)`` computes it from the items whose numbers are in ``kept``, increasing.  Raises ``ValueError`` for
    fewer than two blocks or more blocks than items.  Cost: ``blocks`` evaluations.

    >>> data = np.array([1.0, 2.0, 4.0])
    >>> error = block_jackknife(lambda kept: data[kept].mean(), 3, blocks=3)
    >>> round(float(error) ** 2, 6)  # their variance 7/3, over 3
    0.777778
    """
    integer("blocks", blocks, 2, count, "a block holds at least one item")
    cuts = np.array_split(np.arange(count), blocks)
    left = np.stack([np.asarray(statistic(np.concatenate(cuts[:b] + cuts[b + 1 :]))) for b in range(blocks)])
    return np.sqrt((blocks - 1) / blocks * np.sum((left - left.mean(axis=0)) ** 2, axis=0))
