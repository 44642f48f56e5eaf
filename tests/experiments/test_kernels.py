"""Softmax, cost and residual of chunks of logits: the kernel of each array library against the formulas."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest
import torch

from experiments.heads.kernels import Kernel, kernel_for
from experiments.heads.kernels.host import STRIP_ENTRIES, HostKernel
from synth import families, logspace
from synth._array import to_numpy
from tests.experiments.chunks import SCALES, WORLD, draw_logits, errors, slack, stored
from tests.tolerances import LIBRARIES, identity, rounding

LIBRARY = {"numpy": np.asarray, "torch": torch.asarray, "strict": array_api_strict.asarray}


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
