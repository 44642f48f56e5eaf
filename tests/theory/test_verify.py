"""Sabotage of the verifier's input: whatever is tampered with, the verdict must turn."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import theory
from synth import ContextualDistribution, families
from tests.theory.worlds import dirichlet, tilted
from tests.tolerances import WITNESS
from theory import Head, HeadSpec, Side, Status, catalogue, verify

NEAR = tilted(8, 6, 0.5)
SPEC = HeadSpec(2, True)
LIMITED = HeadSpec(2, True, max_underestimate=2.0)
RANGED = HeadSpec(2, True, logit_range=4.0)


def survives(bound, distribution=NEAR, spec=SPEC, **changes):
    return verify(replace(bound, **changes), distribution, spec).ok


def certified(bound, **changes):
    return {"certificate": {**bound.certificate, **changes}}


@pytest.mark.parametrize("name", [entry.name for entry in catalogue])
@pytest.mark.parametrize("factor", [1.01, 0.99])
def test_a_moved_value_is_rejected(name, factor):
    worlds = [
        (NEAR, HeadSpec(0)),
        (NEAR, SPEC),
        (NEAR, LIMITED),
        (NEAR, RANGED),
        (families.all_k_subsets(6, 2), HeadSpec(3)),
    ]
    worlds.append((families.sparse(contexts=10, vocab=9, k=2), HeadSpec(4)))
    worlds.append((families.sparse(contexts=10, vocab=9, k=2), HeadSpec(3, True)))
    worlds.append((families.staircase(6, exponent=1.0), SPEC))
    worlds.append((families.one_hot(6), HeadSpec(2, norm=2.0)))
    worlds.append((families.zipf(contexts=5, vocab=8, rank=4), HeadSpec(2, True, float_format="fp8-e4m3", norm=4.0)))
    worlds.append((NEAR, HeadSpec(2, float_format="float32", norm=4.0)))
    caught = 0
    for distribution, spec in worlds:
        bound = catalogue[name](distribution, spec)
        if bound.status is Status.NOT_APPLICABLE or (bound.side is Side.LOWER and bound.status is Status.VACUOUS):
            continue
        assert survives(bound, distribution, spec)
        moved = bound.value * factor if bound.value > 1e-6 else bound.value + (factor - 1)
        still_true = bound.certificate.get("dominates") and moved >= bound.witness.gap(distribution)
        assert survives(bound, distribution, spec, value=moved) == bool(still_true)
        if still_true:
            assert not survives(bound, distribution, spec, value=bound.witness.gap(distribution) - 1e-6)
        caught += 1
    assert caught or name in ("binary", "full-rank")


def test_zero_floors_cannot_be_claimed_too_early():
    for name, world, good in (
        ("full-rank", families.all_k_subsets(6, 2), HeadSpec(5)),
        ("sparse-support", families.all_k_subsets(6, 2), HeadSpec(4)),
        ("sparse-support", families.all_k_subsets(6, 2), HeadSpec(3, True)),
        ("nested-supports", families.staircase(6), HeadSpec(1)),
        ("nested-supports", families.staircase(6, exponent=1.0), HeadSpec(1, True)),
        ("nested-supports", families.staircase(6, exponent=1.0), HeadSpec(2)),
        ("binary", families.one_hot(2), HeadSpec(1)),
    ):
        bound = catalogue[name](world, good)
        assert survives(bound, world, good)
        assert not survives(bound, world, replace(good, dim=good.dim - 1))
        assert not survives(bound, world, replace(good, logit_range=3.0))
        assert not survives(bound, world, good, value=0.1)
        assert not survives(bound, world, good, certificate={"kind": "unheard of"})
    bound = catalogue["sparse-support"](families.all_k_subsets(6, 2), HeadSpec(4))
    assert not survives(bound, families.all_k_subsets(6, 2), HeadSpec(4), **certified(bound, max_support=1))
    assert not survives(bound, families.all_k_subsets(7, 3), HeadSpec(4))


def test_levels_must_be_those_of_the_table():
    world, spec = families.staircase(6, exponent=1.0), HeadSpec(1, True)
    bound = catalogue["nested-supports"](world, spec)
    levels = bound.certificate["levels"]
    for changes in (
        {"levels": levels[::-1]},
        {"levels": np.zeros_like(levels)},
        {"levels": levels[:-1]},
        {"levels": levels + 0.0},
        {"levels": None},
    ):
        verdict = verify(replace(bound, **certified(bound, **changes)), world, spec)
        assert not verdict.ok
        assert "level" in verdict.message
    assert not survives(bound, world, HeadSpec(1))  # the base is not uniform
    assert not survives(bound, families.all_k_subsets(6, 2), spec)
    P = np.array(world.p)
    P[3, :2] = P[3, 1::-1]
    assert "base law" in verify(bound, ContextualDistribution.from_probabilities(P), spec).message


@pytest.mark.parametrize("damage", ["moved", "wide", "transposed", "bias", "infinite"])
def test_a_damaged_witness_is_rejected(damage):
    bound = catalogue["plug-in-unigram"](NEAR, SPEC)
    head = bound.witness
    damaged = {
        "moved": Head(head.H + 0.1, head.W, head.b),
        "wide": Head(np.hstack([head.H, 0 * head.H]), np.hstack([head.W, 0 * head.W]), head.b),
        "transposed": Head(head.W, head.H, None),
        "bias": Head(head.H, head.W, head.b[:3]),
        "infinite": Head(head.H * np.inf, head.W, head.b),
    }[damage]
    with np.errstate(invalid="ignore"):
        assert not survives(bound, witness=damaged)
    assert not survives(bound, spec=HeadSpec(2))  # no bias in the class


def test_a_witness_outside_a_limited_class_is_rejected():
    bound = catalogue["plug-in-unigram"](NEAR, SPEC)
    head = bound.witness
    sizes = {"max_underestimate": head.underestimate(NEAR), "logit_range": head.logit_range, "norm": head.norm}
    for limit, size in sizes.items():
        assert survives(bound, spec=HeadSpec(2, True, **{limit: size * 1.001}))
        assert not survives(bound, spec=HeadSpec(2, True, **{limit: size * 0.999}))
    assert not survives(bound, spec=HeadSpec(2, True, float_format="float32"))
    assert not survives(bound, witness=replace(head, float_format="float32"))


@pytest.mark.parametrize(
    ("name", "spec"), [("majorization", SPEC), ("fisher-range-lower", LIMITED), ("fisher-range-lower", RANGED)]
)
def test_a_minorant_must_stay_below_the_weights(name, spec):
    bound = catalogue[name](NEAR, spec)
    r, s = bound.certificate["r"], bound.certificate["s"]
    for changes in (
        {"r": 1.01 * r},
        {"s": np.where(s == s.min(), 1.5 * s, s)},
        {"r": -r, "s": -s},
        {"r": r[:-1]},
        {"r": r * np.nan},
    ):
        verdict = verify(replace(bound, **certified(bound, **changes)), NEAR, spec)
        assert not verdict.ok
        assert "minorant" in verdict.message
    assert not survives(bound, spec=replace(spec, dim=3))
    assert not survives(bound, dirichlet(8, 6), spec)


@pytest.mark.parametrize(
    "changes",
    [{"contexts": np.array([0, 0, 1])}, {"tokens": np.array([9])}, {"tokens": None}, {"contexts": np.array([-1])}],
)
def test_blocks_must_exist(changes):
    bound = catalogue["majorization"](NEAR, SPEC)
    assert not survives(bound, **certified(bound, **changes))


def test_blocks_must_be_positive():
    distribution, spec = families.sparse(contexts=10, vocab=9, k=4), HeadSpec(0)
    bound = catalogue["majorization"](distribution, spec)
    assert bound.value > 0
    tokens = np.arange(len(bound.certificate["tokens"])) + 1
    if np.all(np.isfinite(distribution.log_p[np.ix_(bound.certificate["contexts"], tokens)])):
        tokens = tokens - 1
    verdict = verify(replace(bound, **certified(bound, tokens=tokens)), distribution, spec)
    assert not verdict.ok
    assert "zero" in verdict.message


def test_high_mass_rests_on_its_tokens_and_its_inner_bound():
    bound = catalogue["high-mass"](NEAR, SPEC)
    inner = bound.certificate["inner"]["certificate"]
    swapped = np.append(bound.certificate["tokens"][1:], np.setdiff1d(np.arange(6), bound.certificate["tokens"])[:1])
    assert not survives(bound, **certified(bound, tokens=np.sort(swapped)))
    assert not survives(bound, **certified(bound, inner={"certificate": {**inner, "r": 2 * inner["r"]}}))


def test_subsets_must_all_be_there():
    distribution = families.all_k_subsets(6, 2)
    bound = catalogue["all-k-subsets"](distribution, HeadSpec(3))
    assert not survives(bound, distribution, HeadSpec(3), **certified(bound, k=1))
    assert not survives(bound, distribution, HeadSpec(3, True))
    assert not survives(bound, families.all_k_subsets(6, 1), HeadSpec(3))


def test_statuses_and_sides_are_not_taken_on_trust():
    lower, upper = catalogue["majorization"](NEAR, SPEC), catalogue["plug-in-unigram"](NEAR, SPEC)
    assert not survives(lower, status=Status.NOT_APPLICABLE)
    assert not survives(lower, side=Side.UPPER)
    assert not survives(upper, side=Side.LOWER)
    assert not survives(upper, side=Side.EXACT)
    assert not survives(upper, value=math.nan)
    prediction = catalogue["near-unigram"](NEAR, SPEC)
    assert not survives(prediction, spec=HeadSpec(2))
    assert survives(lower, value=0.0)  # true of every floor


def test_gap_is_recomputed_by_another_route():
    verdict = verify(catalogue["plug-in-unigram"](NEAR, SPEC), NEAR, SPEC)
    assert verdict.recomputed == pytest.approx(catalogue["plug-in-unigram"](NEAR, SPEC).value, rel=0, abs=WITNESS)
    assert bool(verdict)


VERIFIER = ["verify.py", *(f"recheck/{path.name}" for path in Path(theory.__file__).parent.glob("recheck/*.py"))]


@pytest.mark.parametrize("file", sorted(VERIFIER))
def test_the_verifier_shares_no_code_with_the_bounds(file):
    tree = ast.parse((Path(theory.__file__).parent / file).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    ours = {name for name in imported if name.startswith("theory")}
    assert {name for name in ours if not name.startswith("theory.recheck")} <= {"theory.bound", "theory.head"}
