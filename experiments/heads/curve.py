"""A whole floor curve: one fit per dimension, up and then down the ladder, each helped by its neighbour.

Going up, columns that lower the gap fastest are appended to the fit below, so the curve never rises.  Going down, the
fit above is cut to its leading directions and taken where it is ahead: on peaky laws this finds lower minima, on benign
ones it costs a probe.  Finished ranks can be kept in a ``FitStore`` and are not fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from experiments.heads.descent import Options
from experiments.heads.fitted import Fit
from experiments.heads.lbfgs import Trace
from experiments.heads.solver import fit, refit
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

    @property
    def complete(self) -> bool:
        """Whether both sweeps have been finished."""
        ...

    def finish(self) -> None:
        """Note that both sweeps are finished."""
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
    """Fits of dimension ``dims`` (increasing), never above the fit of a smaller dimension nor above ``fit`` alone.

    ``store`` keeps each fit as it is done and supplies those done before.  Raises ``ValueError`` as ``rungs`` does.
    """
    fits = {done.dim: done for done in climb(distribution, dims, bias, options, store)}
    fits |= {lower.dim: lower for lower in come_down(distribution, list(fits.values()), options, store)}
    return list(fits.values())


def climb(
    distribution: ContextualDistribution,
    dims: Sequence[int],
    bias: bool = False,
    options: Options | None = None,
    store: FitStore | None = None,
    watch: Callable[[int, Trace], None] | None = None,
) -> Iterator[Fit]:
    """The upward sweep, one fit at a time as each is done; ``watch(dim, trace)`` sees every iteration."""
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


def come_down(
    distribution: ContextualDistribution,
    fits: Sequence[Fit],
    options: Options | None = None,
    store: FitStore | None = None,
    watch: Callable[[int, Trace], None] | None = None,
) -> Iterator[Fit]:
    """The downward sweep over increasing ``fits``: yields, as it is done, every fit that it tried to lower.

    Tables with zeros are left alone: a head whose logits have diverged saturates when it is cut.
    """
    if distribution.is_positive and not (store is not None and store.complete):
        above: Fit | None = None
        for incumbent in reversed([fitted for fitted in fits if fitted.dim > 0]):
            best = incumbent
            if above is not None and incumbent.gap > (options or Options()).tolerance:
                follow = None if watch is None else partial(watch, incumbent.dim)
                best = refit(distribution, incumbent, above.head, options, follow)
                if store is not None:
                    store.save(best)
                yield best
            above = best
    if store is not None:
        store.finish()
