"""The folder of one run: each rank written as it is finished, atomically, so that nothing is lost when a run dies.

``config.json`` the resolved configuration and provenance, ``fit-0032.npz`` the head and fit of dimension 32,
``limited-0032.npz`` and ``certificate-0032.npz`` those of a limited class, ``record-0032.json`` the line of the table,
``floor.parquet`` all lines so far, ``complete`` once both sweeps are done.
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
from theory import Bound, Head, HeadSpec, Side
from theory.bound import Status
from theory.certificate import Effort

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

    def _fit_path(self, spec: HeadSpec) -> Path:
        return self.path / f"{'fit' if spec.is_unbounded else 'limited'}-{spec.dim:04d}.npz"

    def save(self, fit: Fit) -> None:
        """Keep a finished fit with its head."""
        arrays = {"H": to_numpy(fit.head.H), "W": to_numpy(fit.head.W)}
        if fit.head.b is not None:
            arrays["b"] = to_numpy(fit.head.b)
        facts = {name: getattr(fit, name) for name in NUMBERS}
        facts |= {"start": fit.start, "metric": fit.metric, "status": fit.status.name, "spec": _spec(fit.spec)}
        target = self._fit_path(fit.spec)
        with replacing(target) as stream:
            np.savez(stream, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)

    def load(self, spec: HeadSpec) -> Fit | None:
        """The finished fit of this class, or ``None`` when there is none or its file is damaged."""
        try:
            with self._fit_path(spec).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
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

    # ------------------------------------------------------------------ certificates

    def _certificate_path(self, spec: HeadSpec) -> Path:
        return self.path / f"certificate-{spec.dim:04d}.npz"

    def save_certificate(self, spec: HeadSpec, effort: Effort, bound: Bound) -> None:
        """Keep a lower bound on the floor of ``spec``, with what re-checks it."""
        arrays = {name: part for name, part in bound.certificate.items() if np.ndim(part) > 0}
        plain = {name: part for name, part in bound.certificate.items() if name not in arrays}
        facts = {"of": _sought(spec, effort), "value": bound.value, "name": bound.name, "status": bound.status.name}
        facts |= {"reason": bound.reason, "plain": plain}
        with replacing(self._certificate_path(spec)) as stream:
            np.savez(stream, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)

    def load_certificate(self, spec: HeadSpec, effort: Effort) -> Bound | None:
        """The bound of this class found with this effort, or ``None`` when there is none or its file is damaged."""
        try:
            with self._certificate_path(spec).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                facts = json.loads(str(stored["facts"]))
                if facts["of"] != _sought(spec, effort):
                    return None
                certificate = facts["plain"] | {name: stored[name] for name in stored.files if name != "facts"}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        status = Status[facts["status"]]
        return Bound(facts["value"], facts["name"], Side.LOWER, status, None, certificate, facts["reason"])

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


def _sought(spec: HeadSpec, effort: Effort) -> dict[str, Any]:
    """What a certificate depends on beside the table, as JSON gives it back."""
    return dict(json.loads(json.dumps({"spec": _spec(spec), "effort": dataclasses.asdict(effort)})))
