"""The benchmark of sweeps runs on a few trials; nothing is timed against a limit."""

from __future__ import annotations

from experiments.studies.config import Workers
from tests.bench.sweep import disk, overhead


def test_overhead_of_a_few_trials(tmp_path):
    row = overhead(30, Workers(jobs=1), tmp_path)
    assert row.startswith("| 30 | this process | ")
    assert row.endswith(" for 30 rows |")


def test_the_disk_is_measured(tmp_path):
    assert disk(tmp_path, times=2) > 0
