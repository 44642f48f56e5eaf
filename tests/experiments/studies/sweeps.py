"""Small studies of probes, and what must be the same of two sweeps."""

from __future__ import annotations

from pathlib import Path

from experiments.studies.config import Study, Workers
from tests.experiments.studies.trials import NAME


def probes(out, workers=None, size=12, seeds=(0, 1), **changes):
    """A study of ``size`` probes under every seed."""
    grid = {"x": tuple(range(size))} | {
        name: (changes.pop(name),) for name in ("act", "bad", "pause") if name in changes
    }
    changes = {"name": "probes", "trial": NAME} | changes
    return Study(grid=grid, seeds=seeds, workers=workers or Workers(jobs=1), out=Path(out), **changes)


def outcomes(store):
    """Everything of a store that must not depend on how the sweep was run, in canonical text: bit for bit."""
    return [(entry.key, entry.seed, dict(entry.params), entry.content) for entry in store.entries()]
