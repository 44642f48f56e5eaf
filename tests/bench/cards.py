"""What the GPU benchmark needs of an array library: arrays in place, and the seconds that work takes on the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from synth._array import Array


class Host:
    """NumPy and the clock: the reference, and a stand-in where the benchmark itself is tested."""

    name = "NumPy"

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        """An array of zeros."""
        return np.zeros(shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Standard normal numbers."""
        return np.random.default_rng(0).standard_normal(shape).astype(dtype)

    def seconds(self, work: Callable[[], Any], repetitions: int = 5) -> float:
        """The fastest of some runs after a first one."""
        work()
        return min(self._once(work) for _ in range(repetitions))

    def _once(self, work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began


class TorchCard(Host):
    """torch tensors on the current CUDA device, timed by its events."""

    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.name = f"torch {torch.__version__} on {torch.cuda.get_device_name()}"

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        """An array of zeros."""
        return self.torch.zeros(shape, dtype=getattr(self.torch, dtype), device="cuda")

    def normal(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Standard normal numbers."""
        return self.torch.randn(shape, dtype=getattr(self.torch, dtype), device="cuda")

    def _once(self, work: Callable[[], Any]) -> float:
        start, stop = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.torch.cuda.synchronize()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) / 1e3


class CupyCard(Host):
    """CuPy arrays on the current CUDA device, timed by its events."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        self.name = f"CuPy {cupy.__version__} on {device}"

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        """An array of zeros."""
        return self.cupy.zeros(shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Standard normal numbers."""
        return self.cupy.random.standard_normal(shape, dtype=dtype)

    def _once(self, work: Callable[[], Any]) -> float:
        start, stop = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        self.cupy.cuda.Device().synchronize()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, stop) / 1e3


def cards() -> Iterator[Host]:
    """A card for each library that sees a CUDA device, CuPy first; says on the way why one does not."""
    if find_spec("cupy") is None:
        print("CuPy is not installed (pip install -e .[gpu]): neither its arrays nor the fused kernel are measured.")
    else:
        import cupy

        if cupy.is_available():
            yield CupyCard()
        else:
            print("CuPy sees no CUDA device.")
    import torch

    if torch.cuda.is_available():
        yield TorchCard()
    else:
        print("torch sees no CUDA device.")
