"""The studies of ``configs/`` on their small grids: every one runs, and what its header expects comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.studies.config import Workers, load_study
from experiments.studies.sweep import run
from tests.tolerances import KNOWN_FLOOR, ORDER, UNATTAINED


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The records of a study's small grid."""
    done = {}

    def records(name):
        if name not in done:
            study = load_study(Path(f"configs/{name}.toml"), small=True)
            outcome = run(replace(study, out=tmp_path_factory.mktemp("studies"), workers=Workers(jobs=1)))
            assert outcome.failed == 0
            done[name] = outcome.store.frame()
        return done[name]

    return records


@pytest.mark.parametrize("name", ["floor-by-family", "gap-exponent", "subsets-transition"])
def test_every_floor_lies_between_its_bounds(small, name):
    frame = small(name)
    assert len(frame) > 0
    assert frame["holds"].all()


def test_floors_fall_and_end_where_they_are_known_to(small):
    frame = small("floor-by-family")
    for _, curve in frame.groupby("key"):
        assert (np.diff(curve["gap"]) <= KNOWN_FLOOR).all()
    known = frame[frame["exact"].notna() & (frame["status"] == "converged")]
    assert (abs(known["gap"] - known["exact"]) <= KNOWN_FLOOR).all()
    assert (known["exact"] == 0).any()


def slopes(frame, of):
    """Slope of the logarithm of the floor against that of ``of``, for each dimension."""
    return [
        np.polyfit(np.log(curve[of].astype(float)), np.log(curve["gap"]), 1)[0] for _, curve in frame.groupby("dim")
    ]


def test_the_gap_is_second_order(small):
    """Against eps, and against the root of the tail energy that the published bound is first order in."""
    frame = small("gap-exponent").assign(root=lambda table: np.sqrt(table["tail"]))
    for of in ("eps", "root"):
        assert np.allclose(slopes(frame, of), 2.0, rtol=0, atol=ORDER)
        assert not np.allclose(slopes(frame, of), 1.0, rtol=0, atol=ORDER)


def test_the_floor_on_subsets_drops_to_zero_at_twice_their_size(small):
    frame = small("subsets-transition")
    below = frame["dim"] < 2 * frame["k"]
    assert (frame["lower"][below] > 0).all()
    assert (frame["gap"][~below] <= UNATTAINED).all()
    assert (frame["exact"][~below] == 0).all()
