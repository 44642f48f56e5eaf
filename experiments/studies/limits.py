"""What one trial may take, and how that is enforced.

*Time.*  When ``seconds`` have passed, ``TrialTimeout`` is raised inside the trial, between two steps of the
interpreter.  A trial that sits in one call into compiled code does not hear it; in a worker process a watchdog outside
the interpreter then ends the process after ``grace(seconds)`` more, having written down where the trial was.  In the
main process (``--jobs 1``) there is no such watchdog: the call is left to return.

*Memory.*  While a trial runs, the process may allocate ``memory_mb`` beyond what it held (``RLIMIT_DATA``: heap and
anonymous mappings, which is where arrays live; mapped files and libraries do not count).  A larger allocation is a
``MemoryError``.  Linux only; elsewhere memory is not limited.
"""

from __future__ import annotations

import ctypes
import faulthandler
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Limits:
    """What one trial may take; a trial beyond it is recorded as failed."""

    seconds: float | None = None
    """Time of one trial; unlimited unless given."""
    memory_mb: int | None = None
    """Memory one trial may allocate, MiB; unlimited unless given."""

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"seconds must be > 0, found {self.seconds}; raise it or leave it out")
        if self.memory_mb is not None and self.memory_mb < 1:
            raise ValueError(f"memory_mb must be at least 1, found {self.memory_mb}; raise it or leave it out")


class TrialTimeout(BaseException):
    """Raised inside a trial whose time is over; no ``except Exception`` of the trial's can swallow it."""


def grace(seconds: float) -> float:
    """Seconds after the time limit at which the process itself is ended."""
    return 1.0 + seconds / 4


@contextmanager
def limited(limits: Limits, watchdog: IO[bytes] | None = None) -> Iterator[None]:
    """Enforce ``limits`` on the block, in whichever thread runs it; ``watchdog`` is where it may say its last words."""
    with _memory_limit(limits.memory_mb):
        if limits.seconds is None:
            yield
            return
        if watchdog is not None:
            faulthandler.dump_traceback_later(limits.seconds + grace(limits.seconds), exit=True, file=watchdog.fileno())
        try:
            with _Alarm(limits.seconds):
                yield
        finally:
            if watchdog is not None:
                faulthandler.cancel_dump_traceback_later()


class _Alarm:
    """Raises ``TrialTimeout`` in the thread that entered it, and never after it was left."""

    def __init__(self, seconds: float) -> None:
        self.timer = threading.Timer(seconds, self._ring)
        self.timer.daemon = True
        self.lock = threading.Lock()
        self.over = self.rung = False

    def __enter__(self) -> None:
        self.thread = ctypes.c_ulong(threading.get_ident())
        self.timer.start()

    def _ring(self) -> None:
        with self.lock:
            if not self.over:
                self.rung = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self.thread, ctypes.py_object(TrialTimeout))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.timer.cancel()
        with self.lock:
            self.over = True
            if self.rung and kind is not TrialTimeout:  # raised but not delivered yet: take it back
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self.thread, None)


@contextmanager
def _memory_limit(mebibytes: int | None) -> Iterator[None]:
    if mebibytes is None or not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _status_kib("VmData") * 2**10 + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class PeakMemory:
    """Largest resident memory of the process while entered, MiB (whole process; on Linux since entry)."""

    mebibytes: float = 0.0

    def __enter__(self) -> PeakMemory:
        if sys.platform.startswith("linux"):
            with suppress(OSError):  # not permitted in some containers: then the peak counts from the process's start
                Path("/proc/self/clear_refs").write_text("5")
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform.startswith("linux"):
            self.mebibytes = _status_kib("VmHWM") / 2**10
        else:
            import resource

            scale = 2**20 if sys.platform == "darwin" else 2**10
            self.mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _status_kib(field: str) -> int:
    """A line of ``/proc/self/status``, KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0
