"""The objective: gradient and curvature by order of convergence, chunks, storage, array libraries."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.heads import Objective
from synth import ContextualDistribution, families, strategies
from synth._array import to_numpy
from tests.tolerances import LIBRARIES, ORDER, identity
from theory import HeadSpec

WORLDS = {
    "zipf": families.zipf(contexts=12, vocab=9, rank=5, seed=1),
    "sparse": families.sparse(contexts=12, vocab=9, k=3, seed=1),
    "counts": families.ngram(np.random.default_rng(0).integers(0, 9, 200), order=2, vocab=9),
}
CLASSES = [HeadSpec(3, bias=False), HeadSpec(2, bias=True)]


def point(objective, seed=0):
    return np.random.default_rng(seed).standard_normal(objective.size)


def slope_of(errors, steps):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("spec", CLASSES)
@pytest.mark.parametrize("world", sorted(WORLDS))
def test_gradient_and_curvature_converge_at_their_order(world, spec, ridge):
    """Taylor remainders: the value with its gradient errs as h^2, the gradient with the Hessian product as h^2."""
    objective = Objective(WORLDS[world], spec, ridge=ridge)
    x, v = point(objective), point(objective, 1)
    at, product = objective.evaluate(x), objective.hessian_product(x, v)
    steps = np.array([1e-2, 5e-3, 2.5e-3, 1.25e-3])
    first = [abs(objective.value(x + h * v) - at.gap - h * at.gradient @ v) for h in steps]
    second = [np.linalg.norm(objective.evaluate(x + h * v).gradient - at.gradient - h * product) for h in steps]
    assert abs(slope_of(first, steps) - 2) <= ORDER
    assert abs(slope_of(second, steps) - 2) <= ORDER


def test_a_wrong_gradient_is_caught():
    """Sabotage twin: with the gradient off by a hundredth the remainder is of first order."""
    objective = Objective(WORLDS["zipf"], CLASSES[1])
    x, v = point(objective), point(objective, 1)
    at = objective.evaluate(x)
    steps = np.array([1e-2, 5e-3, 2.5e-3, 1.25e-3]) / 1000
    wrong = [abs(objective.value(x + h * v) - at.gap - 1.01 * h * at.gradient @ v) for h in steps]
    assert abs(slope_of(wrong, steps) - 1) <= ORDER


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_hessian_is_symmetric_and_gauss_newton_is_semidefinite(world):
    objective = Objective(WORLDS[world], CLASSES[1])
    x = point(objective)
    full = np.stack([objective.hessian_product(x, e) for e in np.eye(objective.size)])
    gauss_newton = np.stack([objective.hessian_product(x, e, gauss_newton=True) for e in np.eye(objective.size)])
    scale = np.abs(full).max()
    assert np.abs(full - full.T).max() <= identity() * scale
    assert np.linalg.eigvalsh(gauss_newton).min() >= -identity() * scale
    assert np.linalg.eigvalsh(full).min() < -identity() * scale  # a random point is not a minimum


@given(strategies.distributions(), st.integers(1, 40))
def test_chunks_change_nothing(distribution, entries):
    spec = HeadSpec(min(2, distribution.vocab - 1), bias=True)
    whole, parts = Objective(distribution, spec), Objective(distribution, spec, chunk_entries=entries)
    x = point(whole)
    one, other = whole.evaluate(x), parts.evaluate(x)
    assert abs(one.gap - other.gap) <= identity() * (1 + abs(one.gap))
    assert np.abs(one.gradient - other.gradient).max() <= identity()
    assert np.abs(whole.hessian_product(x, x) - parts.hessian_product(x, x)).max() <= identity()


@given(strategies.ngram())
def test_sparse_and_dense_storage_agree(sparse):
    dense = ContextualDistribution.from_log_probabilities(sparse.log_p, sparse.weights)
    spec = HeadSpec(min(2, sparse.vocab), bias=True)
    one, other = Objective(sparse, spec, chunk_entries=5), Objective(dense, spec)
    x = point(one)
    a, b = one.evaluate(x), other.evaluate(x)
    assert abs(a.gap - b.gap) <= identity() * (1 + abs(b.gap))
    assert np.abs(a.gradient - b.gradient).max() <= identity()
    assert np.abs(one.hessian_product(x, x) - other.hessian_product(x, x)).max() <= identity()


@given(strategies.distributions())
def test_value_is_the_gap_of_the_head(distribution):
    """The fast objective against the definition: a sum of divergences."""
    objective = Objective(distribution, HeadSpec(1, bias=True))
    x = point(objective)
    assert abs(objective.value(x) - objective.head(x).gap(distribution)) <= identity()
    assert np.array_equal(objective.pack(objective.head(x)), x)


@pytest.mark.parametrize("world", sorted(WORLDS))
@pytest.mark.parametrize("convert", [torch.asarray, array_api_strict.asarray], ids=["torch", "strict"])
def test_array_libraries_agree(world, convert):
    here = Objective(WORLDS[world], CLASSES[1], chunk_entries=30)
    there = Objective(WORLDS[world].on(convert(np.zeros(1))), CLASSES[1], chunk_entries=30)
    x = point(here)
    one, other = here.evaluate(x), there.evaluate(convert(x))
    assert type(other.gradient) is type(convert(x))
    assert other.gradient.dtype == convert(x).dtype
    assert abs(one.gap - other.gap) <= LIBRARIES * (1 + abs(one.gap))
    assert np.abs(one.gradient - to_numpy(other.gradient)).max() <= LIBRARIES


def test_work_is_counted_in_matrix_products():
    objective = Objective(WORLDS["counts"], CLASSES[0])
    x = point(objective)
    objective.value(x)
    objective.evaluate(x)
    assert objective.evaluations == 4 / 3
    objective.hessian_product(x, x)
    assert objective.work == 4 + 7


def test_bad_chunks_are_refused():
    with pytest.raises(ValueError, match=r"chunk_entries must be >= 1, found 0"):
        Objective(WORLDS["zipf"], CLASSES[0], chunk_entries=0)
    with pytest.raises(ValueError, match=r"dim = 10 exceeds the vocabulary of 9 tokens"):
        Objective(WORLDS["zipf"], HeadSpec(10))
