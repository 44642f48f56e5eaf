"""Run a study: expand it, leave out what the store has, hand the rest to a pool, see to the trials that kill workers.

A trial belongs to one worker from beginning to end, so a rank ladder stays where it began.  Nothing is decided by the
order in which trials end.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.provenance import provenance
from experiments.studies.batch import Batch, Report, Task
from experiments.studies.code import code_version
from experiments.studies.config import Study, Workers, study_of
from experiments.studies.grid import Trial, expand, trial_key
from experiments.studies.pools import AHEAD, Pool, WorkerLost, pool, width
from experiments.studies.progress import SweepProgress
from experiments.studies.store import Entry, Plan, Shard, Store, StoreFull, TrialStatus
from experiments.trials import find_trial

SLICE = 0.5
"""Seconds of work that a batch of short trials is to hold: what is lost to handing it out is then small."""

LARGEST = 200
"""Trials in a batch at most."""


@dataclass(frozen=True)
class Outcome:
    """A finished sweep: its store, and how many trials were planned, run now, and failed in all."""

    store: Store
    planned: int
    run: int
    failed: int
    seconds: float


def run(study: Study) -> Outcome:
    """Every trial of ``study`` that its store does not have.

    Raises ``ValueError`` for bad input, before anything is written, and when the disk is full: what was done is kept
    and the same call goes on.  A ``KeyboardInterrupt`` passes through in the same state.
    """
    code = code_version(study.trial)
    trials = expand(study, code)
    store = Store(study.folder)
    with store.locked():
        found = store.read().resolved()
        _plan(study, code, [trial.key for trial in trials]).save(store.path)
        return _sweep(study, code, store, [trial for trial in trials if trial.key not in found])


def retry(folder: Path, workers: Workers) -> Outcome:
    """The failed trials of a store once more, with the code as it is now; raises as ``run`` does.

    A trial whose code has changed since it failed is a new trial: it takes the failed one's place in the plan.
    """
    store = Store(folder)
    plan = store.plan
    study = replace(study_of(plan.study, str(folder)), out=folder.parent, workers=workers)
    kind, code = find_trial(study.trial).name, code_version(study.trial)
    with store.locked():
        found, places, again = store.read().resolved(), {}, []
        for key in plan.keys:
            if key in found and not found[key].ok:
                failed = found[key]
                new = trial_key(kind, failed.params, failed.seed, code)
                last = found.get(new)
                places[key] = new
                if last is None or not last.ok:
                    again.append(Trial(new, failed.params, failed.seed, 1 if last is None else last.attempt + 1))
        _plan(study, plan.code, [places.get(key, key) for key in plan.keys]).save(folder)
        return _sweep(study, code, store, again)


def _plan(study: Study, code: str, keys: Sequence[str]) -> Plan:
    about = dataclasses.asdict(study) | {"out": str(study.out)}
    return Plan(about, code, provenance(), tuple(keys))


def _sweep(study: Study, code: str, store: Store, trials: Sequence[Trial]) -> Outcome:
    began, planned = time.monotonic(), len(store.plan.keys)
    workers = study.workers
    here = workers.jobs == 1 and workers.scheduler is None and workers.local_cluster is None
    task = Task(
        trial=study.trial,
        code=code,
        store=str(store.path.absolute()),
        run=secrets.token_hex(4),
        limits=study.limits,
        threads=workers.threads,
        apart=not here,
    )
    progress = SweepProgress(study.name, planned, planned - len(trials))
    try:
        if trials:
            with pool(workers) as chosen:
                _Sweep(store, task, chosen, width(workers), progress).finish(trials)
        store.compact()
    except StoreFull as why:
        raise ValueError(str(why)) from why
    finally:
        progress.close()
    failed = sum(not entry.ok for entry in store.entries())
    return Outcome(store, planned, len(trials), failed, time.monotonic() - began)


@dataclass(frozen=True)
class _Sweep:
    """A sweep under way."""

    store: Store
    task: Task
    pool: Pool
    workers: int
    progress: SweepProgress

    def finish(self, trials: Sequence[Trial]) -> None:
        """Run the trials.  Whatever was in flight when a worker died runs once more, alone: so the guilty are found."""
        waiting = list(trials)
        while waiting:
            try:
                self._pass(waiting)
                waiting = self._missing(waiting)
            except WorkerLost:
                waiting = self._after_a_loss(waiting)

    def _pass(self, trials: Sequence[Trial]) -> None:
        dealer = Dealer(self.task, trials, self.workers)
        for report in self.pool(iter(dealer)):
            dealer.learn(report)
            self.progress.add(report)
            if report.stopped:
                raise StoreFull(report.stopped)

    def _missing(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those without an entry of their attempt."""
        ended = {(entry.key, entry.attempt) for entry in self.store.read().entries}
        return [trial for trial in trials if (trial.key, trial.attempt) not in ended]

    def _after_a_loss(self, trials: Sequence[Trial]) -> list[Trial]:
        """See to the trials that were in flight, one by one; return what is left of ``trials``."""
        for trial in self._in_flight(trials):
            if self._note_if_stuck(trial):
                continue
            try:
                self._pass([trial])
            except WorkerLost:
                if not self._note_if_stuck(trial):
                    self._note(trial, TrialStatus.LOST, "its worker process died, and again when it ran alone", "")
        return self._missing(trials)

    def _in_flight(self, trials: Sequence[Trial]) -> list[Trial]:
        began = self.store.read().started
        return [trial for trial in self._missing(trials) if (trial.key, self.task.run) in began]

    def _note_if_stuck(self, trial: Trial) -> bool:
        """Record a trial at which the watchdog ended a worker."""
        words = self.store.read().last_words(trial.key, self.task.run)
        if words:
            limit = self.task.limits.seconds
            self._note(trial, TrialStatus.TIMEOUT, f"took longer than {limit:g} s inside one compiled call", words)
        return bool(words)

    def _note(self, trial: Trial, status: TrialStatus, error: str, traceback: str) -> None:
        kind, task = find_trial(self.task.trial).name, self.task
        entry = Entry(trial.key, kind, trial.params, trial.seed, task.code, trial.attempt, status, (), error, traceback)
        with Shard(self.store.path) as shard:
            shard.append(entry)


class Dealer:
    """Hands out trials in batches: single ones at first, then as many as fill a slice of time, fewer near the end."""

    def __init__(self, task: Task, trials: Sequence[Trial], workers: int) -> None:
        self.task, self.waiting, self.workers = task, deque(trials), workers
        self.ended, self.seconds = 0, 0.0
        self.lock = threading.Lock()  # joblib asks for batches from threads of its own

    def learn(self, report: Report) -> None:
        """Take account of how long a batch took."""
        with self.lock:
            self.ended += report.counts.total()
            self.seconds += report.seconds

    def size(self) -> int:
        """Trials in the next batch."""
        fits = SLICE * self.ended / self.seconds if self.seconds > 0 else 1
        share = len(self.waiting) / (AHEAD * self.workers)
        return max(1, min(int(fits), int(share), LARGEST))

    def __iter__(self) -> Iterator[Batch]:
        while self.waiting:
            with self.lock:
                size = self.size()
                batch = tuple(self.waiting.popleft() for _ in range(size))
            yield Batch(self.task, batch)
