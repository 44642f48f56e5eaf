"""What travels to a worker and what it does there: a few trials, one after another, each written as it is done."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from experiments.studies.attempt import attempt
from experiments.studies.code import code_version
from experiments.studies.grid import Trial
from experiments.studies.limits import Limits
from experiments.studies.store.shard import Shard, StoreFull, last_words, open_last_words
from experiments.trials import find_trial


@dataclass(frozen=True)
class Task:
    """What all batches of a run share.

    ``apart`` says that the work is done in another process than the sweep's, which the watchdog may end.
    """

    trial: str
    code: str
    store: str
    run: str
    limits: Limits
    threads: int
    apart: bool


@dataclass(frozen=True)
class Batch:
    """Some trials of a task."""

    task: Task
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Report:
    """What became of a batch: how many trials ended in each status, the seconds it took, and why it stopped early."""

    counts: Counter[str]
    seconds: float
    stopped: str = ""


_ONE_AT_A_TIME = threading.Lock()
"""Limits, threads and the shard belong to the process, so a process runs one batch at a time."""


def work(batch: Batch) -> Report:
    """Run the trials of a batch in this process.  Stops, without an exception, when the store cannot be written."""
    began, counts, task = time.perf_counter(), Counter[str](), batch.task
    with _ONE_AT_A_TIME:
        if code_version(task.trial) != task.code:
            return Report(counts, 0.0, "the code changed while the sweep ran, or differs on a worker: run it again")
        kind = find_trial(task.trial)
        try:
            with ExitStack() as stack:
                shard = stack.enter_context(Shard(Path(task.store)))
                watchdog = stack.enter_context(_watchdog(shard, task))
                stack.enter_context(_pinned(task.threads))
                for trial in batch.trials:
                    shard.start(trial.key, task.run)
                    entry = attempt(kind, trial, task.code, task.limits, watchdog)
                    shard.append(entry)
                    counts[str(entry.status)] += 1
        except StoreFull as why:
            return Report(counts, time.perf_counter() - began, str(why))
    return Report(counts, time.perf_counter() - began)


def end_with(parent: int) -> None:
    """Make this worker process end when ``parent``, which started it, does: nobody would wait for its work.

    An interrupt that reaches the worker here, before it has any, ends it without a word.
    """

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    try:
        threading.Thread(target=follow, daemon=True).start()
    except KeyboardInterrupt:
        os._exit(1)


@contextmanager
def _watchdog(shard: Shard, task: Task) -> Iterator[IO[bytes] | None]:
    """The file for the last words of this process while it works on a batch; none where no watchdog may end it."""
    if not task.apart or task.limits.seconds is None:
        yield None
        return
    try:
        with open_last_words(shard.path) as stream:
            yield stream
    except OSError as why:
        raise StoreFull(f"cannot write beside {shard.path} ({why.strerror}); make room and run again") from why
    last_words(shard.path).unlink(missing_ok=True)


@cache
def _controller() -> Any:
    """The linear algebra libraries of this process, found once: looking for them takes milliseconds."""
    import scipy.linalg  # noqa: F401  (its library is to be found too)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _pinned(threads: int) -> AbstractContextManager[Any]:
    """So many threads of linear algebra while entered."""
    return _controller().limit(limits=threads)
