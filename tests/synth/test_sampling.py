"""Samples against probabilities: within five standard errors, which shrink as the square root of the size."""

from __future__ import annotations

import numpy as np
import pytest

from synth import families
from tests.tolerances import ORDER

WORLDS = [families.zipf(6, 5, 2, seed=1), families.sparse(6, 5, 2, seed=2), families.markov(3, 2, 2, seed=3)]


def frequencies(world, size, seed):
    contexts, tokens = world.sample(size, seed)
    assert len(contexts) == len(tokens) == size
    joint = np.zeros((world.contexts, world.vocab))
    np.add.at(joint, (contexts, tokens), 1 / size)
    return joint


@pytest.mark.parametrize("world", WORLDS)
def test_frequencies_are_within_five_standard_errors(world):
    size = 40_000
    joint = world.weights[:, None] * world.p
    sem = np.sqrt(joint * (1 - joint) / size)
    observed = frequencies(world, size, seed=7)
    assert np.all(np.abs(observed - joint) <= 5 * sem)
    assert np.all(observed[joint == 0] == 0)


@pytest.mark.parametrize("world", WORLDS)
def test_the_standard_error_shrinks_as_one_over_root_n(world):
    sizes = np.array([400, 1600, 6400, 25600])
    joint = world.weights[:, None] * world.p
    errors = [np.mean([np.sum((frequencies(world, n, seed) - joint) ** 2) for seed in range(12)]) ** 0.5 for n in sizes]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope + 0.5) <= ORDER


def test_one_seed_is_one_sample():
    world = WORLDS[0]
    assert np.array_equal(world.sample(50, seed=4), world.sample(50, seed=4))
    assert not np.array_equal(world.sample(50, seed=4), world.sample(50, seed=5))
