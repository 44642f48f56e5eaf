"""Conjugate certificates: valid for every head of the class, exact where the theory says so, verified or rejected."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from synth import ContextualDistribution, families, strategies
from tests.theory.quickfit import fitted_gap
from tests.theory.worlds import dirichlet, tilted
from tests.tolerances import rounding
from theory import Head, HeadSpec, Status, catalogue, verify
from theory.balls.arithmetic import sharpened
from theory.balls.conjugate import conjugate as in_balls
from theory.balls.table import ball_table
from theory.bounds.conjugate import NAME
from theory.certificate import Effort, certify
from theory.certificate.limits import box
from theory.certificate.starts import anchored
from theory.recheck.conjugate import conjugate

BOUND = catalogue[NAME]
BRIEF = Effort(single=60, metrics=2, several=30, stages=(1.0, 0.1), split=(0.3, 0.1))
THOUSAND = settings(max_examples=1000 if settings.default.max_examples < 1000 else 100_000)
"""Examples of the statement itself; the deep profile draws a hundred thousand."""


@st.composite
def certificates(draw: st.DrawFn) -> tuple[ContextualDistribution, HeadSpec, dict[str, object], Head]:
    """Tangent quadratics at a head's log error or at none, shaken; the head defines its class or is free.

    They were not searched for: nothing makes them good, and nothing but the statement keeps them below the gap.
    """
    distribution = draw(strategies.positive_distributions(5, 5))
    C, V = distribution.contexts, distribution.vocab
    rng = np.random.default_rng(draw(strategies.seeds()))
    dim, bias = draw(st.integers(0, 2)), draw(st.booleans())
    size = draw(st.sampled_from([0.0, 0.1, 1.0]))
    head = truncated(distribution, dim, bias, size * rng.standard_normal((C, dim)))
    L, weights = np.asarray(distribution.log_p), np.asarray(distribution.weights)
    limit = 1.001 * head.underestimate(distribution) + 1e-3
    spec = HeadSpec(dim, bias, max_underestimate=limit)
    guess = draw(st.sampled_from([1.0, 0.5, 0.0])) * (np.asarray(head.log_q()) - L)
    metric = anchored(guess, box(L, weights, spec))
    count, shake = draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.03, 0.3]))
    z = metric.z + shake * rng.standard_normal((count, C, V))
    r = np.exp(metric.log_r + shake * rng.standard_normal((count, C))) / count
    s = np.exp(metric.log_s + shake * rng.standard_normal((count, V)))
    t = draw(st.sampled_from([0.0, 0.1, 1.0, limit])) * rng.standard_normal(C)
    cap = draw(st.sampled_from([math.inf, 1.0, 1e-2, 1e-4]))
    free = cap < math.inf and draw(st.booleans())
    return distribution, HeadSpec(dim, bias) if free else spec, {"z": z, "r": r, "s": s, "t": t, "cap": cap}, head


def truncated(distribution: ContextualDistribution, dim: int, bias: bool, noise: np.ndarray) -> Head:
    """The log-probabilities cut at ``dim``, with noise in the hidden states."""
    A = np.asarray(distribution.log_p)
    A = A - A.mean(axis=1, keepdims=True)
    b = A.mean(axis=0) if bias else None
    U, sigma, W = np.linalg.svd(A - (0 if b is None else b), full_matrices=False)
    kept = min(dim, len(sigma))
    H, tokens = noise.copy(), np.zeros((A.shape[1], dim))
    H[:, :kept] += U[:, :kept] * sigma[:kept]
    tokens[:, :kept] = W[:kept].T
    return Head(H, tokens, b)


@THOUSAND
@given(certificates())
def test_no_certificate_exceeds_the_gap_of_a_head_of_its_class(case):
    """The statement, for any targets, weights, shifts and caps; the head's own underestimate defines the class."""
    distribution, spec, certificate, head = case
    value = conjugate(certificate, distribution, spec)
    gap = head.gap(distribution)
    assert value <= gap + rounding(gap, distribution.contexts * distribution.vocab)


@settings(max_examples=25)
@given(certificates())
def test_floats_claim_no_more_than_balls_prove(case):
    """The float re-check rounds downwards: what it reads from a certificate lies below the balls' upper end."""
    distribution, spec, certificate, _ = case
    low, high = sharpened(lambda: in_balls(certificate, ball_table(distribution), spec))
    assert low <= high
    assert conjugate(certificate, distribution, spec) <= high + 1e-12 * abs(high)


