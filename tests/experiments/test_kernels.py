"""Softmax, cost and residual of chunks of logits: each kernel against the formulas, the CUDA source run on the host."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.heads.kernels import Kernel, kernel_for
from experiments.heads.kernels.fused import DENSE, NO_TARGET, SOURCE, SPARSE
from experiments.heads.kernels.host import STRIP_ENTRIES, HostKernel
from synth import ContextualDistribution, families, logspace, strategies
from synth._array import to_numpy
from tests.tolerances import EPS, LIBRARIES, identity, rounding

SHIM = Path(__file__).with_name("cuda_on_host.hpp")
LIBRARY = {"numpy": np.asarray, "torch": torch.asarray, "strict": array_api_strict.asarray}
SCALES = [0.1, 10.0, 1e4]
"""Standard deviations of logits: near uniform, peaky, far beyond the range of ``exp``."""


def formulas(logits, P):
    """``KL(p || q)`` of each row and ``Q - P``, in float64 from the definitions."""
    log_q = logspace.log_softmax(logits.astype(np.float64))
    return logspace.divergence(logspace.log(P), log_q), np.exp(log_q) - P


def draw_logits(shape, scale, seed=0):
    return scale * np.random.default_rng(seed).standard_normal(shape) + scale


def stored(distribution, sparse, dtype=np.float64):
    """The same law in either storage and precision, as (table, its probabilities in float64)."""
    build = ContextualDistribution.from_counts if sparse else ContextualDistribution.from_probabilities
    table = build(distribution.p).on(np.zeros(1, dtype=dtype)).table
    P = np.zeros(table.shape)
    if sparse:
        P[table.rows, table.columns] = table.p
    else:
        P[:] = table.p
    return table, P


def errors(costs, R, logits, P):
    """Largest errors of the costs, relative to the logits' size, and of the residual."""
    wanted, residual = formulas(logits, P)
    return np.abs(costs - wanted).max() / (1 + np.abs(logits).max()), np.abs(R - residual).max()


def slack(dtype):
    """Rounding of residuals, and of costs whose exponentials were taken in ``dtype``."""
    return 100 * EPS if dtype == np.float64 else 4 * float(np.finfo(np.float32).eps)


WORLD = families.sparse(contexts=7, vocab=40, k=3, seed=2)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("library", sorted(LIBRARY))
def test_kernels_compute_the_formulas(library, dtype, sparse, scale):
    """Costs to the rounding of float64 in either precision."""
    logits = draw_logits(WORLD.p.shape, scale).astype(dtype)
    convert = LIBRARY[library]
    kernel = kernel_for(convert(logits))
    law, P = stored(WORLD, sparse, dtype)
    table = law.on(convert(np.zeros(1, dtype)))
    constants = kernel.constants(table)
    costs = kernel.costs(convert(logits[2:6].copy()), table, 2, 6, constants)
    again, R = kernel.residual(convert(logits[2:6].copy()), table, 2, 6, constants)
    assert np.abs(to_numpy(costs - again)).max() <= rounding(scale, 40)
    cost_error, residual_error = errors(to_numpy(costs), to_numpy(R), logits[2:6], P[2:6])
    assert cost_error <= LIBRARIES
    assert residual_error <= slack(dtype)
    assert np.abs(to_numpy(kernel.softmax(convert(logits[2:6].copy()))) - P[2:6] - to_numpy(R)).max() <= slack(dtype)


@pytest.mark.parametrize("library", sorted(LIBRARY))
def test_tangent_is_the_change_of_the_softmax(library):
    convert, (A, dA) = LIBRARY[library], (draw_logits((5, 9), 1.0, seed) for seed in (0, 1))
    kernel, step = kernel_for(convert(A)), 1e-6
    central = (np.exp(logspace.log_softmax(A + step * dA)) - np.exp(logspace.log_softmax(A - step * dA))) / (2 * step)
    tangent = kernel.tangent(kernel.softmax(convert(A.copy())), convert(dA.copy()))
    assert np.abs(to_numpy(tangent) - central).max() <= identity() * step**0.5


