"""A sweep from the command line, killed again and again, its disk full once, and run to the end at last."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from experiments.studies.store import Store
from experiments.studies.store.shard import SHARDS
from tests.experiments.studies.trials import NAME

ROOT = Path(__file__).resolve().parents[3]

SWEEP = """
import resource, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
size = int(sys.argv.pop(1))
if size:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from experiments.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""``rankfloor`` on a disk where no file can grow beyond a size; it hears interrupts wherever the tests run."""


@dataclass
class Ordeal:
    """A study of ``trials`` probes of ``pause`` seconds in ``folder``, and what it went through."""

    folder: Path
    trials: int
    pause: float
    jobs: int = 2
    kills: dict[str, int] = field(default_factory=lambda: {"everything": 0, "the sweep alone": 0, "between sweeps": 0})
    messages: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """Where the results are."""
        return Store(self.folder / "ordeal")

    def study(self) -> Path:
        """The file of the study."""
        path = self.folder / "ordeal.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        grid = f"x = {list(range(self.trials // 2))}\npause = {self.pause}\n"
        path.write_text(f'trial = "{NAME}"\nseeds = [0, 1]\n[grid]\n{grid}')
        return path

    def command(self, file_size: int | None = None) -> list[str]:
        """The command that is run each time."""
        arguments = ["run", str(self.study()), "--out", str(self.folder), "--jobs", str(self.jobs)]
        return [sys.executable, "-c", SWEEP, str(file_size or 0), *arguments]

    def start(self, file_size: int | None = None) -> subprocess.Popen:
        """Start the sweep; ``file_size`` is a disk on which no file has more room."""
        return subprocess.Popen(
            self.command(file_size),
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def written(self) -> int:
        """Bytes in the shards."""
        return sum(shard.stat().st_size for shard in (self.store.path / SHARDS).glob("*.jsonl") if shard.exists())

    def kill(self, moment: float, how_much: int, whole_group: bool) -> None:
        """Start the sweep and kill it so many bytes after it begins to write, and ``moment`` seconds later still."""
        before, process = self.written(), self.start()
        while process.poll() is None and self.written() < before + how_much:
            time.sleep(0.002)
        time.sleep(moment)
        what = "everything" if whole_group else "the sweep alone"
        if process.poll() is not None:
            what = "between sweeps"
        elif whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        self.kills[what] += 1
        process.communicate()

    def fill_the_disk(self, file_size: int) -> None:
        """Start the sweep where no file can grow beyond ``file_size`` bytes; keep what it says."""
        process = self.start(file_size)
        _, said = process.communicate()
        self.messages.append(f"exit {process.returncode}: {said.strip().splitlines()[-1]}")

    def finish(self) -> str:
        """Run to the end; what the command prints."""
        process = self.start()
        said, wrong = process.communicate()
        assert process.returncode == 0, wrong
        return said


def suffer(ordeal: Ordeal, kills: int, seed: int) -> str:
    """Kill the sweep at ``kills`` random moments, fill its disk half way, and finish it."""
    rng = random.Random(seed)
    for round_ in range(kills):
        if round_ == kills // 2:
            ordeal.fill_the_disk(50 * ordeal.trials)  # room for the plan, soon none for a shard
        most = 800 * ordeal.trials // (kills + 1)
        ordeal.kill(rng.uniform(0, 0.1), rng.randrange(most), whole_group=rng.random() < 0.7)
    return ordeal.finish()
