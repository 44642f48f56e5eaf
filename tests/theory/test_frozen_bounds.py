"""Bounds for frozen features: against arbitrary heads, dense routes, invariances, and an independent re-check."""

from __future__ import annotations

import doctest
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.heads import Options
from experiments.heads.frozen import fit_full
from synth import ContextualDistribution
from tests.theory.frozen_worlds import features, problem, problems, random_head
from tests.theory.targeted_frozen import FrozenDraw, frozen_case
from tests.tolerances import KNOWN_FLOOR, identity, rounding
from theory.bound import Side, Status
from theory.frozen import METRICS, FrozenProblem, FrozenSpec, clustered_tails, clusters, excess, frozen_catalogue
from theory.frozen.uppers import best_truncation
from theory.geometry import centre, to_metric
from theory.recheck.frozen import verify_frozen

PAGES = Path(__file__).parents[2] / "docs" / "theorems"
SECTIONS = ("Setting:", "Statement:", "Side:", "Tight when:", "Assumes:", "Units:", "Cost:", "Fails as:", "Reference:")
WORLD = problem(3, rows=80, width=4, vocab=7)
UPPERS = [entry.name for entry in frozen_catalogue if entry.side is Side.UPPER]


def law(world):
    """The full head's laws as a distribution over the rows."""
    return ContextualDistribution.from_logits(world.X @ world.W.T + world.full_bias, world.weights)


def coin(log_odds, sides=2):
    """Two contexts of opposite log-odds, one feature: at rank 0 both sides of "smoothness" are x^2 / 8."""
    X = np.repeat([[1.0], [-1.0]], sides, axis=0)
    return FrozenProblem.of(X, np.array([[log_odds / 2], [-log_odds / 2]]), np.zeros(2))


def nearly_uniform(scale=1e-4):
    """All sign patterns as features: every token sees them alike, and nothing is lost to metric or coupling."""
    X = np.array([[1 - 2 * (n >> j & 1) for j in range(4)] for n in range(16)], dtype=float)
    return FrozenProblem.of(X, scale * np.random.default_rng(0).standard_normal((5, 4)), np.zeros(5))


@settings(max_examples=60)
@given(world=problems(), rank=st.integers(0, 3), seed=st.integers(0, 99), nearness=st.floats(0.0, 1.0))
def test_no_head_lies_below_the_floor_of_its_own_curvature(world, rank, seed, nearness):
    rank = min(rank, world.width, world.vocab)
    found = excess(world, random_head(world, rank, seed, nearness))
    bound = frozen_catalogue["frozen-lower"](world, FrozenSpec(rank, found.curvature))
    assert bound.value <= found.gap + rounding(1.0, world.rows * world.vocab)
    if found.underestimate > 1e-3:
        assert FrozenSpec.underestimating(rank, found.underestimate).curvature <= found.curvature * (1 + identity())


@settings(max_examples=40)
@given(world=problems(), rank=st.integers(0, 3), seed=st.integers(0, 99))
def test_every_bound_survives_the_re_check_and_the_lower_stays_below(world, rank, seed):
    rank = min(rank, world.width, world.vocab)
    for entry in frozen_catalogue:
        bound = entry(world, FrozenSpec(rank, 0.3))
        assert verify_frozen(bound, features(world), rank, 0.3).ok, entry.name
    head, gap = best_truncation(world, rank)
    lower = frozen_catalogue["frozen-lower"](world, FrozenSpec(rank, excess(world, head).curvature))
    assert lower.value <= gap + rounding(1.0, world.rows * world.vocab)
    assert frozen_catalogue["frozen-newton"](world, FrozenSpec(rank)).value <= gap + rounding(1.0, 1)


def test_bounds_of_nearly_certain_laws_survive_the_re_check():
    """Found among many draws: ``p (1 - p)`` is about 1e-10 there, and has to be right to nine digits all the same."""
    case = frozen_case(np.random.default_rng(list(b"&\xf1Z\xa5-\x9b&7")))
    certain = np.exp(case.problem.X @ case.problem.W.T + case.problem.b)
    assert 1 - (certain / certain.sum(axis=1, keepdims=True)).max() < 1e-8
    assert len(FrozenDraw().ask(case)) == len(list(frozen_catalogue))


@settings(max_examples=30)
@given(world=problems())
def test_upper_bounds_vanish_from_the_rank_on(world):
    rank = min(world.width, world.vocab)
    for name in UPPERS:
        assert frozen_catalogue[name](world, FrozenSpec(rank)).value <= KNOWN_FLOOR


