"""One line of the store: what became of one attempt at one trial.

A line is JSON with its own checksum at the end, ``...,"crc":"1a2b3c4d"}``: a line that was cut short or damaged is
told apart from a whole one.  Floats are written by ``repr`` and come back bit for bit; ``{"float": "inf"}`` stands for
what JSON has no number for.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class TrialStatus(Enum):
    """How an attempt at a trial ended; each member explains itself."""

    OK = "ok: finished, its records are in the store"
    ERROR = "error: raised an exception"
    TIMEOUT = "timeout: took longer than the limit on seconds"
    MEMORY = "memory: asked for more than the limit on memory, or than there was"
    LOST = "lost: its worker process died twice, the second time with nothing else in flight"

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Measured:
    """What the run of a trial took.  No part of a result: it differs from one run to the next."""

    seconds: float = 0.0
    peak_mb: float = 0.0
    finished: str = ""
    worker: str = ""


@dataclass(frozen=True)
class Entry:
    """One attempt at a trial: its resolved config and code version, how it ended, its records or its traceback."""

    key: str
    trial: str
    params: Mapping[str, Any]
    seed: int
    code: str
    attempt: int
    status: TrialStatus
    records: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    traceback: str = ""
    measured: Measured = field(default_factory=Measured)

    @property
    def ok(self) -> bool:
        """Whether the trial finished."""
        return self.status is TrialStatus.OK

    @property
    def content(self) -> str:
        """Canonical text of everything that must be the same whenever this attempt is made again."""
        return json.dumps(plain([str(self.status), self.records, self.error]), sort_keys=True)


def encode(entry: Entry) -> bytes:
    """The line of an entry, with its newline."""
    return seal(vars(entry) | {"status": str(entry.status), "measured": vars(entry.measured)})


def decode(line: bytes) -> Entry | dict[str, Any]:
    """The entry of a line, or the mapping that a line of another kind holds.  ``ValueError`` for a damaged one."""
    facts = unseal(line)
    if "status" not in facts:
        return facts
    measured, status, records = Measured(**facts.pop("measured")), facts.pop("status"), tuple(facts.pop("records"))
    return Entry(**facts, status=TrialStatus[status.upper()], records=records, measured=measured)


def seal(facts: Mapping[str, Any]) -> bytes:
    """A mapping as one line of JSON that ends with its checksum."""
    text = json.dumps(plain(facts), allow_nan=False, separators=(",", ":"))[:-1].encode()
    return b'%s,"crc":"%08x"}\n' % (text, zlib.crc32(text))


def unseal(line: bytes) -> dict[str, Any]:
    """The mapping of a sealed line.  ``ValueError`` unless the line is whole and its checksum right."""
    text, mark, crc = line.rpartition(b',"crc":"')
    if not mark or crc != b'%08x"}\n' % zlib.crc32(text):
        raise ValueError("the line is cut short or damaged")
    return json.loads(text + b"}", object_hook=_float)


def plain(value: Any) -> Any:
    """``value`` in JSON's own types, floats that JSON lacks as ``{"float": name}``.  ``ValueError`` for other types."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise ValueError(f"cannot store {value!r} ({type(value).__name__}); use numbers, strings, booleans, None or lists")


def _float(found: dict[str, Any]) -> Any:
    return float(found["float"]) if set(found) == {"float"} else found