def test_each_library_has_its_kernel():
    kinds = {name: kernel_for(convert(np.zeros(1))) for name, convert in LIBRARY.items()}
    assert isinstance(kinds["numpy"], HostKernel)
    assert kinds["torch"].name == "torch"
    assert type(kinds["strict"]) is Kernel


def test_chunks_suit_the_host():
    kernel = HostKernel()
    assert kernel.rows(500, 10**9) == 524
    assert kernel.rows(32_000, 10**9) == 256
    assert kernel.rows(32_000, 64_000) == 2
    assert kernel.rows(32_000, 1) == 1


def test_strips_do_not_show():
    """A chunk of more than one strip is worked on like its rows one by one."""
    rows, vocab = 5, STRIP_ENTRIES // 2
    table = families.sparse(contexts=rows, vocab=vocab, k=2, seed=0).table
    logits, kernel = draw_logits((rows, vocab), 3.0), HostKernel()
    constants = kernel.constants(table)
    costs, R = kernel.residual(logits.copy(), table, 0, rows, constants)
    for row in range(rows):
        cost, r = kernel.residual(logits[row : row + 1].copy(), table, row, row + 1, constants)
        assert cost[0] == costs[row]
        assert np.array_equal(r[0], R[row])


# ---------------------------------------------------------------------- the CUDA source, run on the host


class Call(ctypes.Structure):
    """The arguments of the kernel."""

    _fields_ = [
        ("logits", ctypes.c_void_p), ("vocab", ctypes.c_longlong), ("kept", ctypes.c_longlong), ("p", ctypes.c_void_p),
        ("starts", ctypes.c_void_p), ("columns", ctypes.c_void_p), ("constants", ctypes.c_void_p),
        ("costs", ctypes.c_void_p),
    ]  # fmt: skip


class Compiler:
    """Compiles the CUDA source for the host, once for each variant."""

    def __init__(self, folder):
        self.folder, self.built = folder, {}

    def launcher(self, dtype, target, write, change=("", "")):
        key = np.dtype(dtype).name, target, write, change
        if key not in self.built:
            source = self.folder / f"kernel{len(self.built)}.cu"
            source.write_text(SOURCE.read_text().replace(*change))
            library = source.with_suffix(".so")
            real = {"float64": "double", "float32": "float"}[key[0]]
            options = [f"-DREAL={real}", f"-DTARGET={target}", f"-DWRITE={int(write)}", f'-DKERNEL="{source}"']
            command = ["c++", "-std=c++14", "-w", "-O1", "-shared", "-fPIC", *options, "-x", "c++", str(SHIM)]
            subprocess.run([*command, "-o", str(library)], check=True)
            self.built[key] = ctypes.CDLL(str(library)).launch
        return self.built[key]

    def run(self, logits, table, kept=0.5, order=(16, 0), write=True, change=("", "")):
        """Costs and residual (or logits) of a whole chunk; ``order`` = threads, and whether the last goes first."""
        target = NO_TARGET if table is None else SPARSE if hasattr(table, "starts") else DENSE
        launch = self.launcher(logits.dtype, target, write, change)
        A, costs = logits.copy(), np.full(len(logits), np.nan)
        constants = costs if table is None else Kernel().constants(table)
        arrays = [A, None, None, None, constants, costs]
        if table is not None:
            arrays[1:4] = [table.p, *((table.starts, table.columns) if target == SPARSE else (None, None))]
        at = [0 if array is None else array.ctypes.data for array in arrays]
        vocab = A.shape[1]
        call = Call(at[0], vocab, round(kept * vocab), *at[1:])
        assert launch(call, ctypes.c_longlong(len(A)), order[0], order[1]) == 0
        return costs, A


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler to build the CUDA source for the host with")
    probe = tmp_path_factory.mktemp("probe") / "probe.cpp"
    probe.write_text("#include <ucontext.h>\nint main() { ucontext_t context; return getcontext(&context); }\n")
    build = ["c++", str(probe), "-o", str(probe.with_suffix(""))]
    if subprocess.run(build, check=False, capture_output=True).returncode:
        pytest.skip("the C++ compiler has no ucontext.h for the threads of a block")
    return Compiler(tmp_path_factory.mktemp("cuda"))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kept", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("order", [(4, 0), (16, 0), (16, 1)])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cuda_source_computes_the_formulas(compiler, dtype, sparse, order, kept, scale):
    """Rows that fit in shared memory, in part or not at all; more and fewer threads than entries; either order."""
    table, P = stored(WORLD, sparse, dtype)
    logits = draw_logits(WORLD.p.shape, scale).astype(dtype)
    costs, R = compiler.run(logits, table, kept, order)
    assert max(errors(costs, R, logits, P)) <= slack(dtype)
    alone, untouched = compiler.run(logits, table, kept, order, write=False)
    assert np.array_equal(alone, costs)
    assert np.array_equal(untouched, logits)
    Q = compiler.run(logits, None, kept, order)[1]
    assert np.abs(Q - P - R).max() <= slack(dtype)


