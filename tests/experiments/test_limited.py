"""Fits inside a limited class: the pull and its gradient, membership, closed forms, what is stored, the command."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import array_api_strict
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.cli import main
from experiments.config import Solver, load_config
from experiments.figures.floor import panel
from experiments.heads import Options, fit, fit_limited
from experiments.heads.limited import envelope
from experiments.heads.pulled import MARGIN, Pulled
from experiments.limited import Limits, carried, effort_of, limited_curve, limited_record
from experiments.store import RunFolder
from synth import ContextualDistribution, families, strategies
from tests.experiments.test_cli import fails
from tests.tolerances import LIBRARIES, ORDER, identity, rounding
from theory import HeadSpec, sandwich, verify
from theory.certificate import Effort, certify

PEAKED = families.zipf(contexts=20, vocab=12, rank=12, scale=3.0, seed=0)
"""Fits of few dimensions lie far outside the class M = 4."""

BRIEF = Effort(single=30, metrics=1, stages=(1.0, 0.1))
FEW = Options(max_evaluations=400)
M = 4.0


def limited_spec(dim, bias=False, limit=M):
    return HeadSpec(dim, bias, max_underestimate=limit)


def pulled(world, spec, seed=0):
    """An objective with multipliers, and a point where some entries are pulled."""
    objective = Pulled(world, spec)
    rng = np.random.default_rng(seed)
    objective.multipliers = rng.uniform(0, 1, (world.contexts, world.vocab))
    return objective, rng.standard_normal(objective.size), rng.standard_normal(objective.size)


def remainders(objective, x, v, steps, factor=1.0):
    at = objective.evaluate(x)
    return [abs(objective.value(x + h * v) - at.gap - factor * h * at.gradient @ v) for h in steps]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("world", [PEAKED, families.sparse(contexts=12, vocab=9, k=3, seed=1)])
def test_the_gradient_converges_at_its_order(world, bias):
    objective, x, v = pulled(world, limited_spec(2, bias, 1.0))
    steps = np.array([4e-3, 2e-3, 1e-3])
    assert objective.value(x) > Pulled(world, limited_spec(2, bias, 1e3)).value(x)  # something is pulled
    slope = np.polyfit(np.log(steps), np.log(remainders(objective, x, v, steps)), 1)[0]
    assert abs(slope - 2) <= 2 * ORDER  # the penalty's second derivative jumps where an entry begins to be pulled
    off = np.polyfit(np.log(steps / 1000), np.log(remainders(objective, x, v, steps / 1000, 1.01)), 1)[0]
    assert abs(off - 1) <= ORDER


@given(strategies.distributions(), st.integers(1, 40))
def test_chunks_change_nothing(world, entries):
    spec = limited_spec(min(2, world.vocab - 1), True, 1.0)
    whole, parts = Pulled(world, spec), Pulled(world, spec, entries)
    x = np.random.default_rng(0).standard_normal(whole.size)
    for objective in (whole, parts):
        objective.renew(x)
    one, other = whole.evaluate(x), parts.evaluate(x)
    assert abs(one.gap - other.gap) <= identity() * (1 + abs(one.gap))
    assert np.abs(one.gradient - other.gradient).max() <= identity()
    assert np.abs(one.unigram - other.unigram).max() <= identity()
    assert np.abs(whole.multipliers - parts.multipliers).max() <= identity()


def test_another_array_library_gives_the_same():
    objective, x, _ = pulled(PEAKED, limited_spec(2))
    strict = Pulled(PEAKED.on(array_api_strict.zeros(1, dtype=array_api_strict.float64)), limited_spec(2))
    strict.multipliers = array_api_strict.asarray(objective.multipliers)
    here, there = objective.evaluate(x), strict.evaluate(array_api_strict.asarray(x))
    assert there.gap == pytest.approx(here.gap, rel=LIBRARIES, abs=0)
    np.testing.assert_allclose(np.asarray(there.gradient), here.gradient, rtol=0, atol=LIBRARIES)


@settings(max_examples=30)
@given(strategies.distributions(), st.integers(0, 2), st.booleans(), st.sampled_from([0.5, 2.0, 8.0]))
def test_what_is_found_lies_in_the_class_between_the_bounds(world, dim, bias, limit):
    dim = min(dim, world.vocab)
    spec = limited_spec(dim, bias, limit)
    found = fit_limited(world, spec, fit(world, HeadSpec(dim, bias), FEW), options=FEW)
    if found is None:  # no head lies there, or none was met: the envelope certainly does not
        objective = Pulled(world, spec)
        assert envelope(objective).underestimate(world) > limit
        return
    assert found.head.belongs_to(spec, world)
    assert found.gap == pytest.approx(found.head.gap(world), rel=0, abs=rounding(found.gap, 36))
    law = sandwich(world, spec, found)
    assert law.in_class
    assert law.holds


def test_a_gap_below_the_certificate_is_caught():
    spec = limited_spec(2)
    found = fit_limited(PEAKED, spec, fit(PEAKED, HeadSpec(2)), options=FEW)
    bound = certify(PEAKED, spec, found.head, BRIEF)
    assert 0 < bound.value <= found.gap
    assert verify(bound, PEAKED, spec).ok
    law = sandwich(PEAKED, spec, found, also=[bound])
    assert law.holds
    assert not replace(law, fit_gap=0.9 * law.lower.value).holds


def test_the_closed_form_of_two_contexts_without_dimensions():
    """``q = (x, 1 - x)`` for all contexts: the rare context's token binds at ``1 - x = e^-M (1 - eps)``."""
    eps, weights, limit = 0.01, np.array([0.99, 0.01]), 2.0
    P = np.array([[1 - eps, eps], [eps, 1 - eps]])
    world, spec = ContextualDistribution.from_probabilities(P, weights), limited_spec(0, True, limit)

    def gap(least):
        q = np.array([1 - least * (1 - eps), least * (1 - eps)])
        return float(weights @ (P * np.log(P / q)).sum(axis=1))

    plain = fit(world, HeadSpec(0, True))
    found = fit_limited(world, spec, plain, options=FEW)
    assert plain.gap < gap(math.exp(-limit)) - identity()
    assert gap(math.exp(-limit)) - identity() <= found.gap <= gap(math.exp(-limit * (1 - MARGIN))) + identity()


