"""Which kernel serves the arrays of a library."""

from __future__ import annotations

from experiments.heads.kernels.fused import FusedKernel, has_cupy
from experiments.heads.kernels.host import HostKernel
from experiments.heads.kernels.plain import Kernel
from experiments.heads.kernels.tensors import TensorKernel
from synth._array import Array, library, on_host


def kernel_for(array: Array) -> Kernel:
    """The fastest kernel for the library and device of ``array``."""
    match library(array):
        case "numpy":
            return HostKernel()
        case "torch" if on_host(array):
            return TensorKernel(on_host=True)
        case "torch":
            others = TensorKernel(on_host=False)
            return FusedKernel(others) if has_cupy() else others
        case "cupy":
            return FusedKernel(Kernel())
        case _:
            return Kernel()