@settings(max_examples=30)
@given(world=problems(), seed=st.integers(0, 99))
def test_the_same_features_in_other_coordinates_rows_and_tokens(world, seed):
    """Invertible maps, offsets, the gauge, permutations and a row split in two change nothing but rounding."""
    rng = np.random.default_rng(seed)
    M = np.linalg.qr(rng.standard_normal((world.width, world.width)))[0] * rng.uniform(0.5, 2.0, world.width)
    tokens, rows = rng.permutation(world.vocab), np.append(rng.permutation(world.rows), 0)
    offset = rng.standard_normal(world.width) if world.bias else np.zeros(world.width)
    W = world.W[tokens] @ np.linalg.inv(M).T + rng.standard_normal(world.width)
    b = world.b[tokens] - W @ offset if world.bias else None
    weights = np.where(rows == 0, 0.5, 1.0) * world.weights[rows]
    other = FrozenProblem.of(world.X[rows] @ M + offset, W, b, weights)
    for name in ("whitened", "unigram", "information"):
        here, there = METRICS[name](world), METRICS[name](other)
        for rank in range(world.width):
            assert there.tail(rank) == pytest.approx(here.tail(rank), rel=identity(), abs=identity() * here.tail(0))


@settings(max_examples=30)
@given(world=problems(), rank=st.integers(0, 3))
def test_with_weights_of_rank_one_frozen_features_lose_what_free_ones_do(world, rank):
    """The tail through D x D moments is that of the dense N x V table of logits, features free or frozen."""
    logits = world.X @ world.W.T
    tables = {
        "whitened": np.sqrt(world.weights)[:, None] * centre(logits - world.bias * (world.weights @ logits)),
        "unigram": to_metric(logits - world.bias * (world.weights @ logits), world.weights, world.moments.marginal),
    }
    for name, table in tables.items():
        sigma, tail = np.linalg.svd(table, compute_uv=False), METRICS[name](world).tail(rank)
        assert tail == pytest.approx(np.sum(sigma[rank:] ** 2), rel=identity(), abs=rounding(sigma[0] ** 2, 100))


def test_rank_zero_costs_the_mutual_information():
    bound = frozen_catalogue["frozen-newton"](WORLD, FrozenSpec(0))
    information = law(WORLD).mutual_information
    assert WORLD.moments.mutual_information == pytest.approx(information, rel=identity(), abs=0)
    assert bound.value == pytest.approx(information, rel=identity(), abs=0)


def test_any_target_costs_what_the_full_head_does():
    """The Pythagorean identity: at the optimum of another target, losses differ by the gap to the full head."""
    rng = np.random.default_rng(0)
    target = ContextualDistribution.from_logits(law(WORLD).log_p + rng.standard_normal((80, 7)), WORLD.weights)
    full = fit_full(WORLD.X, target, options=Options(tolerance=1e-12))
    world = FrozenProblem.of(WORLD.X, full.W, full.b, WORLD.weights)
    for rank in (0, 1, 3):
        head, gap = best_truncation(world, rank)
        assert head.on(WORLD.X).gap(target) - full.gap == pytest.approx(gap, rel=0, abs=KNOWN_FLOOR)
    wrong = FrozenProblem.of(WORLD.X, 1.1 * full.W, full.b, WORLD.weights)
    head, gap = best_truncation(wrong, 1)
    assert abs(head.on(WORLD.X).gap(target) - full.gap - gap) > 1e-3


@pytest.mark.parametrize(
    ("name", "world", "rank", "factor"),
    [
        ("frozen-smoothness", coin(0.01), 0, 1.001),
        ("frozen-unigram", coin(0.01), 0, 1.001),
        ("frozen-information", coin(0.01), 0, 1.001),
        ("frozen-raw", coin(0.01), 0, 1.001),
        ("frozen-newton", coin(2.0), 0, 1.001),
        ("frozen-lower", nearly_uniform(), 2, 1.01),
    ],
)
def test_a_bound_is_tight_somewhere_and_breaks_when_pushed(name, world, rank, factor):
    """The value from the other side: mutual information at rank 0; for the lower bound, the best truncation."""
    head, gap = best_truncation(world, rank)
    other = world.moments.mutual_information if rank == 0 else gap
    bound = frozen_catalogue[name](world, FrozenSpec(rank, excess(world, head).curvature))
    if bound.side is Side.LOWER:
        assert bound.value <= other < bound.value * factor
    else:
        assert bound.value / factor < other <= bound.value * (1 + 1e-9)