def test_a_fit_that_lies_there_is_taken_and_an_empty_class_is_said():
    near = families.zipf(contexts=14, vocab=9, rank=9, scale=0.3, seed=0)
    plain = fit(near, HeadSpec(1))
    found = fit_limited(near, limited_spec(1), plain)
    assert (found.head, found.status) == (plain.head, plain.status)
    assert found.spec == limited_spec(1)
    assert fit_limited(PEAKED, limited_spec(0, limit=0.1), fit(PEAKED, HeadSpec(0))) is None  # the uniform law only
    with pytest.raises(ValueError, match="give HeadSpec a max_underestimate"):
        fit_limited(PEAKED, HeadSpec(1), fit(PEAKED, HeadSpec(1)))


def test_the_envelope_lies_in_the_class_and_more_dimensions_are_never_worse():
    log_z = math.log(np.exp(PEAKED.log_p).max(axis=0).sum())
    for spec in (limited_spec(1), limited_spec(0, True), limited_spec(2, True)):
        head = envelope(Pulled(PEAKED, spec))
        assert head.dim <= spec.dim
        assert head.underestimate(PEAKED) == pytest.approx(log_z, rel=0, abs=rounding(10, 12))
    below = fit_limited(PEAKED, limited_spec(2), fit(PEAKED, HeadSpec(2)), options=FEW)
    hasty = fit_limited(PEAKED, limited_spec(3), fit(PEAKED, HeadSpec(3)), below, Options(max_evaluations=1))
    assert hasty.gap <= below.gap + rounding(1, 240)


def test_a_certificate_is_carried_down_to_fewer_dimensions_and_never_up(folder):
    fits = [fit(PEAKED, HeadSpec(dim), FEW) for dim in (1, 2, 3)]
    found = list(limited_curve(PEAKED, fits, Limits(M, FEW, BRIEF), folder))
    values = (0.1, 0.3, 0.2)
    given = [
        replace(one, certificate=replace(one.certificate, value=value))
        for one, value in zip(found, values, strict=True)
    ]
    kept = [one.certificate for one in carried(given)]
    assert [bound.value for bound in kept] == [0.3, 0.3, 0.2]
    assert [bound.name.endswith("at d = 2") for bound in kept] == [True, False, False]
    assert carried(given)[0].inside is given[0].inside


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path / "run", np.zeros(1))
    run.describe({"sentence": "a test"})
    return run


