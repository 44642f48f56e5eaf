"""A study: the kind of its trials, a grid of their parameters, seeds, limits, and who does the work.

One TOML file per claim, in ``configs/``; its header says the question, the command, the cost and the expected number.
In ``[grid]`` a value of a parameter's own type is fixed and a list of such values is varied, every list against every
other.  Each ``[[zip]]`` holds lists of equal length that vary together; each ``[[cases]]`` is one setting of several
parameters.  ``[small]`` holds what to replace for a quick run of the same study.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from experiments.checked import checked, convert, known, read_toml
from experiments.studies.limits import Limits
from experiments.trials import find_trial

Axis = tuple[Any, ...]
"""The values that one parameter takes."""


@dataclass(frozen=True)
class Workers:
    """Who does the work.  None of this changes a result."""

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes on this machine; 1 is this process itself."""
    threads: int = 1
    """Threads of linear algebra per worker; results are the same bits only for the same number."""
    scheduler: str | None = None
    """Address of a Dask scheduler, tcp://host:port, whose workers (one thread each) see the store's folder."""
    local_cluster: int | None = None
    """Start a Dask cluster of so many workers on this machine."""

    def __post_init__(self) -> None:
        for name in ("jobs", "threads", "local_cluster"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value}; raise it or leave it out")
        if self.scheduler is not None and self.local_cluster is not None:
            raise ValueError("both a scheduler and a local cluster given; choose one")


@dataclass(frozen=True)
class Study:
    """A study as resolved: every parameter's values checked against the trial kind ``trial``."""

    name: str
    trial: str
    grid: Mapping[str, Axis] = field(default_factory=dict)
    zip: tuple[Mapping[str, Axis], ...] = ()
    cases: tuple[Mapping[str, Any], ...] = ()
    seeds: tuple[int, ...] = (0,)
    limits: Limits = field(default_factory=Limits)
    workers: Workers = field(default_factory=Workers)
    out: Path = Path("runs")

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name:
            raise ValueError(f"name must be a plain file name, found {self.name!r}; choose another")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or not all(0 <= s < 2**63 for s in self.seeds):
            raise ValueError(f"seeds must be distinct integers >= 0, at least one, found {list(self.seeds)}")
        empty = [name for name, values in self.grid.items() if not values]
        if empty:
            raise ValueError(f"grid.{empty[0]} has no values; give one or leave it out")
        for group in self.zip:
            if len({len(values) for values in group.values()}) != 1:
                sizes = ", ".join(f"{name} {len(values)}" for name, values in group.items()) or "nothing"
                raise ValueError(f"lists of a [[zip]] must have the same length, found {sizes}")
        places = [set(self.grid), *map(set, self.zip), {name for case in self.cases for name in case}]
        twice = [name for name in set().union(*places) if sum(name in place for place in places) > 1]
        if twice:
            raise ValueError(f"parameter {min(twice)!r} is set in more than one of grid, zip and cases; keep one")

    @property
    def folder(self) -> Path:
        """Where the study's store is."""
        return self.out / self.name


SECTIONS = ("grid", "zip", "cases")


def load_study(path: Path, small: bool = False) -> Study:
    """The study of a TOML file, with ``[small]`` laid over it and ``-small`` added to its name when asked for.

    ``ValueError`` for an unreadable file, an unknown key or parameter (the nearest one is named) or a wrong type.
    """
    document = read_toml(path)
    replaced = document.pop("small", None)
    if small:
        if not isinstance(replaced, dict):
            raise ValueError(f"{path} has no section [small]; run it without --small")
        document = _laid_over(document, replaced) | {"name": f"{document.get('name', path.stem)}-small"}
    return study_of({"name": path.stem} | document, str(path))


def _laid_over(document: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: document[key] | value for key, value in top.items() if isinstance(document.get(key), dict)}
    return {**document, **top, **both}


def study_of(document: Mapping[str, Any], where: str) -> Study:
    """A study from plain values, as a TOML file or a store holds them."""
    if "trial" not in document:
        known("trial", document, where)
    hints = get_type_hints(find_trial(convert(str, document["trial"], f"{where}: trial")).parameters)
    plain = {key: value for key, value in document.items() if key not in SECTIONS}
    study = checked(Study, plain, where)
    grid = _table(document.get("grid", {}), f"{where} [grid]")
    groups, cases = (_tables(document.get(name, []), f"{where} [[{name}]]") for name in ("zip", "cases"))
    return dataclasses.replace(
        study,
        grid={name: axis(hints, name, value, f"{where} [grid]") for name, value in grid.items()},
        zip=tuple(
            {name: axis(hints, name, value, f"{where} [[zip]]") for name, value in group.items()} for group in groups
        ),
        cases=tuple(
            {
                name: convert(hints[known(name, hints, f"{where} [[cases]]")], value, f"{where} [[cases]]: {name}")
                for name, value in case.items()
            }
            for case in cases
        ),
    )


def axis(hints: Mapping[str, Any], name: str, value: Any, where: str) -> Axis:
    """The values of one parameter: one of its own type, or a list of several."""
    kind = hints[known(name, hints, where)]
    if not isinstance(value, list | tuple):
        return (convert(kind, value, f"{where}: {name}"),)
    if is_list(kind) and not any(isinstance(item, list | tuple) for item in value):
        return (convert(kind, value, f"{where}: {name}"),)
    return tuple(convert(kind, item, f"{where}: {name}") for item in value)


def is_list(kind: Any) -> bool:
    """Whether a parameter of this type holds several values itself."""
    return any(get_origin(option) is tuple for option in (kind, *getattr(kind, "__args__", ())))


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a section of parameters, found {value!r}")
    return value


def _tables(value: Any, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where} must be a list of sections, found {value!r}; write double brackets")
    return [_table(item, where) for item in value]