def test_tampered_evidence_is_refused():
    rank, c = 2, 0.3
    lower = frozen_catalogue["frozen-lower"](WORLD, FrozenSpec(rank, c))
    upper = frozen_catalogue["frozen-unigram"](WORLD, FrozenSpec(rank))
    H, A, b = upper.witness.H, upper.witness.W, upper.witness.b
    block = lower.certificate["blocks"][0]

    def with_block(**changes):
        blocks = [{**block, **changes}, *lower.certificate["blocks"][1:]]
        return replace(lower, certificate={**lower.certificate, "blocks": blocks})

    bent = replace(upper, witness=replace(upper.witness, H=H + 1e-3 * H**2))
    false = {
        "value": replace(lower, value=1.001 * lower.value),
        "coupling": with_block(gamma=block["gamma"] + 0.01),
        "weights": with_block(s=1.01 * block["s"]),
        "metric": with_block(G=1.01 * block["G"]),
        "blocks": replace(lower, certificate={**lower.certificate, "blocks": 2 * lower.certificate["blocks"]}),
        "kind": replace(lower, certificate={"kind": "faith"}),
        "upper value": replace(upper, value=0.999 * upper.value),
        "looser upper value": replace(upper, value=1.001 * upper.value),
        "not linear in the features": bent,
        "too many columns": replace(
            upper, witness=replace(upper.witness, H=np.hstack([H, H]), W=np.hstack([A, A]) / 2)
        ),
        "no witness": replace(upper, witness=None),
    }
    assert verify_frozen(lower, features(WORLD), rank, c).ok
    assert verify_frozen(upper, features(WORLD), rank).ok
    assert b is not None
    for what, bound in false.items():
        assert not verify_frozen(bound, features(WORLD), rank, c).ok, what
    assert not verify_frozen(lower, features(WORLD), rank, 0.9 * c).ok
    assert not verify_frozen(lower, features(WORLD), rank + 1, c).ok


def test_a_lower_bound_needs_a_class():
    bound = frozen_catalogue["frozen-lower"](WORLD, FrozenSpec(1))
    assert (bound.status, bound.value) == (Status.NOT_APPLICABLE, 0.0)
    assert "curvature" in bound.reason
    assert frozen_catalogue["frozen-lower"](problem(0, rows=4, width=3), FrozenSpec(1, 0.4)).status is Status.VACUOUS


def test_clusters_partition_and_their_tails_fall_with_their_number():
    labels = clusters(WORLD, 5)
    assert sorted(set(labels)) == list(range(labels.max() + 1))
    assert np.array_equal(labels, clusters(WORLD, 5))
    one = clustered_tails(WORLD, np.zeros(WORLD.rows, dtype=int))
    metric = METRICS["information"](WORLD)
    assert one[:4] == pytest.approx([metric.tail(r) / 2 for r in range(4)], rel=identity(), abs=0)
    alone = clustered_tails(WORLD, np.arange(WORLD.rows))
    assert np.all(alone[1:] <= rounding(1.0, WORLD.rows))
    assert np.all(np.diff(one) <= 0)


@pytest.mark.parametrize("name", [entry.name for entry in frozen_catalogue])
def test_every_frozen_bound_has_its_docstring_and_its_page(name):
    text = (PAGES / f"{name}.md").read_text()
    source = frozen_catalogue[name].function.__module__.replace(".", "/") + ".py"
    assert text.startswith(f"# {name}\n")
    assert {"**Statement.**", "**Tight when.**", "**Code.**"} <= set(re.findall(r"\*\*[A-Z][a-z ]+\.\*\*", text))
    assert f"../../{source}" in text
    assert all(f"\n    {section}" in frozen_catalogue[name].function.__doc__ for section in SECTIONS)


@pytest.mark.parametrize("name", [entry.name for entry in frozen_catalogue])
def test_the_example_of_a_docstring_runs(name):
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(frozen_catalogue[name].function, name, globs={}):
        runner.run(example)
    assert runner.tries >= 4
    assert runner.failures == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrozenProblem.of(np.ones((3, 2)), np.ones((4, 3))), "2 columns and the full head 3"),
        (lambda: FrozenProblem.of(np.ones(3), np.ones((4, 3))), "2 axes"),
        (lambda: FrozenProblem.of(np.full((3, 2), np.nan), np.ones((4, 2))), "6 NaN or infinite"),
        (lambda: FrozenProblem.of(np.ones((3, 2)), np.ones((4, 2)), np.ones(3)), "3 entries for 4 tokens"),
        (lambda: FrozenProblem.of(np.ones((3, 2)), np.ones((4, 2)), None, np.zeros(3)), "positive"),
        (lambda: frozen_catalogue["frozen-raw"](WORLD, FrozenSpec(5)), "between 0 and min"),
        (lambda: FrozenSpec(1, -1.0), "curvature"),
        (lambda: FrozenSpec.underestimating(1, 0.0), "limit"),
        (lambda: frozen_catalogue["frozen-none"], "no frozen-feature bound"),
        (lambda: frozen_catalogue.register("frozen-raw", Side.UPPER), "registered already"),
        (lambda: clusters(WORLD, 0), "count"),
    ],
)
def test_bad_input_says_what_was_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
