"""Many shards into one parquet file: written whole and put in place before the shards it covers are removed.

Shards that a living process holds are read but stay.  A crash at any moment leaves an entry in the old file, the new
one or both, never in none.  The column ``line`` is the entry itself, sealed; the others are there to be looked at.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from experiments.atomic import replacing
from experiments.studies.store.entry import encode, plain
from experiments.studies.store.read import COMPACTED, read
from experiments.studies.store.shard import SHARDS, StoreFull, last_words


def compact(folder: Path) -> None:
    """Write ``trials.parquet`` anew from everything in the store at ``folder``, then remove the shards it covers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = [
        (path, number) for path in sorted((folder / SHARDS).glob("*.jsonl")) if (number := _claim(path)) is not None
    ]
    try:
        entries = read(folder).entries
        columns = {
            "key": [entry.key for entry in entries],
            "trial": [entry.trial for entry in entries],
            "params": [json.dumps(plain(entry.params)) for entry in entries],
            "seed": [entry.seed for entry in entries],
            "code": [entry.code for entry in entries],
            "attempt": [entry.attempt for entry in entries],
            "status": [str(entry.status) for entry in entries],
            "seconds": [entry.measured.seconds for entry in entries],
            "line": pa.array([encode(entry) for entry in entries], type=pa.binary()),
        }
        with replacing(folder / COMPACTED) as stream:
            pq.write_table(pa.table(columns), stream, compression="zstd")
        for path, _ in held:
            path.unlink(missing_ok=True)
            last_words(path).unlink(missing_ok=True)
    except OSError as why:
        raise StoreFull(
            f"cannot write {folder / COMPACTED} ({why}); the shards are whole, make room and retry"
        ) from why
    finally:
        for _, number in held:
            os.close(number)


def _claim(path: Path) -> int | None:
    """An open, locked descriptor of a shard that nobody writes, or ``None``."""
    try:
        number = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    return number
