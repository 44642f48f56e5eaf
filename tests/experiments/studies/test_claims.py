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


FLOORS = ["floor-by-family", "gap-exponent", "subsets-transition", "near-unigram-exactness", "spectrum-scaling"]


@pytest.mark.parametrize("name", [*FLOORS, "certificate-map", "rank-or-budget"])
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


def test_near_the_unigram_law_the_prediction_is_the_floor(small):
    frame = small("near-unigram-exactness")
    ratio = frame["gap"] / frame["predicted"]
    near, far = frame["eps"] == frame["eps"].min(), frame["eps"] == frame["eps"].max()
    assert near.any()
    assert (abs(ratio[near] - 1) <= 0.01).all()
    assert (abs(ratio[far] - 1) > 0.01).any()


def test_the_spectrum_decides_and_the_size_does_not(small):
    frame = small("spectrum-scaling")
    share = (frame["gap"] / frame["information"]).to_numpy()
    for dim in (1, 2):
        at = (frame["dim"] == dim).to_numpy()
        slow, steep = (share[at & (frame["decay"] == decay).to_numpy()] for decay in (0.5, 1.0))
        assert len(slow) == 3
        assert slow.max() / slow.min() < 1.25
        assert steep.max() < slow.min()


def test_certificates_are_verified_and_meet_the_fit_where_logits_are_small(small):
    frame = small("certificate-map").set_index(["scale", "dim"])
    assert frame["verified"].all()
    assert (frame["ratio"][frame["in_class"]] >= 1 - 1e-9).all()
    assert frame.loc[(0.3, 1), "globally_optimal"]
    assert frame.loc[(1.0, 1), "ratio"] > frame.loc[(0.3, 1), "ratio"]


def test_more_one_hot_rows_come_closer_to_their_null(small):
    frame = small("werror-nulls")
    frame = frame[frame["dim"] > 0].assign(apart=lambda table: abs(table["upper"] - table["zipf"]))
    by = frame.groupby("order").agg(one_hot=("one_hot", "first"), apart=("apart", "max"))
    assert by.loc[3, "one_hot"] > by.loc[2, "one_hot"]
    assert by.loc[3, "apart"] < by.loc[2, "apart"] / 3


def test_below_twice_the_size_the_rank_binds_at_any_range(small):
    frame = small("rank-or-budget")
    wide = frame[frame["logit_range"] == frame["logit_range"].max()]
    below = wide["dim"] < 2 * wide["k"]
    assert (wide["binds"][below] == "rank").all()
    assert (wide["lower"][~below] < wide["lower"][below].min()).all()


def test_all_heads_are_exact_at_the_rank_and_none_is_above_softmax(small):
    frame = small("head-kinds")
    assert set(frame["head"]) == {"softmax", "mos"}
    assert (frame["gap"] <= frame["softmax_gap"] + KNOWN_FLOOR).all()
    at = frame["dim"] == frame["rank"]
    assert (frame["gap"][at] <= KNOWN_FLOOR).all()
    assert (frame["gap"][~at] > KNOWN_FLOOR).all()


def test_the_sign_of_the_scaling_gap_depends_on_the_count(small):
    frame = small("paper-scaling")
    means = frame[~frame["fitted"].astype(bool)].groupby("convention")["gap"].mean()
    assert means["total"] == pytest.approx(0.08, rel=0, abs=0.01)
    assert means["non-embedding"] == pytest.approx(-0.05, rel=0, abs=0.01)
