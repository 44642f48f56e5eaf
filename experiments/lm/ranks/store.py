"""Results of a rank sweep on disk: a file for each rank and sample as soon as it is done, and all of them as tables.

``N00002000-r0064.json`` holds one rank on a sample of 2000 contexts; ``curve.parquet`` has a line for each of them,
``heads.parquet`` one for each of their heads.  A file made under other settings is not read, but made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.atomic import replacing, write


class SweepFolder:
    """The folder of one sweep; ``settings`` are the facts that its numbers depend on."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.key = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write ``config.json``.  Raises ``ValueError`` where the folder cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write(self.path / "config.json", json.dumps(facts, indent=1, default=str).encode())
        except OSError as error:
            raise ValueError(f"cannot write to {self.path} ({error.strerror}); choose another --out") from error

    def _place(self, contexts: int, rank: int) -> Path:
        return self.path / f"N{contexts:08d}-r{rank:04d}.json"

    def record(self, curve: Mapping[str, Any], heads: list[dict[str, Any]]) -> None:
        """Keep one rank on one sample and refresh the tables."""
        place = self._place(curve["contexts"], curve["rank"])
        write(place, json.dumps({"key": self.key, "curve": curve, "heads": heads}).encode())
        self.compact()

    def has(self, contexts: int, rank: int) -> bool:
        """Whether this rank on this sample is done, under the same settings."""
        return self._read(self._place(contexts, rank)) is not None

    def _read(self, place: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(place.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("key") == self.key else None

    def records(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Lines of the curve, and of the heads, by sample and rank."""
        found = [record for place in sorted(self.path.glob("N*-r*.json")) if (record := self._read(place))]
        return [record["curve"] for record in found], [line for record in found for line in record["heads"]]

    def compact(self) -> None:
        """Write ``curve.parquet`` and ``heads.parquet`` from the records."""
        import pandas as pd

        for name, lines in zip(("curve", "heads"), self.records(), strict=True):
            with replacing(self.path / f"{name}.parquet") as stream:
                pd.DataFrame(lines).to_parquet(stream, index=False)
