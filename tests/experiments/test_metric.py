"""Metrics against the Hessian they stand in for: diagonal blocks, choice by memory, balanced factors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.heads import Objective, Options
from experiments.heads.blocks import AVERAGED_SHARE, ContextBlocks, ExactBlocks
from experiments.heads.descent import plan_within
from experiments.heads.metric import AveragedMetric, WhitenedMetric
from experiments.heads.starts import balanced
from synth import families
from tests.tolerances import identity
from theory import HeadSpec

WORLDS = {
    "zipf": families.zipf(contexts=12, vocab=9, rank=5, seed=1),
    "sparse": families.sparse(contexts=12, vocab=9, k=3, seed=1),
}
CLASSES = [HeadSpec(3, bias=False), HeadSpec(2, bias=True)]


def at(objective, seed=0):
    x = np.random.default_rng(seed).standard_normal(objective.size)
    return x, objective.evaluate(x)


def dense_blocks(objective, x, first, count, width):
    """``count`` diagonal blocks (width, width) of the Gauss-Newton matrix, from its products with unit vectors."""
    blocks = np.zeros((count, width, width))
    for block in range(count):
        for column in range(width):
            unit = np.zeros_like(x)
            unit[first + block * width + column] = 1.0
            product = objective.hessian_product(x, unit, gauss_newton=True)
            blocks[block, :, column] = product[first + block * width : first + (block + 1) * width]
    return blocks


def token_blocks(objective, x):
    """``sum_c pi_c q_cv (1 - q_cv) h~_c h~_c'``, written out; the ridge spares the bias, a metric need not."""
    Ht, Q = objective.lift(objective.split(x)[0]), np.concatenate([q for _, _, q in objective.softmax_chunks(x)])
    spread = objective.pi[:, None] * Q * (1 - Q)
    ridge = objective.ridge * objective.base[:, None, None] * np.eye(objective.columns)
    return np.einsum("cv,ci,cj->vij", spread, Ht, Ht) + ridge


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("spec", CLASSES)
@pytest.mark.parametrize("world", sorted(WORLDS))
def test_blocks_are_those_of_the_gauss_newton_matrix(world, spec, ridge):
    """What a metric solves, it gets back from its dense blocks; and no longer when a block is off by a hundredth."""
    objective = Objective(WORLDS[world], spec, ridge=ridge)
    x, evaluation = at(objective)
    averaged, exact = AveragedMetric(objective, x, evaluation), ExactBlocks(objective, x, evaluation)
    of_contexts = dense_blocks(objective, x, 0, objective.contexts, objective.dim)
    of_contexts += AVERAGED_SHARE * objective.pi[:, None, None] * averaged.covariance
    of_tokens = token_blocks(objective, x) + AVERAGED_SHARE * averaged.token_scale[:, None, None] * averaged.moment
    gradient_H, gradient_W = objective.split(evaluation.gradient)
    H, Wt = objective.split(exact.solve(evaluation.gradient))
    accuracy = identity(np.float32)

    def off(blocks, solved, right):
        return np.linalg.norm(np.einsum("nij,nj->ni", blocks, solved) - right) / np.linalg.norm(right)

    assert off(of_contexts, H, gradient_H) <= accuracy
    assert off(of_tokens, Wt, gradient_W) <= accuracy
    assert off(1.01 * of_contexts, H, gradient_H) > accuracy
    only, tokens = objective.split(ContextBlocks(objective, x, evaluation).solve(evaluation.gradient))
    assert np.array_equal(only, H)
    assert np.array_equal(tokens, objective.split(averaged.solve(evaluation.gradient))[1])


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_memory_decides_which_metric_serves_and_the_plan_names_it(world):
    objective = Objective(WORLDS[world], HeadSpec(3))
    pairs = 6 * 2 * 8 * objective.size
    cheap = WhitenedMetric if world == "sparse" else AveragedMetric
    for room, name in (
        (ExactBlocks.bytes_needed(objective), "blocks"),
        (ContextBlocks.bytes_needed(objective), "context blocks"),
        (0, cheap.name),
    ):
        plan = plan_within(objective, Options(memory=max(1, room + pairs)), 0.0, 1.0, 0.0)
        assert plan.metric == name
    assert ContextBlocks.bytes_needed(objective) < ExactBlocks.bytes_needed(objective)


@given(st.integers(0, 10**6), st.sampled_from(CLASSES))
def test_balanced_factors_are_the_same_head_with_equal_diagonal_moments(seed, spec):
    objective = Objective(WORLDS["sparse"], spec)
    x, _ = at(objective, seed)
    turned = balanced(objective, x)
    H, Wt = objective.split(turned)
    W = Wt[:, : objective.dim]
    of_H, of_W = H.T @ (objective.pi[:, None] * H), W.T @ (objective.base[:, None] * W)
    slack, scale = identity(), np.abs(of_H).max()
    assert np.abs(of_H - of_W).max() <= slack * scale
    assert np.abs(of_H - np.diag(np.diag(of_H))).max() <= slack * scale
    before, after = objective.head(x).logits(), objective.head(turned).logits()
    assert np.abs(before - after).max() <= slack * np.abs(before).max()
    assert np.abs(objective.split(x)[0] - H).max() > slack  # it did turn something


def test_an_idle_dimension_is_left_as_it_is():
    objective = Objective(WORLDS["sparse"], CLASSES[0])
    x, _ = at(objective)
    objective.split(x)[0][:, 0] = 0.0
    assert np.array_equal(balanced(objective, x), x)
