"""Anisotropy of the states of every layer: the mean cosine of two different tokens, beside isotropic states.

The text is run in slices.  Sums of unit vectors of the slices give the anisotropy of the whole, and with one slice left
out its standard error: tokens of one passage resemble each other, and are not independent draws.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.lm.measure.row import Row
from experiments.lm.moments import LayerMoments, merge
from theory.jackknife import block_jackknife
from theory.nulls import isotropic_spread

MEASURE = "anisotropy (mean cosine)"


def anisotropy_rows(slices: Sequence[LayerMoments]) -> list[Row]:
    """One row per place in the network, in its order, from the moments of at least two slices of a text."""
    return [_row(place, slices) for place in slices[0]]


def _row(place: str, slices: Sequence[LayerMoments]) -> Row:
    whole = merge(one[place] for one in slices)
    error = block_jackknife(
        lambda kept: merge(slices[at][place] for at in kept).mean_cosine, len(slices), blocks=len(slices)
    )
    spread = isotropic_spread(whole.count - whole.zeros, len(whole.mean))
    return Row(MEASURE, place, whole.mean_cosine, float(error), 0.0, spread, "independent isotropic states")
