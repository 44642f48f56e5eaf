"""The demonstration: three worlds in which every kind of answer occurs.

A Zipfian law with low-rank interactions (smooth floors between bounds), all 2-subsets of 12 tokens (the floor drops to
exactly zero at d = 4) and Moby Dick trigrams (real text: zeros everywhere, infima not attained).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.config import FloorConfig, load_config

NAMES = ("zipf", "two-subsets", "moby-dick")


def configurations(out: Path) -> list[FloorConfig]:
    """The three configurations of ``configs/demo``, writing under ``out``."""
    folder = Path(__file__).resolve().parent.parent / "configs" / "demo"
    return [replace(load_config(folder / f"{name}.toml"), out=out) for name in NAMES]
