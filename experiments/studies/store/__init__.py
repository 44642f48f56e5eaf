"""The store of a study: append-only shards, one per process, compacted to parquet; read as tables."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.studies.store.compact import compact
from experiments.studies.store.entry import Entry, Measured, TrialStatus
from experiments.studies.store.plan import Plan, load_plan
from experiments.studies.store.read import Contents, read
from experiments.studies.store.shard import Shard, StoreFull

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Contents", "Entry", "Measured", "Plan", "Shard", "Store", "StoreFull", "TrialStatus"]


class Store:
    """The results of one study in the folder ``path``.

    ``frame()`` is the table of records, ``trials()`` the table of trials; both list the trials of the last plan in its
    order, or with ``everything=True`` all the store holds (other grids, older code) by key.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def plan(self) -> Plan:
        """What was last asked for.  ``ValueError`` when the folder is not a store."""
        return load_plan(self.path)

    def read(self) -> Contents:
        """Everything in the files, as it is now; never waits for a writer."""
        return read(self.path)

    def entries(self, everything: bool = False) -> list[Entry]:
        """The entry that counts for each trial that has one."""
        plan, found = self.plan, self.read().resolved()
        if everything:
            return [found[key] for key in sorted(found)]
        return [found[key] for key in plan.keys if key in found]

    def frame(self, everything: bool = False) -> pd.DataFrame:
        """One row per record of every finished trial: ``key``, ``seed``, the parameters, then the record's fields.

        Holds nothing that was measured about the run, so it is the same, bit for bit, however the sweep was run.
        ``None`` reads as missing.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for entry in self.entries(everything):
            about = {"key": entry.key, "seed": entry.seed, **entry.params}
            rows += [about | dict(record) for record in entry.records]
        return pd.DataFrame(rows)

    def trials(self, everything: bool = False) -> pd.DataFrame:
        """One row per trial: its status, attempt, error and traceback, and what it took (seconds, memory, where)."""
        import pandas as pd

        columns = ["key", "trial", "seed", "code", "attempt", "status", "error", "traceback"]
        columns += ["seconds", "peak_mb", "finished", "worker"]
        rows = [
            {"key": entry.key, "trial": entry.trial, "seed": entry.seed, "code": entry.code, "attempt": entry.attempt}
            | {"status": str(entry.status), "error": entry.error, "traceback": entry.traceback}
            | vars(entry.measured)
            | dict(entry.params)
            for entry in self.entries(everything)
        ]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)

    def compact(self) -> None:
        """Gather the shards that nobody writes into ``trials.parquet``.  ``StoreFull`` when the disk is full."""
        compact(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store for one sweep, until the process ends at the latest.  ``ValueError`` when another holds it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            number = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as why:
            raise ValueError(f"cannot write to {self.path} ({why.strerror}); choose another --out") from why
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as why:
                raise ValueError(
                    f"another sweep is writing to {self.path}; wait for it or choose another --out"
                ) from why
            yield
        finally:
            os.close(number)
