"""A whole floor curve: one fit per dimension, each starting from the last.

The upward sweep appends the columns that lower the gap fastest to the fit below, so the curve never rises and local
minima are avoided better than by independent starts.  Finished ranks can be kept in a ``FitStore`` and are not
fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from experiments.heads.descent import Options
from experiments.heads.fitted import Fit
from experiments.heads.lbfgs import Trace
from experiments.heads.solver import fit
from synth import ContextualDistribution
from theory import HeadSpec


class FitStore(Protocol):
    """Where finished fits are kept."""

    def load(self, spec: HeadSpec) -> Fit | None:
        """The finished fit of this class, or ``None``."""
        ...

    def save(self, fit: Fit) -> None:
        """Keep a finished fit."""
        ...


def rungs(distribution: ContextualDistribution, dims: Sequence[int], bias: bool) -> list[HeadSpec]:
    """The classes of a ladder.  ``ValueError`` unless dims are distinct, increasing and between 0 and V."""
    if not dims or list(dims) != sorted(set(dims)):
        raise ValueError(f"dims must be distinct and increasing, found {list(dims)}; sort them and drop repeats")
    specs = [HeadSpec(dim, bias) for dim in dims]
    for spec in specs:
        spec.check_against(distribution)
    return specs


def ladder(
    distribution: ContextualDistribution,
    dims: Sequence[int],
    bias: bool = False,
    options: Options | None = None,
    store: FitStore | None = None,
) -> list[Fit]:
    """Fits of dimension ``dims`` (increasing), never above the fit of a smaller dimension.

    ``store`` keeps each fit as it is done and supplies those done before.  Raises ``ValueError`` as ``rungs`` does.
    """
    return list(climb(distribution, dims, bias, options, store))


def climb(
    distribution: ContextualDistribution,
    dims: Sequence[int],
    bias: bool = False,
    options: Options | None = None,
    store: FitStore | None = None,
    watch: Callable[[int, Trace], None] | None = None,
) -> Iterator[Fit]:
    """``ladder``, one fit at a time as each is done; ``watch(dim, trace)`` sees every iteration."""
    below: Fit | None = None
    for spec in rungs(distribution, dims, bias):
        done = store.load(spec) if store is not None else None
        if done is None:
            follow = None if watch is None else partial(watch, spec.dim)
            start = () if below is None or below.dim == 0 else (below.head,)
            done = fit(distribution, spec, options, start, follow)
            if store is not None:
                store.save(done)
        below = done
        yield done
