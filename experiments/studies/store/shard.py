"""Where one process writes: a file of its own, appended to line by line, each line on disk before the next trial.

Lines that follow one another within ``TOGETHER`` seconds go to disk together: a line is lost to a power cut only if it
was written in the last moment before it, and to the end of the process never.
The file is locked while it is written, so that nobody removes it; readers never wait.  When a line does not fit on the
disk the file is cut back to the end of the line before, and ``StoreFull`` is raised: the trial is recorded nowhere.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

from experiments.studies.store.entry import Entry, encode, seal

SHARDS = "shards"
"""Folder of the shards inside a store."""


TOGETHER = 0.05
"""Seconds within which lines share one ``fsync``; whoever leaves the shard has all of its lines on disk."""


class StoreFull(Exception):
    """A line could not be written; what is in the store is whole."""


@cache
def _token(pid: int) -> str:
    """A name no other process has, also where process ids come round again."""
    return f"{socket.gethostname()}-{pid}-{secrets.token_hex(4)}"


def worker_name() -> str:
    """The name under which this process writes."""
    return _token(os.getpid())


class Shard:
    """The file of this process in the store at ``folder``; enter it to write."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SHARDS / f"{worker_name()}.jsonl"

    def __enter__(self) -> Shard:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            while os.fstat(self.number).st_nlink == 0:  # compacted and removed between open and lock
                os.close(self.number)
                self._open()
            self._end_line()
            self.safe, self.synced = os.fstat(self.number).st_size, time.monotonic()
        except OSError as why:
            raise StoreFull(_explain(self.path, why)) from why
        return self

    def _open(self) -> None:
        self.number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(self.number, fcntl.LOCK_EX)

    def _end_line(self) -> None:
        """Close a line that an earlier failure left half-written, so that the next one stands alone."""
        size = os.fstat(self.number).st_size
        if size and os.pread(self.number, 1, size - 1) != b"\n":
            self._write(b"\n")

    def __exit__(self, *_: object) -> None:
        try:
            self._guarded(self._sync)
        finally:
            os.close(self.number)

    def start(self, key: str, run: str) -> None:
        """Note that an attempt at ``key`` begins in the run named ``run`` (survives this process, not a power cut)."""
        self._guarded(lambda: self._write(seal({"start": key, "run": run})))

    def append(self, entry: Entry) -> None:
        """Keep an entry; ``StoreFull`` when it cannot be."""
        self._guarded(lambda: self._write(encode(entry)))
        if time.monotonic() - self.synced > TOGETHER:
            self._guarded(self._sync)

    def _sync(self) -> None:
        size = os.fstat(self.number).st_size
        if size > self.safe:
            os.fsync(self.number)
        self.safe, self.synced = size, time.monotonic()

    def _guarded(self, step: Callable[[], None]) -> None:
        """Take a step; where it fails, cut the file back to what is whole (or surely on disk)."""
        before = os.fstat(self.number).st_size if step != self._sync else self.safe
        try:
            step()
        except OSError as why:
            with suppress(OSError):
                os.ftruncate(self.number, before)
            raise StoreFull(_explain(self.path, why)) from why

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.number, data) :]


def _explain(path: Path, why: OSError) -> str:
    return (
        f"cannot write to {path} ({why.strerror}); nothing was kept of the trial that was to be written, all others "
        "are whole: make room and run the same command again"
    )


def last_words(shard: Path) -> Path:
    """Where the watchdog of the process that writes ``shard`` says where a trial was stuck."""
    return shard.with_suffix(".stuck")


def open_last_words(shard: Path) -> IO[bytes]:
    """The file of :func:`last_words`, empty."""
    return last_words(shard).open("wb")
