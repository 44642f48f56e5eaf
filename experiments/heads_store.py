"""The folder of one comparison of heads: each head written as it is finished, atomically.

``config.json`` the resolved configuration, ``mos-0004.npz`` the parts of one head, ``mos-0004.json`` its line of the
table, ``heads.parquet`` and ``heads.csv`` all lines so far; ``fit-0004.npz`` the softmax fits (``RunFolder``).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.atomic import replacing, write
from experiments.heads.alternatives import AlternativeHead, Kind, Parts


class HeadsFolder:
    """Lines and heads of one comparison under ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, head: AlternativeHead) -> None:
        """Keep a finished head."""
        parts = head.parts
        with replacing(self._stem(head.kind.name, head.dim).with_suffix(".npz")) as stream:
            np.savez(stream, allow_pickle=False, S=parts.S, Wt=parts.Wt, theta=parts.theta)

    def load(self, kind: Kind) -> AlternativeHead | None:
        """The finished head of this kind, or ``None`` when there is none or its file is damaged."""
        try:
            with np.load(self._stem(kind.name, kind.dim).with_suffix(".npz"), allow_pickle=False) as stored:
                return AlternativeHead(kind, Parts(stored["S"], stored["Wt"], stored["theta"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def record(self, line: Mapping[str, Any]) -> None:
        """Keep one line and refresh the tables."""
        import pandas as pd

        write(self._stem(line["head"], line["dim"]).with_suffix(".json"), json.dumps(line).encode())
        data = pd.DataFrame(self.records())
        with replacing(self.path / "heads.parquet") as stream:
            data.to_parquet(stream, index=False)
        write(self.path / "heads.csv", data.to_csv(index=False).encode())

    def find(self, name: str, dim: int) -> dict[str, Any] | None:
        """The line of one head, if it is finished."""
        try:
            return json.loads(self._stem(name, dim).with_suffix(".json").read_text())
        except (OSError, ValueError):
            return None

    def records(self) -> list[dict[str, Any]]:
        """All lines so far, by name and dimension."""
        return [json.loads(file.read_text()) for file in sorted(self.path.glob("*-[0-9][0-9][0-9][0-9].json"))]

    def _stem(self, name: str, dim: int) -> Path:
        return self.path / f"{name}-{dim:04d}"
