"""The CUDA source of the fused kernel, run on the host thread by thread, against the formulas."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.heads import Objective
from experiments.heads.kernels import Kernel, fused
from experiments.heads.kernels.fused import DENSE, NO_TARGET, SOURCE, SPARSE
from experiments.heads.kernels.host import HostKernel
from synth import ContextualDistribution, families, logspace, strategies
from tests.experiments.chunks import SCALES, WORLD, draw_logits, errors, formulas, slack, stored
from tests.tolerances import rounding
from theory import HeadSpec

SHIM = Path(__file__).with_name("cuda_on_host.hpp")


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


@pytest.fixture
def device(compiler, monkeypatch):
    """The host as a device for ``FusedKernel``: NumPy arrays, launches go to the compiled source."""

    def compiled(_ordinal, size, target, write):
        launch = compiler.launcher(f"float{8 * size}", target, write)

        def kernel(grid, block, arguments, shared_mem):
            logits, vocab, kept, *rest = map(int, arguments)
            assert kept == vocab or 256 + size * kept == shared_mem
            assert launch(Call(logits, vocab, kept, *rest), ctypes.c_longlong(grid[0]), block[0], 0) == 0

        return kernel, 256 + 20 * size  # bytes of shared memory: rows of 40 fit in half

    monkeypatch.setattr(fused, "_compiled", compiled)
    monkeypatch.setattr(fused, "_address", lambda array: array.ctypes.data)
    monkeypatch.setattr(fused, "_contiguous", np.ascontiguousarray)
    monkeypatch.setattr(fused, "_ordinal", lambda array: 0)
    monkeypatch.setattr(fused, "_current_stream", lambda array: contextlib.nullcontext())
    return fused.FusedKernel(HostKernel())


@pytest.mark.parametrize("sparse", [False, True])
def test_objective_on_the_fused_kernel(device, sparse):
    """Whole evaluations through the launches, in several chunks, some with fewer rows than the others."""
    P = 0.5 * WORLD.p + 0.5 / WORLD.vocab if not sparse else WORLD.p
    build = ContextualDistribution.from_counts if sparse else ContextualDistribution.from_probabilities
    here, there = (Objective(build(P), HeadSpec(2, bias=True), chunk_entries=120) for _ in range(2))
    there.kernel = device
    x, v = np.random.default_rng(0).standard_normal((2, here.size))
    one, other = here.evaluate(x), there.evaluate(x)
    assert abs(one.gap - other.gap) <= rounding(one.gap, 280)
    assert abs(there.value(x) - other.gap) <= rounding(one.gap, 280)
    assert np.abs(one.gradient - other.gradient).max() <= rounding(1, 280)
    assert np.abs(here.hessian_product(x, v) - there.hessian_product(x, v)).max() <= rounding(1, 280)


def test_the_fused_kernel_refuses_what_it_cannot_read(device):
    table, _ = stored(WORLD, True)
    logits = draw_logits(WORLD.p.shape, 1.0)
    with pytest.raises(ValueError, match="logits are float32, the table float64; bring both to one precision"):
        device.residual(logits.astype(np.float32), table, 0, 7, device.constants(table))
    with pytest.raises(ValueError, match="pass a contiguous array"):
        device.residual(np.asfortranarray(logits), table, 0, 7, device.constants(table))
