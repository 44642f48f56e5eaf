"""The only file that knows array libraries differ.

Numerical code elsewhere is written once against the Python array API standard
(NumPy, torch, CuPy, array-api-strict through ``array-api-compat``): arrays go in, the same kind
comes out, on the device they came from.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

Array = Any
"""An array of any library that follows the Python array API standard."""


def is_array(value: object) -> bool:
    """Whether ``value`` is an array of a library we can compute with (scalars and lists are not)."""
    return array_api_compat.is_array_api_obj(value)


def namespace(*arrays: Array) -> Any:
    """The array-API namespace shared by ``arrays``; ``ValueError`` when they come from different libraries."""
    try:
        return array_api_compat.array_namespace(*arrays)
    except TypeError as error:
        found = ", ".join(sorted({type(array).__module__.split(".")[0] for array in arrays}))
        raise ValueError(
            f"arrays of different or unknown libraries were mixed ({found}); "
            "convert them to one library first, for instance with numpy.asarray"
        ) from error


def library(array: Array) -> str:
    """The library of ``array``, by the name of its module: "numpy", "torch", "cupy", "array_api_strict", ..."""
    return type(array).__module__.split(".")[0]


def on_host(array: Array) -> bool:
    """Whether ``array`` lies in the host's memory."""
    return str(device(array)).startswith(("cpu", "CPU"))


def device(array: Array) -> Any:
    """The device on which ``array`` lives, as its own library names it."""
    return array_api_compat.device(array)


def to_numpy(array: Array) -> np.ndarray:
    """A NumPy copy or view of ``array``, wherever it lives."""
    if array_api_compat.is_torch_array(array):
        return array.detach().cpu().numpy()
    if array_api_compat.is_cupy_array(array):
        return array.get()
    return np.asarray(array)


def like(values: Any, reference: Array, dtype: Any = None) -> Array:
    """``values`` as an array of the library and device of ``reference``.

    Floating-point values take the dtype of ``reference`` unless ``dtype`` is given; integers and
    booleans keep their own kind.
    """
    xp = namespace(reference)
    host = to_numpy(values) if is_array(values) else np.asarray(values)
    if dtype is None and np.issubdtype(host.dtype, np.floating):
        dtype = reference.dtype
    return xp.asarray(np.ascontiguousarray(host), dtype=dtype, device=device(reference))


def to_torch(array: Array) -> Any:
    """A float64 torch tensor of ``array``: torch arrays stay on their device, others go through the host."""
    import torch

    if array_api_compat.is_torch_array(array):
        return array.detach().to(torch.float64)
    return torch.from_numpy(np.array(to_numpy(array), dtype=np.float64))


def from_torch(tensor: Any, reference: Array) -> Array:
    """A torch tensor as an array of the library, device and dtype of ``reference``."""
    if array_api_compat.is_torch_array(reference):
        return tensor.to(device=reference.device, dtype=reference.dtype)
    return like(tensor, reference)


def same_place(array: Array, reference: Array) -> bool:
    """Whether two arrays share library, device and dtype."""
    return type(array) is type(reference) and device(array) == device(reference) and array.dtype == reference.dtype


def epsilon(array: Array) -> float:
    """Machine epsilon of the (floating-point) dtype of ``array``."""
    return float(namespace(array).finfo(array.dtype).eps)


def gather(matrix: Array, rows: Array, columns: Array) -> Array:
    """``matrix[rows, columns]`` for integer index arrays of equal length."""
    return matrix[rows, columns]


def subtract_at(matrix: Array, rows: Array, columns: Array, values: Array) -> Array:
    """``matrix`` with ``values`` subtracted at distinct positions ``(rows, columns)``, in place where possible."""
    try:
        matrix[rows, columns] -= values
        return matrix
    except IndexError:  # the strict namespace has no integer-array assignment
        host = to_numpy(matrix).copy()
        host[to_numpy(rows), to_numpy(columns)] -= to_numpy(values)
        return like(host, matrix)
