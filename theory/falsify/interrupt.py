"""An interrupt that is not lost.

Hypothesis watches the garbage collector.  What is raised while the collector calls somebody back is ignored, a
``KeyboardInterrupt`` too: a hunt interrupted there would go on as if nothing had happened.
"""

from __future__ import annotations

import gc
import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """While entered, remembers an interrupt that came where an exception would be ignored.

    ``check`` raises it, and so does leaving.  Does nothing outside the main thread, and where the program handles
    interrupts in a way of its own.
    """

    def __init__(self) -> None:
        self._waiting = self._ours = False

    def check(self) -> None:
        """Raise the ``KeyboardInterrupt`` that waits, if one does."""
        if self._waiting:
            self._waiting = False
            raise KeyboardInterrupt

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        self._ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.check()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if _ignored(frame):
            self._waiting = True
        else:
            raise KeyboardInterrupt


def _ignored(frame: FrameType | None) -> bool:
    """Whether the garbage collector is calling somebody back."""
    callbacks: list[Any] = gc.callbacks
    codes = [getattr(callback, "__code__", None) for callback in callbacks]
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False
