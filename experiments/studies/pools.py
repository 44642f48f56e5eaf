"""Who works: this process, processes of this machine (joblib), or a cluster (Dask).

A pool takes batches as it needs them and yields their reports in the order in which they end.  It raises
``WorkerLost`` when a worker process died, and is then over; what was written is in the store.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from experiments.studies.batch import Batch, Report, end_with, work
from experiments.studies.config import Workers

Pool = Callable[[Iterator[Batch]], Iterator[Report]]

AHEAD = 2
"""Batches handed out per worker at any time: one at work and one waiting."""


class WorkerLost(Exception):
    """A worker process died."""


@contextmanager
def pool(workers: Workers) -> Iterator[Pool]:
    """The pool that ``workers`` describes.  ``ValueError`` when it needs a package that is not installed."""
    if workers.scheduler is not None or workers.local_cluster is not None:
        with _client(workers) as client:
            yield lambda batches: _on_dask(client, batches)
    elif workers.jobs == 1:
        yield lambda batches: map(work, batches)
    else:
        _need("joblib")
        yield lambda batches: _on_joblib(workers, batches)


def width(workers: Workers) -> int:
    """How many workers there will be, as far as that is known beforehand."""
    return workers.local_cluster or (workers.jobs if workers.scheduler is None else 8)


def _need(package: str) -> Any:
    """The module, or a ``ValueError`` that says how to get it."""
    try:
        return import_module(package)
    except ImportError as why:
        raise ValueError(
            f"{package} is not installed; pip install 'rankfloor[cluster]', or work in one process with --jobs 1"
        ) from why


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes and threads started inside never hear Ctrl-C, so that the sweep alone decides how to stop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _on_joblib(workers: Workers, batches: Iterator[Batch]) -> Iterator[Report]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with parallel_config("loky", inner_max_num_threads=workers.threads, initializer=end_with, initargs=(os.getpid(),)):
        parallel = Parallel(
            workers.jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=AHEAD * workers.jobs,
            max_nbytes=None,
        )
        with _interrupts_held():
            reports = parallel(delayed(work)(batch) for batch in batches)
        try:
            yield from reports
        except TerminatedWorkerError as why:
            raise WorkerLost(str(why)) from why
        finally:
            with suppress(TerminatedWorkerError):
                reports.close()
            get_reusable_executor(max_workers=workers.jobs).shutdown(wait=True, kill_workers=True)


@contextmanager
def _client(workers: Workers) -> Iterator[Any]:
    distributed = _need("distributed")
    if workers.scheduler is not None:
        try:
            client = distributed.Client(workers.scheduler, timeout=10)
        except OSError as why:
            raise ValueError(f"no Dask scheduler answers at {workers.scheduler} ({why}); check the address") from why
        with client:
            yield client
        return
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    pinned = dict.fromkeys(names, str(workers.threads))
    with _interrupts_held():
        cluster = distributed.LocalCluster(
            n_workers=workers.local_cluster,
            threads_per_worker=1,
            dashboard_address=None,
            env=os.environ | pinned,
            memory_limit=0,
        )
    with cluster, distributed.Client(cluster) as client:
        yield client


def _on_dask(client: Any, batches: Iterator[Batch]) -> Iterator[Report]:
    distributed = _need("distributed")

    def submit(batch: Batch) -> Any:
        return client.submit(work, batch, pure=False)

    room = AHEAD * max(1, sum(client.nthreads().values()))
    working = distributed.as_completed([submit(batch) for batch, _ in zip(batches, range(room), strict=False)])
    try:
        for future in working:
            yield future.result()
            future.release()
            following = next(batches, None)
            if following is not None:
                working.add(submit(following))
    except distributed.KilledWorker as why:
        raise WorkerLost(str(why)) from why
    finally:
        client.cancel(list(working.futures))
