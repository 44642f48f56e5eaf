"""The parts of a conjugate certificate: maxima, occupation numbers, derivatives, and the suspicion of verify."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory.worlds import dirichlet
from tests.tolerances import ORDER
from theory import HeadSpec, verify
from theory.bounds.conjugate import NAME
from theory.certificate import Effort, certify
from theory.certificate.ascent import Climb
from theory.certificate.dual import COLD, Dual, Metric, Point, Temperatures
from theory.certificate.factors import nonnegative_factors
from theory.certificate.limits import box
from theory.certificate.occupancy import occupancy
from theory.certificate.peak import Box, Quadratic, peak
from theory.certificate.search import Attempt
from theory.recheck.conjugate import conjugate

TABLE, SPEC = dirichlet(6, 5, seed=3), HeadSpec(1, max_underestimate=2.0)
EFFORT = Effort(single=200, metrics=2, several=60)
CERTIFIED = {spec: certify(TABLE, spec, effort=EFFORT) for spec in (SPEC, HeadSpec(1), HeadSpec(1, True))}
FINE = 20001
"""Points of a grid on which an entrywise maximum is looked for."""


@given(
    st.floats(1e-6, 1.0),
    st.floats(1e-8, 10.0),
    st.floats(-8.0, 8.0),
    st.tuples(st.floats(0.1, 30.0), st.floats(0.0, 6.0), st.floats(-1.0, 1.0)),
    st.sampled_from([math.inf, 1e-5, 1e-2, 1.0]),
)
def test_the_entrywise_maximum_is_that_of_a_fine_grid(w, omega, centre, ends, cap):
    one = np.ones((1, 1))
    depth, high, shift = ends
    limits = Box(w * one, -depth * one, high * one).shifted(np.array([shift]))
    found = peak(Quadratic(omega * one, centre * one, 0 * one), limits, cap, None)
    E = np.linspace(-depth + shift, high + shift, FINE)
    values = np.minimum(omega * (E - centre) ** 2, cap) - w * (np.expm1(E) - E)
    step = E[1] - E[0]
    steepest = 2 * omega * (np.abs(E - centre).max() + step) + w * (np.exp(high + shift) + 1)
    assert float(found.value[0, 0]) >= values.max() - 1e-12 * (1 + steepest)
    assert float(found.value[0, 0]) <= values.max() + steepest * step
    warm = peak(Quadratic(omega * one, centre * one, 0 * one), limits, cap, 0.1 * w * one)
    assert warm.smooth[0, 0] >= found.value[0, 0]


@given(st.lists(st.floats(0.0, 10.0), min_size=2, max_size=12), st.floats(1e-4, 10.0), st.data())
def test_occupation_numbers_add_up_and_smooth_from_above(values, temperature, data):
    energies = np.array(values)
    rank = data.draw(st.integers(0, len(energies)))
    y, entropy = occupancy(energies, rank, temperature)
    assert y.sum() == pytest.approx(rank, rel=0, abs=1e-6)
    assert np.all((y >= 0) & (y <= 1))
    top = np.sort(energies)[::-1][:rank].sum()
    most = temperature * len(energies) * math.log(2)
    assert top - 1e-6 * (1 + temperature) <= y @ energies + entropy <= top + most + 1e-6
    sharp, nothing = occupancy(energies, rank, 0.0)
    assert sharp @ energies == pytest.approx(top, rel=1e-12, abs=1e-12)
    assert nothing == 0.0


@given(st.integers(0, 6), st.sampled_from([0.0, 1e-3, 1.0]), st.integers(0, 2**32 - 1))
def test_occupation_numbers_of_a_stack_are_those_of_each(rank, temperature, seed):
    """One table of eigenvalues ends its Newton steps before another: it stays where it was."""
    energies = np.random.default_rng(seed).gamma(0.3, size=(4, 6)) * np.array([[1e-3], [1.0], [1.0], [1e3]])
    y, entropy = occupancy(energies, rank, temperature)
    alone = [occupancy(row, rank, temperature) for row in energies]
    assert np.array_equal(y, [part for part, _ in alone])
    assert np.array_equal(entropy, [part for _, part in alone])


@pytest.mark.parametrize("cap", [math.inf, 0.02])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("heat", [COLD, Temperatures(0.003, 0.05)], ids=["cold", "warm"])
def test_derivatives_have_their_order(cap, bias, heat):
    L, weights = np.asarray(TABLE.log_p), np.asarray(TABLE.weights)
    dual = Dual(L, weights, box(L, weights, SPEC), 1, bias, cap)
    rng = np.random.default_rng(7)
    log_s = np.log(np.exp(L).mean(axis=0))
    metrics = [Metric(0.5 * rng.standard_normal(L.shape), np.log(weights) - 2, log_s + k) for k in range(2)]
    point = Point(tuple(metrics), 0.1 * rng.standard_normal(len(L)))
    way = point.map(lambda part: rng.standard_normal(part.shape))
    here = dual(point, heat)
    slope = sum(float(np.sum(g * d)) for g, d in zip(here.gradient.parts, way.parts, strict=True))
    steps, errors = np.array([1e-2, 5e-3, 2.5e-3, 1.25e-3]) / 8, []
    for step in steps:
        moved = point.map(lambda part, d, step=step: part + step * d, way)
        errors.append(abs(dual(moved, heat).smooth - here.smooth - step * slope))
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 2 - 2 * ORDER
    assert here.smooth <= here.value + 1e-12


def test_a_metric_that_leaves_a_token_out_does_not_end_the_ascent():
    """Weights of 1e-70: rounding of the spectrum must not move their targets, nor their logarithms reach a wall."""
    laws = dirichlet(14, 10, seed=0)
    pi, log_p = np.asarray(laws.weights), np.asarray(laws.log_p)
    dual = Dual(log_p, pi, box(log_p, pi, HeadSpec(2, max_underestimate=4.0), laws.vocab), 2)
    log_s = np.log(np.exp(log_p).mean(axis=0)) - 1.5
    without = np.where(np.arange(10) < 2, -148.99, log_s)
    point = Point((Metric(0 * log_p, np.log(pi), log_s), Metric(0 * log_p, np.log(pi), without)), 0 * pi)
    climb = Climb(dual, 0.1, point)
    after = climb.run(point, [1.0, 0.1], 80)
    assert climb.evaluations >= 40
    assert climb.value > dual(point).value + 1e-3
    assert np.abs(after.metrics[1].z).max() < 1e3


@pytest.mark.parametrize(("share", "splits"), [(0.0, 2), (0.4, 2), (0.6, 1), (1.0, 1)])
def test_what_a_split_leaves_goes_to_the_other_start(share, splits, monkeypatch):
    """The second start gets what is left where that is half of the evaluations at least, and nothing else."""
    given, effort = [], Effort(single=20, metrics=2, several=100)

    def run(attempt, temperatures, evaluations):
        if temperatures == effort.split:
            given.append(evaluations)
            attempt.climb.evaluations += int(share * evaluations)

    monkeypatch.setattr(Attempt, "run", run)
    certify(dirichlet(8, 12, seed=0), HeadSpec(2, max_underestimate=4.0), effort=effort)
    assert given == [100, 100 - int(share * 100)][:splits]


def test_factors_fall_towards_the_table():
    rng = np.random.default_rng(0)
    T = rng.random((8, 3)) @ rng.random((3, 7))
    R, S = nonnegative_factors(T, 3, 0)
    assert np.all(R > 0)
    assert np.all(S > 0)
    one = nonnegative_factors(T, 1, 0)
    assert np.abs(R @ S - T).max() < 0.3 * np.abs(one[0] @ one[1] - T).max()


@pytest.mark.parametrize("spec", CERTIFIED, ids=str)
@pytest.mark.parametrize("name", ["z", "r", "s", "t"])
def test_a_certificate_perturbed_in_any_entry_is_rejected(spec, name):
    """What is claimed must be what the arrays prove: moved past rounding, either way, in any entry."""
    bound = CERTIFIED[spec]
    assert bound.value > 0
    assert verify(bound, TABLE, spec).ok
    for index in np.ndindex(bound.certificate[name].shape):
        for change in (lambda x: 2 * x + 1.0 * (name in "zt"), lambda x: 0.5 * x - 1.0 * (name in "zt")):
            moved = bound.certificate[name].copy()
            moved[index] = change(moved[index])
            assert not verify(replace(bound, certificate={**bound.certificate, name: moved}), TABLE, spec).ok


@pytest.mark.parametrize("spec", CERTIFIED, ids=str)
def test_a_claim_above_the_certificate_is_rejected(spec):
    bound = CERTIFIED[spec]
    assert not verify(replace(bound, value=bound.value * (1 + 1e-6)), TABLE, spec).ok
    assert conjugate(bound.certificate, TABLE, spec) >= bound.value - 1e-14


@pytest.mark.parametrize(
    ("name", "damage", "complaint"),
    [
        ("z", lambda z: z[0], "shapes"),
        ("r", lambda r: r[:, 1:], "shapes"),
        ("z", lambda z: None, "shapes"),
        ("s", lambda s: s * np.nan, "NaN"),
        ("r", lambda r: -r, ">= 0"),
        ("s", lambda s: 0 * s, ">= 0"),
        ("t", lambda t: t[1:], "shift"),
        ("t", lambda t: t + np.inf, "NaN"),
        ("cap", lambda cap: 0.0, "cap"),
        ("cap", lambda cap: math.nan, "cap"),
        ("tokens", lambda _: np.arange(5), "contexts"),
        ("contexts", lambda _: np.array([0, 0, 1, 2, 3, 4]), "contexts"),
        ("kind", lambda _: "majorization", "names no set"),
    ],
)
def test_damaged_certificates_are_rejected_with_a_reason(name, damage, complaint):
    bound = CERTIFIED[HeadSpec(1)]
    damaged = {**bound.certificate, name: damage(bound.certificate.get(name))}
    verdict = verify(replace(bound, certificate=damaged), TABLE, HeadSpec(1))
    assert not verdict.ok
    assert complaint in verdict.message


def test_a_certificate_serves_its_class_only():
    bound = CERTIFIED[SPEC]
    assert bound.certificate["cap"] == math.inf or bound.certificate["cap"] > 0
    assert not verify(bound, TABLE, replace(SPEC, max_underestimate=4.0)).ok
    assert not verify(bound, TABLE, replace(SPEC, dim=2)).ok
    assert not verify(bound, dirichlet(6, 5, seed=4), SPEC).ok
    endless = {**bound.certificate, "cap": math.inf}
    assert "limit" in verify(replace(bound, certificate=endless), TABLE, HeadSpec(1)).message
    assert bound.name == NAME
