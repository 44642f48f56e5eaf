"""Reachable sets and tokens: verdicts of linear programmes against exact rules, and certificates against sabotage."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.reach import Hull, Reach, Win, argmaxable, curve_reaches, exact_rule, moment_curve, recheck, top_m
from theory.reach.argmaxable import By
from theory.reach.exact import label_changes
from theory.reach.points import points
from theory.reach.proof import distance, proves_hull
from theory.reach.topm import proves, separate


def label_sets(vocab):
    """Every set of some, not all, tokens."""
    return [np.array(s) for m in range(1, vocab) for s in combinations(range(vocab), m)]


def disagreements(W, b, rule, sets):
    """Sets whose verdict is undecided, differs from the rule, or does not survive its own re-check."""
    prepared, wrong = points(W, b), []
    for tokens in sets:
        found = separate(prepared, tokens)
        expected = Reach.REACHABLE if rule(tokens) else Reach.UNREACHABLE
        if found.status is not expected or not proves(found, prepared):
            wrong.append(tokens)
    return wrong


@pytest.mark.parametrize(("vocab", "dim", "closed"), [(5, 4, True), (6, 1, False), (7, 3, False), (8, 4, True)])
def test_verdicts_are_those_of_the_moment_curve_on_all_label_sets(vocab, dim, closed):
    W = moment_curve(vocab, dim, closed)
    assert disagreements(W, None, lambda s: curve_reaches(s, vocab, dim, closed), label_sets(vocab)) == []


def bracelets(vocab):
    """One of each class of label sets under rotation, reflection and complement."""
    circle, seen, chosen = range(vocab), set(), []
    for tokens in label_sets(vocab):
        if frozenset(tokens.tolist()) in seen:
            continue
        chosen.append(tokens)
        for shift in circle:
            for turn in (1, -1):
                moved = frozenset((turn * int(v) + shift) % vocab for v in tokens)
                seen |= {moved, frozenset(circle) - moved}
    return chosen


@pytest.mark.parametrize("dim", [2, 4, 6])
def test_verdicts_are_exact_on_the_label_sets_of_twelve_tokens(dim):
    """Up to the symmetries of the closed curve and to complements, which -h reaches; every set in the deep profile."""
    sets = label_sets(12) if os.environ.get("RANKFLOOR_PROFILE") == "deep" else bracelets(12)
    assert len(sets) in (4094, 121)
    W = moment_curve(12, dim, closed=True)
    assert disagreements(W, None, lambda s: curve_reaches(s, 12, dim, closed=True), sets) == []


@settings(max_examples=10)
@given(st.data())
def test_verdicts_are_exact_on_heads_with_ties_duplicates_and_bias(data):
    vocab, dim = data.draw(st.integers(3, 6)), data.draw(st.integers(1, 3))
    entries = st.lists(st.integers(-1, 1), min_size=vocab * dim, max_size=vocab * dim)
    W = np.array(data.draw(entries), dtype=np.float64).reshape(vocab, dim)
    biases = st.lists(st.integers(-1, 1), min_size=vocab, max_size=vocab)
    b = data.draw(st.one_of(st.none(), biases.map(lambda values: np.array(values, dtype=np.float64))))
    assert disagreements(W, b, exact_rule(W, b).reaches, label_sets(vocab)) == []


@pytest.mark.parametrize(("vocab", "dim", "closed"), [(7, 2, False), (7, 3, False), (6, 2, True), (8, 4, True)])
def test_circuits_and_label_changes_are_one_rule(vocab, dim, closed):
    """Rounding the closed curve to float64 moves its tokens off the circle, but flips none of its circuits."""
    rule = exact_rule(moment_curve(vocab, dim, closed))
    sets = label_sets(vocab)
    assert [rule.reaches(s) for s in sets] == [curve_reaches(s, vocab, dim, closed) for s in sets]
    assert not all(rule.reaches(s) for s in sets)
    assert all(label_changes(s, vocab, closed=True) % 2 == 0 for s in sets)


def test_neighbourliness_is_2k_and_no_less():
    for k in (1, 2, 3):
        vocab = 3 * k + 1
        for dim, every in ((2 * k, True), (2 * k - 1, False)):
            assert all(curve_reaches(s, vocab, dim) for s in label_sets(vocab) if len(s) == k) == every


@pytest.mark.parametrize("bias", [False, True])
def test_argmaxable_tokens_are_those_of_the_exact_rule(bias):
    rng = np.random.default_rng(3)
    for dim in (1, 2, 3):
        W = rng.integers(-2, 3, (11, dim)).astype(np.float64)
        b = rng.integers(-2, 3, 11).astype(np.float64) if bias else None
        rule = exact_rule(W, b)
        found = argmaxable(W, b)
        assert [s is Reach.REACHABLE for s in found.status] == [rule.reaches([v]) for v in range(11)]
        assert Reach.UNDECIDED not in found.status
        for v in range(11):
            assert recheck(found.certificate(v), W, b)


def test_cheap_tests_settle_most_tokens_and_programmes_the_rest():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((100, 8)) * rng.lognormal(0, 0.1, (100, 1)) + 3.0
    W[:5] = W[5:].mean(axis=0) + 0.01 * rng.standard_normal((5, 8))
    W[5] = W[6]
    heard = []
    found = argmaxable(
        W, directions=W[50:60] - W.mean(axis=0), progress=lambda done, total: heard.append((done, total))
    )
    assert set(range(7)) <= set(found.tokens(Reach.UNREACHABLE))
    assert found.tokens(Reach.UNDECIDED).size == 0
    assert {By.OWN, By.WHITENED, By.GIVEN, By.DUPLICATE, By.PROGRAMME} == set(found.by)
    assert sum(found.counts().values()) == 100
    assert [done for done, _ in heard] == list(range(1, heard[0][1] + 1))
    assert heard[0][1] < 60
    for v in range(100):
        assert recheck(found.certificate(v), W)
    limited = argmaxable(W, most_programmes=2)
    assert limited.by.count(By.PROGRAMME) == 2
    assert str(limited.certificate(int(limited.tokens(Reach.UNDECIDED)[0])).status) == "undecided"


def test_constraints_are_generated_for_many_tokens():
    rng = np.random.default_rng(1)
    W, b = rng.standard_normal((1500, 5)), rng.standard_normal(1500)
    for tokens, expected in (([int(W[:, 0].argmax())], Reach.REACHABLE), ([3, 4, 5, 6, 7, 8, 9], Reach.UNREACHABLE)):
        found = top_m(W, tokens, b if expected is Reach.UNREACHABLE else None)
        assert found.status is expected
        assert recheck(found, W, b if expected is Reach.UNREACHABLE else None)


def test_a_certificate_for_one_head_or_set_proves_nothing_for_another():
    W = moment_curve(7, 3)
    yes, no = top_m(W, [0, 1]), top_m(W, [0, 2, 4, 6])
    assert recheck(yes, W)
    assert recheck(no, W)
    assert not recheck(replace(yes, tokens=np.array([0, 2])), W)
    assert not recheck(replace(no, tokens=np.array([0, 1])), W)
    assert not recheck(replace(yes, status=Reach.UNREACHABLE), W)
    assert not recheck(replace(no, status=Reach.REACHABLE), W)
    assert not recheck(yes, W[::-1].copy() + 1.0 * (np.arange(7) == 3)[:, None])
    assert not recheck(replace(yes, certificate=Win(-yes.certificate.h)), W)
    assert not recheck(replace(yes, certificate=Win(yes.certificate.h * np.nan)), W)
    hull = no.certificate
    assert not recheck(replace(no, certificate=replace(hull, outside=hull.inside)), W)
    assert not recheck(replace(no, certificate=replace(hull, outside=hull.outside[:0], outside_weights=np.zeros(0))), W)
    moved = W.copy()
    moved[hull.outside, :] += 10.0
    assert not recheck(no, moved)
    assert distance(points(W), hull) < 1e-12 < distance(points(moved), hull)


@pytest.mark.parametrize("push", [1e-9, -1e-9])
def test_a_token_a_billionth_off_the_border_is_told_apart(push):
    """Token 4 stands on an edge of the square, pushed out or in: the tight instance and its twin."""
    W = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [1.0 + push, 0.25]])
    expected = Reach.REACHABLE if push > 0 else Reach.UNREACHABLE
    found = top_m(W, [4])
    assert found.status is expected
    assert argmaxable(W).status[4] is expected
    on_the_edge = np.vstack([W[:4], [[1.0, 0.25]]])
    assert top_m(on_the_edge, [4]).status is Reach.UNREACHABLE


def test_a_tie_is_not_a_win():
    W = np.array([[0.0], [1.0], [1.0]])
    assert top_m(W, [1]).status is Reach.UNREACHABLE
    assert top_m(W, [1], b=np.array([0.0, 0.1, 0.0])).status is Reach.REACHABLE
    assert top_m(W, [1, 2]).status is Reach.REACHABLE
    statuses = argmaxable(W, b=np.array([0.0, 0.1, 0.0])).status
    assert [str(status) for status in statuses] == ["reachable", "reachable", "unreachable"]


def test_weights_that_average_badly_do_not_prove_a_hull():
    prepared, one = points(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])), np.ones(1)
    third = np.full(3, 1 / 3)
    assert proves_hull(prepared, np.array([0]), Hull(np.array([0]), np.array([1, 2, 3]), one, third))
    shifted = points(np.array([[0.9, 0.9], [1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
    assert not proves_hull(shifted, np.array([0]), Hull(np.array([0]), np.array([1, 2, 3]), one, third))


@pytest.mark.parametrize(
    ("W", "b", "tokens", "complaint"),
    [
        (np.ones(3), None, [0], "finite matrix"),
        (np.full((3, 2), np.nan), None, [0], "finite matrix"),
        (np.ones((3, 2)), np.ones(2), [0], "one finite number for each of 3 tokens"),
        (np.ones((3, 2)), None, [0, 1, 2], "some, not all"),
        (np.ones((3, 2)), None, [3], "some, not all"),
        (np.ones((3, 2)), None, [1, 1], "distinct"),
        (np.ones((3, 2)), None, [0.5], "distinct integers"),
    ],
)
def test_bad_heads_and_sets_are_refused(W, b, tokens, complaint):
    with pytest.raises(ValueError, match=complaint):
        top_m(W, tokens, b)


def test_curves_and_rules_say_what_they_cannot_do():
    with pytest.raises(ValueError, match="even dimension"):
        moment_curve(7, 3, closed=True)
    with pytest.raises(ValueError, match="use top_m"):
        exact_rule(np.zeros((17, 2)))
