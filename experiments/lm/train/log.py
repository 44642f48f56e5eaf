"""Results as they come: one JSON line each, appended and on disk before anything else happens.

A line that a killed process left half-written is recognised by its missing end and dropped; everything before it stays.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Log:
    """The file ``path`` of JSON lines; opening it removes a half-written last line.

    Raises ``ValueError`` for a complete line that is not a JSON object: no crash of this program leaves one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = path.read_bytes() if path.exists() else b""
        kept = whole[: whole.rfind(b"\n") + 1]
        self.rows = [_parse(line, number, path) for number, line in enumerate(kept.splitlines(), 1)]
        if len(kept) < len(whole):
            with path.open("r+b") as file:
                file.truncate(len(kept))
                os.fsync(file.fileno())

    def append(self, row: dict[str, Any]) -> None:
        """Write one row and wait until it is on disk."""
        with self.path.open("ab") as file:
            file.write(json.dumps(row, allow_nan=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows.append(row)


def _parse(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}, line {number}, is damaged ({error}); delete that line to measure it again"
        ) from error
    if not isinstance(row, dict):
        raise ValueError(f"{path}, line {number}, is not a JSON object; delete that line to measure it again")
    return row
