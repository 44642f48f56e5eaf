"""Softmax, cost and residual of a chunk of logits: the work of an evaluation that is not a matrix product.

``kernel_for(array)`` names the fastest ``Kernel`` for the library and device of an array: strips that stay in the
cache for NumPy, few passes for torch, one CUDA kernel for arrays on a GPU where CuPy is installed, and the plain
array-API formulas for everything else.  All give the same numbers up to rounding.
"""

from experiments.heads.kernels.choice import kernel_for
from experiments.heads.kernels.plain import Kernel

__all__ = ["Kernel", "kernel_for"]
