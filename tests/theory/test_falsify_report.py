"""A counterexample outlives the hunt: its file rebuilds everything bit for bit, and lies in it are noticed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import ContextualDistribution, families, strategies
from tests.theory.wrong_bounds import WRONG
from theory import Head, HeadSpec, Side, catalogue, sandwich
from theory.falsify import Counterexample, falsify, load_counterexample

FEW = settings(max_examples=max(1, settings.default.max_examples // 5))
SMALL = ContextualDistribution.from_probabilities([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]], [0.25, 0.75])


def against(distribution, spec, side, claimed=None):
    """A counterexample whose evidence is the catalogue's best on the other side."""
    proved = sandwich(distribution, spec)
    evidence = proved.upper if side is Side.LOWER else proved.lower
    value = evidence.value + 1 if side is Side.LOWER else evidence.value / 2
    return Counterexample("mine", side, distribution, spec, value if claimed is None else claimed, evidence)


@FEW
@given(strategies.distributions(5, 5), st.data())
def test_a_file_rebuilds_every_bit(tmp_path_factory, distribution, data):
    spec = HeadSpec(*data.draw(strategies.head_specs(distribution.vocab)))
    side = data.draw(st.sampled_from([Side.LOWER, Side.UPPER]))
    kept = against(distribution, spec, side)
    again = load_counterexample(kept.save(tmp_path_factory.getbasetemp() / "some" / "where.json"))
    assert np.array_equal(again.distribution.log_p, distribution.log_p)
    assert np.array_equal(again.distribution.weights, distribution.weights)
    assert (again.spec, again.side, again.claimed) == (spec, side, kept.claimed)
    assert again.sentence == kept.sentence
    assert again.evidence.value == kept.evidence.value
    assert again.recheck().ok == kept.recheck().ok
    assert again.recheck().ok or kept.evidence.value == 0


@pytest.mark.parametrize("one", WRONG, ids=lambda one: one.name)
def test_the_file_of_a_hunt_is_checked_without_the_hunt(one, tmp_path):
    outcome = falsify(one.wrong, one.side, examples=800, seed=2)
    again = load_counterexample(outcome.counterexample.save(tmp_path / "found.json"))
    assert again.recheck(one.wrong).ok
    repaired = again.recheck(one.right)
    assert not repaired.ok
    assert "the function now claims" in repaired.message


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"claimed": 0.0}, "does not contradict"),
        ({"claimed": math.inf}, "is contradicted"),
        ({"weights": [0.5, 0.5]}, "the witness has gap"),
        ({"spec": {"dim": 0}}, "dimension"),
    ],
)
def test_a_file_that_lies_is_noticed(lie, message, tmp_path):
    path = against(SMALL, HeadSpec(1), Side.LOWER).save(tmp_path / "found.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | lie))
    assert message in load_counterexample(path).recheck().message


def test_a_bent_witness_is_noticed(tmp_path):
    path = against(SMALL, HeadSpec(1), Side.LOWER).save(tmp_path / "found.json")
    kept = json.loads(path.read_text())
    kept["evidence"]["witness"]["W"]["array"][0][0] += 0.1
    path.write_text(json.dumps(kept))
    assert not load_counterexample(path).recheck().ok


def test_certificates_of_every_lower_bound_survive_the_file(tmp_path):
    worlds = [families.zipf(contexts=6, vocab=5, rank=3), families.all_k_subsets(6, 2), SMALL]
    seen = set()
    for entry in catalogue:
        for world in worlds:
            for spec in (HeadSpec(0, True), HeadSpec(1), HeadSpec(1, max_underestimate=2.0)):
                bound = entry(world, spec)
                if bound.applies and bound.side.is_lower and bound.value > 0:
                    found = Counterexample("mine", Side.UPPER, world, spec, bound.value / 2, bound)
                    assert load_counterexample(found.save(tmp_path / "found.json")).recheck().ok, entry.name
                    seen.add(entry.name)
    assert seen >= {"unigram", "majorization", "probability-floor", "high-mass", "all-k-subsets", "fisher-range-lower"}


def test_sentences_say_what_was_claimed_and_what_is_true():
    coin = ContextualDistribution.from_probabilities([[0.75, 0.25]])
    truth = math.log(2) - coin.entropy
    low = against(coin, HeadSpec(0), Side.LOWER, claimed=2 * truth).sentence
    assert low.startswith(f"mine claims g(0) >= {2 * truth:.6g} on 1 context x 2 tokens, but a head of the class")
    assert low.endswith(f"has the gap {truth:.6g}: 100 % too high.")
    high = against(coin, HeadSpec(0), Side.UPPER, claimed=truth / 1.1).sentence
    assert high.endswith(f"but unigram proves at least {truth:.6g}: 10 % too low.")
    spec = HeadSpec(1, True, max_underestimate=2.0, logit_range=3.0)
    limited = Counterexample("mine", Side.LOWER, coin, spec, 5.0, catalogue["unigram"](coin, HeadSpec(0))).sentence
    assert (
        "mine claims g_b(1) >= 5 on 1 context x 2 tokens for heads with max_underestimate = 2.0 and logit_range = 3.0"
        in limited
    )
    assert limited.endswith("times too high.")


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"format": "other"}'])
def test_other_files_are_refused(text, tmp_path):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json"):
        load_counterexample(tmp_path / "other.json")
    with pytest.raises(ValueError, match="cannot read the counterexample"):
        load_counterexample(tmp_path / "missing.json")


def test_a_head_is_kept_with_its_bias(tmp_path):
    head = Head(np.zeros((2, 1)), np.ones((3, 1)), np.array([0.1, 0.2, 0.3]))
    kept = against(SMALL, HeadSpec(1, True), Side.LOWER)
    moved = Counterexample(
        kept.name, kept.side, SMALL, kept.spec, 9.0, type(kept.evidence)(1.0, "x", Side.UPPER, witness=head)
    )
    again = load_counterexample(moved.save(tmp_path / "found.json")).evidence.witness
    assert np.array_equal(again.b, head.b)
    assert again.H.shape == (2, 1)
