"""The memory of a distribution: one decomposition for a whole ladder, the same bits, and nothing kept alive."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from synth import families
from tests.theory.worlds import POSITIVE, dirichlet
from theory import HeadSpec, catalogue, remember
from theory.bound import in_double
from theory.remember import remembered

LADDER = [HeadSpec(dim, bias) for dim in range(6) for bias in (False, True)]


def counted(calls):
    """A remembered function that notes its calls."""

    @remembered
    def total(distribution, power, index):
        calls.append(power)
        return np.sum(distribution.p[index] ** power, axis=0)

    return total


def test_a_result_is_kept_for_the_object_and_the_arguments():
    calls: list = []
    total, distribution = counted(calls), dirichlet(5, 4)
    first = total(distribution, 2, np.array([0, 1]))
    assert total(distribution, 2, np.array([0, 1])) is first
    assert len(calls) == 1
    total(distribution, 2, np.array([1, 0]))
    total(distribution, 2, index=np.array([0, 1]))
    total(distribution, 3, np.array([0, 1]))
    total(dirichlet(5, 4), 2, np.array([0, 1]))  # equal, but another object
    assert len(calls) == 5


def test_nothing_is_kept_beyond_the_room(monkeypatch):
    calls: list = []
    total, distribution = counted(calls), dirichlet(5, 4)
    monkeypatch.setattr(remember, "ROOM", 7)
    index = np.array([0, 1])
    first = total(distribution, 1, index)
    for _ in range(3):
        total(distribution, 2, index)  # four entries, where three are free
    assert calls == [1, 2, 2, 2]
    assert total(distribution, 1, index) is first


def test_an_exception_is_not_kept():
    attempts: list = []

    @remembered
    def fails(distribution):
        attempts.append(distribution.vocab)
        raise ValueError("no")

    distribution = dirichlet(3, 3)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fails(distribution)
    assert len(attempts) == 2


def test_the_memory_dies_with_the_distribution():
    distribution = families.zipf(contexts=9, vocab=8, rank=4)
    for entry in catalogue:
        entry(distribution, HeadSpec(2, True))
    ghost = weakref.ref(distribution)
    del distribution
    gc.collect()
    assert ghost() is None


@pytest.mark.parametrize("world", POSITIVE)
def test_what_was_asked_before_changes_no_bit(world):
    """A ladder climbed on one object, and each dimension on an object of its own."""
    distribution = POSITIVE[world]
    fresh = [distribution.with_known(distribution.known) for _ in LADDER]
    for spec, alone in zip(LADDER, fresh, strict=True):
        if spec.dim > distribution.vocab:
            continue
        for entry in catalogue:
            climbed, single = entry(distribution, spec), entry(alone, spec)
            assert climbed.value == single.value, entry.name
            if single.witness is not None:
                assert np.array_equal(climbed.witness.W, single.witness.W)
                assert np.array_equal(climbed.witness.H, single.witness.H)


def test_a_ladder_decomposes_each_matrix_once(monkeypatch):
    shapes: dict[str, list[tuple[int, ...]]] = {"svd": [], "eigh": []}

    def counting(name, decompose):
        return lambda M, *args, **kwargs: shapes[name].append(M.shape) or decompose(M, *args, **kwargs)

    for name in shapes:
        monkeypatch.setattr(np.linalg, name, counting(name, getattr(np.linalg, name)))
    distribution = dirichlet(12, 11)
    for dim in range(1, 6):
        for name in ("full-rank", "plug-in-svd", "plug-in-unigram", "probability-floor", "near-unigram"):
            catalogue[name](distribution, HeadSpec(dim, True))
    assert shapes["svd"].count((12, 11)) == 3  # full-rank, probability-floor, near-unigram
    assert shapes["eigh"].count((11, 11)) == 1 + 4  # plug-in-svd; two anchors times two shares for plug-in-unigram
    assert in_double(distribution) is distribution


def test_a_float32_table_is_converted_once():
    distribution = dirichlet(4, 3).on(np.zeros(1, dtype=np.float32))
    assert in_double(distribution) is in_double(distribution)
    assert in_double(distribution).weights.dtype == np.float64
