"""Every array library gives the same numbers, and gives back its own kind, dtype and device."""

from __future__ import annotations

import numpy as np
import pytest

from synth import ContextualDistribution, families, moves
from synth._array import device, epsilon, namespace, to_numpy
from tests.tolerances import LIBRARIES, identity


def strict_reference(dtype):
    xp = pytest.importorskip("array_api_strict")
    return xp.zeros(1, dtype=getattr(xp, dtype))


def torch_reference(dtype):
    torch = pytest.importorskip("torch")
    return torch.zeros(1, dtype=getattr(torch, dtype))


def numpy_reference(dtype):
    return np.zeros(1, dtype=dtype)


references = pytest.mark.parametrize("reference", [numpy_reference, strict_reference, torch_reference])
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
worlds = pytest.mark.parametrize(
    "world", [families.zipf(7, 9, 3, seed=1), families.sparse(7, 9, 3, seed=1), families.markov(3, 2, 2, seed=1)]
)


@worlds
@references
@dtypes
def test_numbers_agree_and_arrays_stay_at_home(world, reference, dtype):
    anchor = reference(dtype)
    moved = world.on(anchor)
    tolerance = LIBRARIES if dtype == "float64" else identity(np.float32)
    A = np.random.default_rng(0).standard_normal((3, world.vocab))
    logits = namespace(anchor).asarray(A, dtype=anchor.dtype)
    pairs = [
        (moved.p, world.p),
        (moved.marginal, world.marginal),
        (moved.weights, world.weights),
        (moved.table.entropies(), world.table.entropies()),
        (moved.table.inner(logits, 2, 5), world.table.inner(A, 2, 5)),
        (moved.table.residual(namespace(anchor).asarray(A.copy(), dtype=anchor.dtype), 2, 5), A - world.p[2:5]),
        (moves.permute_tokens(moved, range(world.vocab)[::-1]).p, world.p[:, ::-1]),
        (moves.restrict_tokens(moved, [0, 2])[0].p, moves.restrict_tokens(world, [0, 2])[0].p),
    ]
    for ours, wanted in pairs:
        assert type(ours) is type(anchor)
        assert ours.dtype == anchor.dtype
        assert device(ours) == device(anchor)
        assert np.linalg.norm(to_numpy(ours) - wanted) <= tolerance * np.linalg.norm(wanted)
    assert abs(moved.entropy - world.entropy) <= tolerance * world.entropy
    assert abs(moved.mutual_information - world.mutual_information) <= tolerance * world.marginal_entropy


@references
@dtypes
def test_tables_are_built_in_the_library_of_their_input(reference, dtype):
    anchor = reference(dtype)
    xp = namespace(anchor)
    rows = xp.asarray([[0.25, 0.75, 0.0], [0.5, 0.0, 0.5]], dtype=anchor.dtype)
    built = [
        ContextualDistribution.from_probabilities(rows, [0.25, 0.75]),
        ContextualDistribution.from_log_probabilities(ContextualDistribution.from_probabilities(rows).log_p),
        ContextualDistribution.from_logits(rows),
        ContextualDistribution.from_counts([[1, 3, 0], [2, 0, 2]], reference=anchor),
    ]
    for distribution in built:
        for array in (distribution.log_p, distribution.weights):
            assert type(array) is type(anchor)
            assert array.dtype == anchor.dtype
            assert device(array) == device(anchor)
        assert abs(float(xp.sum(distribution.weights)) - 1) <= 4 * epsilon(anchor)


def test_sampling_does_not_depend_on_the_library():
    world = families.zipf(5, 6, 2, seed=2)
    contexts, tokens = world.sample(100, seed=3)
    other = world.on(torch_reference("float64")).sample(100, seed=3)
    assert np.array_equal(contexts, other[0])
    assert np.array_equal(tokens, other[1])