def test_the_statement_can_be_broken():
    """Sabotage: with one dimension fewer charged, or larger weights at the old price, a head is contradicted."""
    distribution = families.near_unigram(contexts=8, vocab=6, eps=0.05)
    spec = HeadSpec(1, True, max_underestimate=1.0)
    gap = fitted_gap(distribution, spec)
    bound = certify(distribution, spec, effort=BRIEF)
    assert bound.value <= gap
    assert conjugate(bound.certificate, distribution, replace(spec, dim=0)) > gap
    swollen = {**bound.certificate, "r": 1.5 * bound.certificate["r"]}
    assert bound.value + (tail(swollen, distribution, spec) - tail(bound.certificate, distribution, spec)) > gap
    assert conjugate(swollen, distribution, spec) <= gap


def test_a_shift_without_its_toll_can_be_broken():
    """Sabotage: log errors above -M, moved by 2 M, cost at least rho(M); only the toll rho(2 M) outweighs that."""
    distribution, spec = families.near_unigram(contexts=8, vocab=6, eps=0.05), HeadSpec(0, True, max_underestimate=1.0)
    gap, t = distribution.mutual_information, np.full(8, 2.0)
    certificate = {"z": np.zeros((1, 8, 6)), "r": np.full((1, 8), 1e-12), "s": np.ones((1, 6)), "t": t}
    value = conjugate(certificate, distribution, spec)
    toll = math.expm1(2) - 2
    assert value <= gap
    assert value + toll == pytest.approx(math.expm1(1) - 1, rel=1e-9, abs=0)
    assert value + toll > gap


def test_a_certificate_without_a_shift_is_one_of_shift_zero():
    distribution, spec = dirichlet(8, 7, seed=4), HeadSpec(1, max_underestimate=2.0)
    certificate = certify(distribution, spec, effort=BRIEF).certificate
    unmoved = {**certificate, "t": np.zeros(8)}
    plain = {name: part for name, part in certificate.items() if name != "t"}
    assert conjugate(plain, distribution, spec) == conjugate(unmoved, distribution, spec)
    assert conjugate(certificate, distribution, spec) > conjugate(plain, distribution, spec)


def tail(certificate, distribution, spec):
    """The spectral part of an uncapped certificate for a class with a bias: the value before its price is paid."""
    total = 0.0
    for z, r, s in zip(certificate["z"], certificate["r"], certificate["s"], strict=True):
        X = np.asarray(distribution.log_p) + z
        X = X - (X @ s / s.sum())[:, None]
        X = X - (r @ X / r.sum())[None, :]
        total += (np.linalg.svd(np.sqrt(np.outer(r, s)) * X, compute_uv=False)[spec.dim :] ** 2).sum()
    return total


@given(strategies.positive_distributions(), st.data())
def test_certify_is_verified_and_below_a_fit(distribution, data):
    dim, bias = data.draw(strategies.head_specs(distribution.vocab))
    start = Head(np.zeros((distribution.contexts, dim)), np.zeros((distribution.vocab, dim)))
    limit = data.draw(st.sampled_from([None, 0.5, 4.0]))
    spec = HeadSpec(dim, bias, max_underestimate=limit)
    bound = certify(distribution, spec, start, Effort(single=10, metrics=2, several=6, stages=(1.0,), split=(0.3,)))
    verdict = verify(bound, distribution, spec)
    assert verdict.ok, verdict.message
    if limit is None:
        upper = catalogue["plug-in-unigram"](distribution, spec).value
        assert bound.value <= upper + rounding(1.0, distribution.contexts * distribution.vocab)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("limit", [None, 2.0])
def test_a_certificate_meets_the_floor_where_it_is_exact(bias, limit):
    """Near the unigram law, a bias and no dimension; near uniform, one context and nothing at all."""
    near_unigram = families.near_unigram(contexts=10, vocab=8, eps=0.01)
    distribution = near_unigram if bias else tilted(1, 5, 1e-3)
    spec = HeadSpec(0, bias, max_underestimate=limit if bias else 0.01)
    floor = near_unigram.mutual_information if bias else math.log(5) - distribution.entropy
    bound = certify(distribution, spec, effort=BRIEF)
    assert bound.value == pytest.approx(floor, rel=1e-6, abs=0)
    assert verify(bound, distribution, spec).ok