def test_an_interrupted_curve_goes_on_where_it_stopped(folder):
    fits = [fit(PEAKED, HeadSpec(dim)) for dim in (1, 2)]
    limits = Limits(M, FEW, BRIEF)

    def stop(dim, trace):
        if dim == 2 and trace.iterations == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(limited_curve(PEAKED, fits, limits, folder, stop))
    assert {path.name for path in folder.path.glob("[lf]*.npz")} == {"limited-0001.npz"}
    touched = []

    def watch(dim, _):
        touched.append(dim)

    for plain, found in zip(fits, limited_curve(PEAKED, fits, limits, folder, watch), strict=True):
        assert found.fitted.gap <= min(plain.gap, found.inside.gap)
        line = limited_record(PEAKED, sandwich(PEAKED, plain.spec, plain), found)
        assert line["limited_holds"]
        assert line["underestimate"] > M
        below = replace(found, inside=replace(found.inside, gap=0.9 * line["limited_lower"]))
        assert not limited_record(PEAKED, sandwich(PEAKED, plain.spec, plain), below)["limited_holds"]
    assert set(touched) == {2}


def test_a_certificate_comes_back_as_it_was_and_only_as_what_it_is(folder):
    spec = limited_spec(2)
    bound = certify(PEAKED, spec, effort=BRIEF)
    folder.save_certificate(spec, BRIEF, bound)
    back = folder.load_certificate(spec, BRIEF)
    assert back.value == bound.value
    assert verify(back, PEAKED, spec).ok
    assert folder.load_certificate(limited_spec(2, limit=5.0), BRIEF) is None
    assert folder.load_certificate(spec, Effort(single=31, metrics=1, stages=(1.0, 0.1))) is None
    path = folder.path / "certificate-0002.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert folder.load_certificate(spec, BRIEF) is None


SMALL = ["floor", "--family", "zipf", "--contexts", "20", "--vocab", "12", "--rank", "12", "--scale", "3", "--dims"]
SMALL += ["1", "2", "--max-underestimate", "4", "--certificate-evaluations", "30"]


def test_the_command_shows_the_class_and_does_nothing_twice(tmp_path, capsys, monkeypatch):
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "heads with q >= e^-M p, M = 4:" in said
    (place,) = tmp_path.iterdir()
    data = pd.read_parquet(place / "floor.parquet")
    assert data["limited_holds"].all()
    assert (data["limited_lower"] <= data["limited_gap"]).all()
    assert (data["gap"] <= data["limited_gap"]).all()
    assert (data["limited_lower"] > data["lower"]).all()
    monkeypatch.setattr("experiments.limited.fit_limited", lambda *_: pytest.fail("fitted again"))
    monkeypatch.setattr("experiments.limited.certify", lambda *_: pytest.fail("certified again"))
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == said


def test_the_figure_names_the_class_and_keeps_to_what_was_asked(tmp_path):
    assert main([*SMALL, "--out", str(tmp_path)]) == 0
    (place,) = tmp_path.iterdir()
    data, facts = pd.read_parquet(place / "floor.parquet"), json.loads((place / "config.json").read_text())
    limited, plain = (
        {r"fitted inside $q \geq e^{-4} p$", r"proved lower bound, $q \geq e^{-4} p$"},
        "proved lower bound",
    )
    figure, (left, right) = plt.subplots(1, 2)
    panel(left, data, facts)
    panel(right, data.drop(columns=[name for name in data if name.startswith("limit")]), facts)
    with_class, without = (set(axis.get_legend_handles_labels()[1]) for axis in (left, right))
    plt.close(figure)
    assert limited <= with_class
    assert not limited & without
    assert plain in without


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max-underestimate", "-1"], "max_underestimate must be > 0"),
        (["--max-underestimate", "nan"], "max_underestimate must be > 0"),
        (["--certificate-metrics", "0"], "certificate_metrics must be >= 1, found 30 and 0"),
    ],
)
def test_bad_limits_are_one_line_and_nothing_is_written(tmp_path, capsys, flags, message):
    assert fails(capsys, [*SMALL, *flags, "--out", str(tmp_path / "runs")], message)
    assert not (tmp_path / "runs").exists()


def test_a_config_file_names_the_class(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[heads]\nmax_underestimate = 4\n[solver]\ncertificate_metrics = 3\n")
    config = load_config(path)
    assert config.heads.max_underestimate == M
    assert effort_of(config.solver) == Effort(single=150, metrics=3, several=150)
    assert effort_of(Solver()) == Effort(single=150, metrics=1, several=0)
