"""A sweep killed at random moments, and once without room on the disk, ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.studies.config import Workers, load_study
from experiments.studies.sweep import run
from tests.experiments.studies.killing import Ordeal, suffer
from tests.experiments.studies.sweeps import outcomes

DEEP = os.environ.get("RANKFLOOR_PROFILE") == "deep"


def same_as_undisturbed(tmp_path, trials, kills, pause):
    """The sweep that suffered holds every trial once, whole, and the numbers of one that did not."""
    calm = Ordeal(tmp_path / "calm", trials, pause=0.0, jobs=1)
    run(replace(load_study(calm.study()), out=calm.folder, workers=Workers(jobs=1)))
    ordeal = Ordeal(tmp_path / "killed", trials, pause)
    said = suffer(ordeal, kills, seed=kills)
    assert sum(ordeal.kills.values()) == kills
    assert ordeal.messages[0].startswith("exit 2: rankfloor: error: cannot write to ")
    assert "nothing was kept of the trial that was to be written" in ordeal.messages[0]
    assert f"{trials:,} planned: {trials:,} done, 0 failed, 0 missing" in said
    contents = ordeal.store.read()
    assert (contents.damaged, contents.contradictions()) == (0, [])
    assert max(Counter(entry.key for entry in contents.entries).values()) == 1
    assert len(contents.entries) == trials
    assert [(seed, params["x"], content) for _, seed, params, content in outcomes(ordeal.store)] == [
        (seed, params["x"], content) for _, seed, params, content in outcomes(calm.store)
    ]
    return True


def test_killed_at_random_moments(tmp_path):
    assert same_as_undisturbed(tmp_path, trials=160, kills=3, pause=0.02)


@pytest.mark.deep
@pytest.mark.skipif(not DEEP, reason="takes minutes; run with make deep")
def test_killed_at_fifty_random_moments(tmp_path):
    assert same_as_undisturbed(tmp_path, trials=2000, kills=50, pause=0.02)


def test_workers_end_with_a_sweep_that_is_killed(tmp_path):
    """Its end is all they hear: they finish nothing, and nobody waits for them."""
    ordeal = Ordeal(tmp_path, trials=8, pause=1000.0)
    process = ordeal.start()
    while ordeal.written() == 0 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    deadline = time.monotonic() + 20
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(process.pid) == []
    process.communicate()


def alive(group):
    """Processes of a group that are not merely waiting to be reaped."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, rest = path.read_text().rsplit(") ", 1)
            found += [name] if int(rest.split()[2]) == group and rest[0] != "Z" else []
    return found


def test_an_interrupt_stops_at_once_and_loses_nothing(tmp_path):
    """Ctrl-C reaches the whole process group; workers are gone afterwards and say nothing."""
    ordeal = Ordeal(tmp_path, trials=200, pause=0.05)
    process = ordeal.start()
    while ordeal.written() < 2000 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(said.strip().splitlines()) == 1
    assert said.startswith("rankfloor: stopped; ")
    deadline = time.monotonic() + 20
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(process.pid) == []
    contents = ordeal.store.read()
    assert contents.damaged == 0
    assert 0 < len(contents.entries) < 200


def test_a_worker_interrupted_while_it_starts_says_nothing():
    """Between its start and its first trial an interrupt finds the worker in its initializer."""
    code = (
        "import os, threading\n"
        "from experiments.studies.batch import end_with\n"
        "def interrupted(self):\n"
        "    raise KeyboardInterrupt\n"
        "threading.Thread.start = interrupted\n"
        "end_with(os.getppid())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
