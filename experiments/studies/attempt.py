"""One attempt at one trial, in whichever process: run it within its limits and say what became of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any

from experiments.checked import checked
from experiments.studies.grid import Trial
from experiments.studies.limits import Limits, PeakMemory, TrialTimeout, limited
from experiments.studies.store.entry import Entry, Measured, TrialStatus, plain
from experiments.studies.store.shard import worker_name
from experiments.trials import TrialKind

TRACEBACK = 8000
"""Characters of a traceback that are kept, from its end."""

RESERVED = ("key", "seed")
"""Columns of a table of records that are the store's own."""


def attempt(kind: TrialKind, trial: Trial, code: str, limits: Limits, watchdog: IO[bytes] | None = None) -> Entry:
    """Run ``trial`` and return its entry; whatever it raises, interrupts of the process excepted, is its outcome."""
    began = time.perf_counter()
    entry = Entry(trial.key, kind.name, trial.params, trial.seed, code, trial.attempt, TrialStatus.OK)
    with PeakMemory() as peak:
        try:
            with limited(limits, watchdog):
                parameters = checked(kind.parameters, trial.params, "parameters of the trial")
                records = tuple(_record(record, trial.params) for record in kind.function(parameters, trial.seed))
            entry = replace(entry, records=records)
        except TrialTimeout as why:
            entry = _failed(entry, TrialStatus.TIMEOUT, f"took longer than {limits.seconds:g} s", why)
        except MemoryError as why:
            entry = _failed(entry, TrialStatus.MEMORY, str(why) or "out of memory", why)
        except Exception as why:
            entry = _failed(entry, TrialStatus.ERROR, f"{type(why).__name__}: {why}", why)
    finished = datetime.now(UTC).isoformat(timespec="milliseconds")
    took = Measured(time.perf_counter() - began, round(peak.mebibytes, 1), finished, worker_name())
    return replace(entry, measured=took)


def _failed(entry: Entry, status: TrialStatus, error: str, why: BaseException) -> Entry:
    text = "".join(traceback.format_exception(why))
    return replace(entry, status=status, error=error, traceback=text[-TRACEBACK:])


def _record(record: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it is stored.  It may fill in a parameter that was left unset, and must not contradict one."""
    values = {str(name): value.tolist() if hasattr(value, "tolist") else value for name, value in record.items()}
    for name, value in values.items():
        if isinstance(plain(value), dict) and not isinstance(value, float):
            raise ValueError(f"field {name!r} of a record is nested; give each number a name of its own")
        if name in RESERVED or (params.get(name) is not None and params[name] != value):
            raise ValueError(f"a record holds {name!r} = {value!r}, a parameter or column of another value; rename it")
    return values
