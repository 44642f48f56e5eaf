"""Which kernel serves the arrays of a library."""

from __future__ import annotations

from experiments.heads.kernels.host import HostKernel
from experiments.heads.kernels.plain import Kernel
from experiments.heads.kernels.tensors import TensorKernel
from synth._array import Array, library, on_host


def kernel_for(array: Array) -> Kernel:
    """The fastest kernel for the library and device of ``array``."""
    match library(array):
        case "numpy":
            return HostKernel()
        case "torch":
            return TensorKernel(on_host(array))
        case _:
            return Kernel()
