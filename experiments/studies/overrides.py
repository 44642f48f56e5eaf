"""The command line of one study: every value of its file as a typed flag, the parameters of its trial kind included."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from experiments.studies.config import Study, Workers, is_list
from experiments.studies.limits import Limits
from experiments.trials import find_trial


def overridden(study: Study, arguments: Sequence[str]) -> Study:
    """``study`` with the flags in ``arguments`` laid over it.

    ``--grid.NAME VALUE ...`` sets a parameter wherever the file sets it.  An unknown flag or a wrong type ends the
    command with exit code 2 and the nearest flags, as everywhere on the command line.
    """
    hints = get_type_hints(find_trial(study.trial).parameters)
    given = _flags(hints, study)
    chosen = tyro.cli(type(given), args=arguments, default=given, prog="rankfloor run STUDY.toml")
    before, after = _values(given.grid), _values(chosen.grid)
    changed = {name for name in hints if after[name] != before[name]}
    grid = {
        name: (after[name],) if is_list(hints[name]) and name in changed else after[name]
        for name in hints
        if after[name] is not None and name in changed
    }
    kept = {name: values for name, values in study.grid.items() if name not in changed}
    return replace(
        study,
        grid=kept | grid,
        zip=tuple(filter(None, (_without(group, changed) for group in study.zip))),
        cases=tuple(_distinct([_without(case, changed) for case in study.cases])),
        **{part.name: getattr(chosen, part.name) for part in dataclasses.fields(chosen) if part.name != "grid"},
    )


def _flags(hints: dict[str, Any], study: Study) -> Any:
    """An instance of a dataclass with a flag for every value; parameters that the grid does not set are ``None``."""
    fields = []
    for name, kind in hints.items():
        values = study.grid.get(name)
        if is_list(kind):
            shown = values[0] if values is not None and len(values) == 1 else None
            fields.append((name, kind | None, field(default=shown)))
        else:
            fields.append((name, _several(kind) | None, field(default=values)))
    grid = make_dataclass("Grid", fields, frozen=True)
    bare = tyro.conf.arg(name="")
    whole = make_dataclass(
        "Run",
        [
            ("grid", grid, field(default_factory=grid)),
            ("seeds", tuple[int, ...], study.seeds),
            ("limits", Annotated[Limits, bare], field(default=study.limits)),
            ("workers", Annotated[Workers, bare], field(default=study.workers)),
            ("name", str, study.name),
            ("out", Path, study.out),
        ],
        frozen=True,
    )
    whole.__doc__ = f"Run the study {study.name}: trials of the kind {study.trial!r}.  Flags override its file."
    return whole()


def _values(grid: Any) -> dict[str, Any]:
    return {part.name: getattr(grid, part.name) for part in dataclasses.fields(grid)}


def _without(group: Any, names: set[str]) -> dict[str, Any]:
    return {name: values for name, values in group.items() if name not in names}


def _distinct(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cases that differ in nothing but an overridden parameter are one case."""
    return [case for place, case in enumerate(cases) if case not in cases[:place]]


def _several(kind: Any) -> Any:
    """The type of a tuple of any length of ``kind``."""
    return tuple.__class_getitem__((kind, ...))
