"""The GPU benchmark works before it meets a GPU: with NumPy as the card, at small sizes; it says when there is none."""

from __future__ import annotations

import time

import pytest

from tests.bench import gpu
from tests.bench.cards import Host, cards

SMALL = gpu.Sizes(contexts=40, vocab=60, dim=4, chunk=8, square=16, copied=2**10, share=4)


def test_every_measurement_gives_its_lines():
    lines = list(gpu.measure(Host(), SMALL, time.perf_counter() + 10 * gpu.LIMIT))
    told = [what.split(":")[0].split(",")[0] for what, _, _ in lines]
    assert told == [
        *["dense", "sparse"] * 2,
        *["ceiling"] * 3,
        *["evaluation", f"the same on {gpu.threads()} CPU threads (from 10 contexts)"] * 2,
        *["residual"] * 4,
    ]
    errors = [float(value) for what, value, _ in lines[:4]]
    assert max(errors) <= 1e-10
    page = gpu.page([(Host.name, lines)], 1.0)
    assert all(f"| {what} | {value} | {asked} |" in page for what, value, asked in lines)


def test_what_comes_too_late_is_left_out():
    assert list(gpu.measure(Host(), SMALL, time.perf_counter())) == [
        ("the measurements that follow", "left out: no time", "")
    ]


def test_without_a_device_it_says_so(tmp_path, capsys):
    if list(cards()):
        pytest.skip("there is a CUDA device: run make bench-gpu")
    gpu.main(["--out", str(tmp_path)])
    assert "No CUDA device" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
