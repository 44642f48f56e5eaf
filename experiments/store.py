"""The folder of one run: each rank written as it is finished, atomically, so that nothing is lost when a run dies.

``config.json`` the resolved configuration and provenance, ``fit-0032.npz`` the head and fit of dimension 32,
``record-0032.json`` the line of the table, ``floor.parquet`` all lines so far, ``complete`` once nothing is left to do.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.atomic import replacing, write
from experiments.heads.fitted import Fit, FitStatus
from synth._array import Array, like, to_numpy
from theory import Head, HeadSpec

NUMBERS = ("gap", "loss", "certified_excess", "decrement", "evaluations", "seconds", "trend", "starts", "spread")
"""Fields of a fit stored as numbers; ``start`` and ``metric`` are stored as text."""


class RunFolder:
    """Results of one run under ``path``; implements ``FitStore``.  ``reference`` fixes the array library of heads."""

    def __init__(self, path: Path, reference: Array) -> None:
        self.path, self.reference = path, reference

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write ``config.json``.  Raises ``ValueError`` where the folder cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write(self.path / "config.json", json.dumps(facts, indent=2, default=str).encode())
        except OSError as error:
            raise ValueError(f"cannot write to {self.path} ({error.strerror}); choose another --out") from error

    # ------------------------------------------------------------------ fits

    def _fit_path(self, dim: int) -> Path:
        return self.path / f"fit-{dim:04d}.npz"

    def save(self, fit: Fit) -> None:
        """Keep a finished fit with its head."""
        arrays = {"H": to_numpy(fit.head.H), "W": to_numpy(fit.head.W)}
        if fit.head.b is not None:
            arrays["b"] = to_numpy(fit.head.b)
        facts = {name: getattr(fit, name) for name in NUMBERS}
        facts |= {"start": fit.start, "metric": fit.metric, "status": fit.status.name, "spec": _spec(fit.spec)}
        target = self._fit_path(fit.dim)
        with replacing(target) as stream:
            np.savez(stream, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)

    def load(self, spec: HeadSpec) -> Fit | None:
        """The finished fit of this class, or ``None`` when there is none or its file is damaged."""
        try:
            with self._fit_path(spec.dim).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                facts = json.loads(str(stored["facts"]))
                if facts.pop("spec") != _spec(spec):
                    return None
                bias = like(stored["b"], self.reference) if "b" in stored else None
                head = Head(like(stored["H"], self.reference), like(stored["W"], self.reference), bias)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        return Fit(spec=spec, head=head, status=FitStatus[facts.pop("status")], **facts)

    @property
    def complete(self) -> bool:
        """Whether both sweeps of the ladder have been finished."""
        return (self.path / "complete").exists()

    def finish(self) -> None:
        """Note that both sweeps are finished."""
        write(self.path / "complete", b"")

    # ------------------------------------------------------------------ records

    def record(self, line: Mapping[str, Any]) -> None:
        """Keep one line of the table and refresh ``floor.parquet``."""
        write(self.path / f"record-{line['dim']:04d}.json", json.dumps(line).encode())
        self.compact()

    def records(self) -> list[dict[str, Any]]:
        """All lines so far, by dimension."""
        return [json.loads(file.read_text()) for file in sorted(self.path.glob("record-*.json"))]

    def compact(self) -> None:
        """Write every line so far to ``floor.parquet``."""
        import pandas as pd

        with replacing(self.path / "floor.parquet") as stream:
            pd.DataFrame(self.records()).to_parquet(stream, index=False)


def _spec(spec: HeadSpec) -> dict[str, Any]:
    return dataclasses.asdict(spec)
