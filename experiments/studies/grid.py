"""From a study to its trials: every case with every zipped setting with every point of the grid, under every seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from experiments.studies.config import Study
from experiments.studies.store.entry import plain
from experiments.trials import TrialKind, find_trial


@dataclass(frozen=True)
class Trial:
    """One trial: every parameter resolved; ``key`` names it and the code it is to be run with."""

    key: str
    params: Mapping[str, Any]
    seed: int
    attempt: int = 1


def expand(study: Study, code: str) -> list[Trial]:
    """The trials of a study in order, seeds varying fastest.

    Raises ``ValueError`` when two are the same or when the parameters' own checks refuse a combination.
    """
    kind = find_trial(study.trial)
    trials = [
        Trial(trial_key(kind.name, params, seed, code), params, seed)
        for params in _settings(kind, study)
        for seed in study.seeds
    ]
    seen: set[str] = set()
    for trial in trials:
        if trial.key in seen:
            raise ValueError(f"the grid holds {trial.params} with seed {trial.seed} twice; drop the repeated value")
        seen.add(trial.key)
    return trials


def trial_key(kind: str, params: Mapping[str, Any], seed: int, code: str) -> str:
    """Hash of the resolved config of a trial and of the version of its code."""
    facts = json.dumps(plain({"trial": kind, "params": params, "seed": seed, "code": code}), sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:20]


def _settings(kind: TrialKind, study: Study) -> Iterator[dict[str, Any]]:
    """Every combination of values as the resolved parameters of a trial, tuples as lists."""
    groups: list[list[Mapping[str, Any]]] = [list(study.cases) or [{}]]
    for group in study.zip:
        rows = zip(*group.values(), strict=True)
        groups.append([dict(zip(group, row, strict=True)) for row in rows])
    groups += [[{name: value} for value in values] for name, values in study.grid.items()]
    for chosen in product(*groups):
        values = {name: value for part in chosen for name, value in part.items()}
        resolved = dataclasses.asdict(kind.parameters(**values))
        yield {name: list(value) if isinstance(value, tuple) else value for name, value in resolved.items()}