@settings(max_examples=settings.default.max_examples // 2)
@given(strategies.distributions(), st.booleans(), st.sampled_from([np.float64, np.float32]), st.floats(0, 1))
def test_cuda_source_on_any_law(compiler, distribution, sparse, dtype, kept):
    table, P = stored(distribution, sparse, dtype)
    logits = draw_logits(P.shape, 4.0, seed=1).astype(dtype)
    costs, R = compiler.run(logits, table, kept)
    assert max(errors(costs, R, logits, P)) <= slack(dtype)


def test_cuda_costs_near_the_law_do_not_cancel(compiler):
    """Float32 logits far from zero that nearly are the law: costs good to the rounding of ``exp``.

    Sabotage twin: the difference of their terms, taken in float32, is far worse.
    """
    table, P = stored(families.zipf(contexts=6, vocab=50, rank=6, scale=1.0, seed=0), False, np.float32)
    logits = table.log_p + 1e-3 * draw_logits(P.shape, 1.0).astype(np.float32) + np.float32(50)
    wanted, _ = formulas(logits, P / P.sum(axis=1, keepdims=True))
    terms = logspace.logsumexp(logits) - (table.p * logits).sum(axis=1) - table.entropies()
    eps = np.finfo(np.float32).eps
    assert terms.dtype == np.float32
    assert np.abs(compiler.run(logits, table)[0] - wanted).max() <= eps
    assert np.abs(terms - wanted).max() > 20 * eps


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_cuda_source_tells_of_bad_logits(compiler, bad):
    table, _ = stored(WORLD, True)
    logits = draw_logits(WORLD.p.shape, 1.0)
    logits[3, 5] = bad
    costs, _ = compiler.run(logits, table)
    assert np.isnan(costs[3])
    assert np.all(np.isfinite(np.delete(costs, 3)))


def test_a_wait_left_out_of_the_cuda_source_is_caught(compiler):
    """Sabotage twin: without the wait before p is subtracted, some thread overwrites it with q."""
    table, P = stored(WORLD, True)
    logits = draw_logits(WORLD.p.shape, 1.0)
    hasty = ("    __syncthreads();\n    for (long long k", "    for (long long k")
    found = [compiler.run(logits, table, 1.0, (16, order), change=hasty)[1] for order in (0, 1)]
    assert max(errors(0, R, logits, P)[1] for R in found) > 0.01


@pytest.mark.parametrize("sparse", [False, True])
def test_constants_hold_what_rounded_rows_lack(sparse):
    kernel = Kernel()
    table, P = stored(WORLD, sparse)
    assert np.abs(kernel.constants(table) - table.entropies()).max() <= rounding(1, 40)
    table, P = stored(WORLD, sparse, np.float32)
    constants = kernel.constants(table)
    assert constants.dtype == np.float64
    wanted = P.sum(axis=1) - 1 - (P * np.where(P > 0, np.log(np.where(P > 0, P, 1)), 0)).sum(axis=1)
    assert np.abs(constants - wanted).max() <= np.finfo(np.float32).eps