def test_a_fit_is_proved_globally_optimal():
    """A Zipfian law of log-ratio scale 0.3 at d = 1: fit and certificate meet."""
    distribution = families.zipf(contexts=60, vocab=40, rank=40, scale=0.3, seed=0)
    gap = fitted_gap(distribution, HeadSpec(1), starts=0)
    bound = certify(distribution, HeadSpec(1, max_underestimate=4.0), effort=Effort(single=300, metrics=1))
    assert bound.value <= gap <= bound.value * (1 + 1e-3)


def test_more_metrics_prove_more():
    distribution, spec = dirichlet(10, 9, seed=4), HeadSpec(2, max_underestimate=2.0)
    one = certify(distribution, spec, effort=Effort(single=400, metrics=1))
    several = certify(distribution, spec, effort=Effort(single=400, metrics=4, several=400))
    assert several.value > 1.01 * one.value
    assert several.value <= fitted_gap(distribution, HeadSpec(2))
    assert several.certificate["z"].shape[0] == 4


def test_a_bias_is_charged_less_than_a_dimension():
    distribution = families.near_unigram(contexts=10, vocab=8, eps=0.2)
    effort = Effort(single=200, metrics=1)
    with_bias = certify(distribution, HeadSpec(0, True, max_underestimate=1.0), effort=effort)
    one_more = certify(distribution, HeadSpec(1, max_underestimate=1.0), effort=effort)
    assert with_bias.value > 1.05 * one_more.value


def test_larger_classes_have_lower_certificates():
    distribution = dirichlet(10, 9, seed=4)
    limits = [0.5, 1.0, 2.0, 4.0, 8.0]
    values = [certify(distribution, HeadSpec(2, max_underestimate=M), effort=BRIEF).value for M in limits]
    assert all(narrow >= wide for narrow, wide in itertools.pairwise(values))
    unlimited = certify(distribution, HeadSpec(2), effort=BRIEF)
    assert 0 < unlimited.value <= fitted_gap(distribution, HeadSpec(2))
    assert unlimited.certificate["cap"] < math.inf


@pytest.mark.parametrize("seed", range(25))
def test_members_of_a_class_are_not_undercut(seed):
    """Each head met on the way of a crude descent is a member of the class that its own underestimate defines."""
    distribution = dirichlet(4, 4, concentration=[0.3, 1.0, 5.0][seed % 3], seed=seed)
    L, pi = np.asarray(distribution.log_p), np.asarray(distribution.weights)
    rng = np.random.default_rng(seed)
    H, W = rng.standard_normal((4, 1)), rng.standard_normal((4, 1))
    for _ in range(3):
        for _ in range(60):
            A = H @ W.T
            G = pi[:, None] * (np.exp(A - logsumexp(A, axis=1)[:, None]) - np.exp(L))
            H, W = H - 2 * G @ W, W - 2 * G.T @ H
        head = Head(H, W)
        spec = HeadSpec(1, max_underestimate=max(head.underestimate(distribution), 1e-3))
        assert BOUND(distribution, spec).value <= head.gap(distribution) + rounding(1.0, 16)


def test_a_table_with_zeros_is_bounded_on_a_positive_block():
    P = np.array([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.7, 0.0], [0.3, 0.4, 0.1, 0.2], [0.6, 0.1, 0.2, 0.1]])
    distribution, spec = ContextualDistribution.from_probabilities(P), HeadSpec(0, True)
    bound = certify(distribution, spec, effort=BRIEF)
    assert 0 < bound.value <= distribution.mutual_information
    assert sorted(bound.certificate["tokens"]) == [0, 1, 2]
    assert verify(bound, distribution, spec).ok
    none = certify(families.one_hot(4), HeadSpec(2), effort=BRIEF)
    assert none.status is Status.NOT_APPLICABLE


def test_efforts_and_heads_are_checked():
    for wrong in ({"single": 0}, {"metrics": 0}, {"finalists": 0}, {"several": -1}, {"stages": ()}, {"split": (0.0,)}):
        with pytest.raises(ValueError, match=r"effort|temperatures"):
            Effort(**wrong)
    other = Head(np.zeros((3, 1)), np.zeros((4, 1)))
    with pytest.raises(ValueError, match="fit a head on this distribution"):
        certify(dirichlet(4, 4), HeadSpec(1), other)


def test_progress_is_told():
    seen = []
    certify(dirichlet(5, 5), HeadSpec(1), effort=BRIEF, watch=lambda spent, value: seen.append((spent, value)))
    values = [value for _, value in seen]
    assert len(seen) >= BRIEF.single // 2
    assert max(values) > 0
