"""The same numbers on a CUDA device, through torch and CuPy arrays; skipped, with the reason, where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.heads import Objective, Options, fit, ladder
from experiments.heads.kernels import kernel_for
from experiments.heads.kernels.fused import has_cupy
from synth import families
from synth._array import device, library, like, to_numpy
from tests.tolerances import LIBRARIES, identity
from theory import HeadSpec

WORLDS = {
    "zipf": families.zipf(contexts=60, vocab=40, rank=12, scale=0.8, seed=4),
    "ngram": families.ngram(np.random.default_rng(1).integers(0, 3, 400), order=3, vocab=3),
    "counts": families.zipf_counts(contexts=40, vocab=6, draws=60, exponent=0.5, seed=0),
    "sparse": families.zipf_counts(contexts=30, vocab=90, seed=1),
}
ATTAINED = ["counts", "ngram", "zipf"]

pytestmark = [pytest.mark.gpu]
libraries = pytest.mark.parametrize("name", ["torch", "cupy"])
worlds = pytest.mark.parametrize("world", sorted(WORLDS))


def cuda_reference(name, dtype="float64"):
    """An array of a library on the device, or a skip that says why there is none."""
    if name == "torch":
        if not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device")
        return torch.zeros(1, dtype=getattr(torch, dtype), device="cuda")
    cupy = pytest.importorskip("cupy", reason="cupy is not installed (extra gpu)")
    if not cupy.is_available():
        pytest.skip("cupy sees no CUDA device")
    return cupy.zeros(1, dtype)


@libraries
@pytest.mark.parametrize("world", ATTAINED)
def test_device_and_cpu_floors_agree(world, name):
    reference = cuda_reference(name)
    spec, options = HeadSpec(1, bias=True), Options(tolerance=1e-12)
    here = fit(WORLDS[world], spec, options)
    there = fit(WORLDS[world].on(reference), spec, options)
    assert device(there.head.W) == device(reference)
    assert abs(there.gap - here.gap) <= 1e-9


@libraries
def test_ladders_agree(name):
    reference, options = cuda_reference(name), Options(tolerance=1e-11)
    here = ladder(WORLDS["zipf"], [0, 1, 3, 5], bias=True, options=options)
    there = ladder(WORLDS["zipf"].on(reference), [0, 1, 3, 5], bias=True, options=options)
    for one, other in zip(here, there, strict=True):
        assert abs(one.gap - other.gap) <= 1e-9


@libraries
@worlds
@pytest.mark.parametrize("bias", [False, True])
def test_objectives_agree(world, name, bias):
    reference, spec = cuda_reference(name), HeadSpec(2, bias=bias)
    for entries in (2**20, 100):
        here = Objective(WORLDS[world], spec, ridge=0.01, chunk_entries=entries)
        there = Objective(WORLDS[world].on(reference), spec, ridge=0.01, chunk_entries=entries)
        x, v = np.random.default_rng(0).standard_normal((2, here.size))
        y, w = like(x, reference), like(v, reference)
        at, other = here.evaluate(x), there.evaluate(y)
        assert device(other.gradient) == device(reference)
        assert abs(there.value(y) - other.gap) <= LIBRARIES
        assert abs(at.gap - other.gap) <= LIBRARIES * (1 + at.gap)
        pairs = [(at.gradient, other.gradient), (at.unigram, other.unigram)]
        pairs.append((here.hessian_product(x, v), there.hessian_product(y, w)))
        frames = here.residual_products(x, np.ones((here.vocab, 1)), np.ones((here.contexts, 1)))
        frame = there.residual_products(y, like(np.ones((here.vocab, 1)), y), like(np.ones((here.contexts, 1)), y))
        pairs += zip(frames, frame, strict=True)
        for one, two in pairs:
            assert np.linalg.norm(one - to_numpy(two)) <= LIBRARIES * (1 + np.linalg.norm(one))


@libraries
@worlds
def test_tables_agree(world, name):
    table, moved = WORLDS[world].table, WORLDS[world].on(cuda_reference(name)).table
    logits = np.random.default_rng(0).standard_normal((5, table.shape[1]))
    log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    place = moved.values
    pairs = [
        (np.exp(table.block(2, 7)), np.exp(to_numpy(moved.block(2, 7)))),
        (table.inner(logits, 2, 7), moved.inner(like(logits, place), 2, 7)),
        (table.residual(logits.copy(), 2, 7), moved.residual(like(logits.copy(), place), 2, 7)),
        (table.divergence(log_q, 2, 7), moved.divergence(like(log_q, place), 2, 7)),
        (table.entropies(), moved.entropies()),
        (table.support_sizes(), moved.support_sizes()),
        (table.token_mass(WORLDS[world].weights), moved.token_mass(like(WORLDS[world].weights, place))),
    ]
    for one, two in pairs:
        assert np.linalg.norm(one - to_numpy(two)) <= LIBRARIES * np.linalg.norm(one)


@libraries
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("vocab", [3, 33, 1000, 70_000])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kernels_agree_for_short_and_long_rows(dtype, vocab, sparse, name):
    """From rows shorter than a warp to rows that no shared memory holds, at logits beyond the range of ``exp``."""
    reference = cuda_reference(name, dtype)
    made = families.zipf_counts if sparse else families.zipf
    world = made(contexts=9, vocab=vocab, seed=0).on(np.zeros(1, dtype))
    for scale in (1.0, 2000.0):
        logits = (scale * np.random.default_rng(0).standard_normal((6, vocab))).astype(dtype)
        found = []
        for place in (np.zeros(1), reference):
            A = like(logits, place)
            kernel, table = kernel_for(A), world.on(place).table
            constants = kernel.constants(table)
            costs, R = kernel.residual(like(logits.copy(), place), table, 2, 8, constants)
            alone = kernel.costs(like(logits.copy(), place), table, 2, 8, constants)
            found.append([to_numpy(array) for array in (costs, alone, R, kernel.softmax(like(logits.copy(), place)))])
        tolerance = LIBRARIES if dtype == "float64" else identity(np.float32)
        for one, two in zip(*found, strict=True):
            assert np.abs(one - two).max() <= tolerance * (1 + np.abs(one).max())


@libraries
def test_the_fused_kernel_serves_the_device(name):
    reference = cuda_reference(name)
    if not has_cupy():
        pytest.skip("cupy is not installed: torch tensors are served by torch alone")
    assert kernel_for(reference).name == "fused CUDA kernel"


@libraries
def test_evaluations_repeat_to_the_bit(name):
    reference = cuda_reference(name)
    if not has_cupy():
        pytest.skip("cupy is not installed: torch adds up sparse rows in no fixed order")
    objective = Objective(WORLDS["sparse"].on(reference), HeadSpec(3, bias=True))
    x = like(np.random.default_rng(0).standard_normal(objective.size), reference)
    objective.evaluate(x)
    one, other = objective.evaluate(x), objective.evaluate(x)
    assert one.gap == other.gap
    assert np.array_equal(to_numpy(one.gradient), to_numpy(other.gradient))


@libraries
def test_float32_products_are_not_rounded_to_tf32(name):
    """TF32 keeps ten bits: a product of ones plus 2^-13 would lose the last."""
    reference = cuda_reference(name, "float32")
    A = like(np.full((64, 64), 1 + 2.0**-13), reference)
    product = to_numpy(A @ A)
    assert library(A) == name
    assert np.abs(product / 64 - (1 + 2.0**-12)).max() <= 2.0**-20


@libraries
def test_float32_fits_come_close_on_the_device(name):
    reference = cuda_reference(name, "float32")
    here = fit(WORLDS["zipf"], HeadSpec(3, bias=True))
    there = fit(WORLDS["zipf"].on(reference), HeadSpec(3, bias=True))
    assert there.head.W.dtype == reference.dtype
    assert abs(there.gap - here.gap) <= 1e-5
