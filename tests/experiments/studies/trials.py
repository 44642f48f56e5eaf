"""Trials that behave badly on demand, imported by worker processes as ``tests.experiments.studies.trials:NAME``."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.trials import trial

NAME = "tests.experiments.studies.trials:probe"

FLAGS = "RANKFLOOR_TEST_FLAGS"
"""Folder where a trial notes that it has misbehaved once."""


@dataclass(frozen=True)
class Probe:
    """What a probe does."""

    x: int = 0
    """a number to tell trials apart"""
    scale: float | None = None
    """left unset, the record fills it in"""
    pause: float = 0.0
    """seconds of sleep"""
    act: str = "work"
    """work, or how to misbehave"""
    bad: int = -1
    """the x that misbehaves"""


@trial("probe")
def probe(parameters: Probe, seed: int):
    """Numbers that are hard to store, after whatever the parameters ask for."""
    if parameters.x == parameters.bad:
        misbehave(parameters.act)
    time.sleep(parameters.pause)
    rng = np.random.default_rng([seed, parameters.x])
    M = rng.standard_normal((8, 8))
    top = np.linalg.svd(M @ M.T, compute_uv=False)[0]
    yield {"scale": 0.1, "top": top, "odd": [-0.0, 1e-320, float("inf")][parameters.x % 3], "text": 'a "é"\n'}
    yield {"scale": 0.1, "top": float("nan"), "odd": float("-inf"), "list": M[0], "none": None, "flag": np.bool_(True)}


def misbehave(act):
    """Do what the name says."""
    if act == "raise":
        raise ArithmeticError("three is a crowd")
    if act == "nested":
        raise ValueError(f"no records: {act}")
    if act == "loop":
        while True:
            np.ones(10).sum()
    if act == "swallow":
        while True:
            try:
                np.ones(10).sum()
            except Exception:
                continue
    if act == "stuck":
        sum(range(10**13))
    if act == "hog":
        np.ones((2**27, 8))
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act in ("die once", "raise once") and not flag().exists():
        flag().touch()
        misbehave(act.split()[0])


def flag():
    return Path(os.environ[FLAGS]) / "done"


@trial("contradicting")
def contradicting(parameters: Probe, seed: int):
    """A record that denies its parameter."""
    yield {"x": parameters.x + 1}


@trial("nested")
def nested(parameters: Probe, seed: int):
    """A record that is not flat."""
    yield {"inner": {"a": 1}}


@trial("unstable")
def unstable(parameters: Probe, seed: int):
    """Not determined by its parameters and seed."""
    yield {"now": time.perf_counter_ns()}
