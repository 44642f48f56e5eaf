"""One CUDA kernel for softmax, cost and residual (``residual.cu``), for CuPy arrays and, through CuPy, torch tensors.

A chunk of logits is read once and written once where a row fits into the shared memory of a block of threads, and
little more where it does not: the limit is the memory bandwidth of the card.  Sums are float64 always; exponentials
are taken in the precision of the logits, so that in float32 the cost of a context is good to about 1e-7 nats.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from experiments.heads.kernels.plain import Kernel
from synth._array import Array, library, namespace
from synth.table import DenseTable, Table

SOURCE = Path(__file__).with_name("residual.cu")

NO_TARGET, DENSE, SPARSE = 0, 1, 2

SCRATCH_BYTES = 256
"""Shared memory that a block needs besides the logits it keeps."""

MOST_THREADS, WARP = 1024, 32


def has_cupy() -> bool:
    """Whether CuPy is installed and sees a device."""
    if find_spec("cupy") is None:
        return False
    import cupy

    return bool(cupy.is_available())


class FusedKernel(Kernel):
    """Chunks of logits on a CUDA device; products and tangents are left to ``others``, the library's own kernel."""

    name = "fused CUDA kernel"

    def __init__(self, others: Kernel) -> None:
        self.others = others

    def product(self, left: Array, right: Array, room: Array | None) -> Array:
        """``left @ right``, in ``room`` where the library allows."""
        return self.others.product(left, right, room)

    def tangent(self, Q: Array, change: Array) -> Array:
        """``Q (dA - Q . dA)``, written over ``change``."""
        return self.others.tangent(Q, change)

    def softmax(self, logits: Array) -> Array:
        """``Q`` (rows, V), written over the logits."""
        _launch(logits, NO_TARGET, True, (0, 0, 0, 0, 0))
        return logits

    def costs(self, logits: Array, table: Table, start: int, stop: int, constants: Array) -> Array:
        """``KL(p_c || q_c)`` (rows,) in float64."""
        return _against(logits, table, start, constants, write=False)

    def residual(self, logits: Array, table: Table, start: int, stop: int, constants: Array) -> tuple[Array, Array]:
        """``KL(p_c || q_c)`` (rows,) in float64, and ``Q - P`` (rows, V), written over the logits."""
        return _against(logits, table, start, constants, write=True), logits


def _against(logits: Array, table: Table, start: int, constants: Array, write: bool) -> Array:
    """Launch against the rows of a table from ``start`` on; returns the costs (rows,)."""
    rows = logits.shape[0]
    if logits.dtype != table.values.dtype:
        raise ValueError(f"logits are {logits.dtype}, the table {table.values.dtype}; bring both to one precision")
    costs = namespace(logits).empty_like(constants[:rows])
    ends = _address(constants[start : start + rows]), _address(costs)
    if isinstance(table, DenseTable):
        p = _contiguous(table.p[start : start + rows, :])
        _launch(logits, DENSE, write, (_address(p), 0, 0, *ends))
    else:
        starts = table.device_starts[start : start + rows + 1]
        _launch(logits, SPARSE, write, (_address(table.p), _address(starts), _address(table.columns), *ends))
    return costs


def _launch(logits: Array, target: int, write: bool, addresses: tuple[int, ...]) -> None:
    """One block of threads for each row of ``logits``, on the library's current stream."""
    if logits.shape[0] == 0:
        return
    if _address(_contiguous(logits)) != _address(logits):
        raise ValueError("the fused kernel needs logits whose rows lie one after another; pass a contiguous array")
    rows, vocab = logits.shape
    size = logits.itemsize
    with _current_stream(logits):
        kernel, room = _compiled(_ordinal(logits), size, target, write)
        kept = min(vocab, (room - SCRATCH_BYTES) // size)
        threads = min(MOST_THREADS, WARP * -(-vocab * size // (WARP * WARP)))
        arguments = [np.uint64(_address(logits)), np.int64(vocab), np.int64(kept), *map(np.uint64, addresses)]
        kernel((rows,), (threads,), tuple(arguments), shared_mem=SCRATCH_BYTES + kept * size)


@cache
def _compiled(ordinal: int, size: int, target: int, write: bool) -> tuple[Any, int]:
    """The kernel for one device, precision and kind of target, and the shared memory it may use, in bytes."""
    import cupy

    real = {8: "double", 4: "float"}[size]
    options = (f"-DREAL={real}", f"-DTARGET={target}", f"-DWRITE={int(write)}")
    kernel = cupy.RawKernel(SOURCE.read_text(), "residual", options)
    room = cupy.cuda.Device(ordinal).attributes["MaxSharedMemoryPerBlockOptin"]
    kernel.max_dynamic_shared_size_bytes = room
    return kernel, room


class _TorchStream:
    """A torch stream as CuPy wants to see it (the CUDA stream protocol)."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer


def _current_stream(array: Array) -> AbstractContextManager:
    """Makes the stream that the array's library is using, on the array's device, CuPy's current one."""
    import contextlib

    import cupy

    scope = contextlib.ExitStack()
    scope.enter_context(cupy.cuda.Device(_ordinal(array)))
    if library(array) == "torch":
        import torch

        pointer = torch.cuda.current_stream(array.device).cuda_stream
        if hasattr(cupy.cuda.Stream, "from_external"):
            scope.enter_context(cupy.cuda.Stream.from_external(_TorchStream(pointer)))
        else:
            scope.enter_context(cupy.cuda.ExternalStream(pointer))
    return scope


def _ordinal(array: Array) -> int:
    """Number of the device that holds the array."""
    return int(array.device.index if library(array) == "torch" else array.device.id)


def _address(array: Array) -> int:
    """Where the array begins in the device's memory."""
    return int(array.data_ptr() if library(array) == "torch" else array.data.ptr)


def _contiguous(array: Array) -> Array:
    """The array itself, or a copy of it, with its rows one after another."""
    if library(array) == "torch":
        return array.contiguous()
    import cupy

    return cupy.ascontiguousarray(array)
