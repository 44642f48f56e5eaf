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
    """The library of ``array``: "numpy", "torch", "cupy", or "other"."""
    if array_api_compat.is_numpy_array(array):
        return "numpy"
    if array_api_compat.is_torch_array(array):
        return "torch"
    return "cupy" if array_api_compat.is_cupy_array(array) else "other"


def on_host(array: Array) -> bool:
    """Whether ``array`` lies in the host's memory, as far as its library tells."""
    return library(array) == "numpy" or "cpu" in str(device(array)).lower()


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
    booleans keep their own kind.  What is there already is not copied, and does not pass through the host.
    """
    xp = namespace(reference)
    if is_array(values) and library(values) == library(reference) and device(values) == device(reference):
        floating = xp.isdtype(values.dtype, "real floating")
        return xp.astype(values, dtype or (reference.dtype if floating else values.dtype), copy=False)
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


def put(matrix: Array, rows: Array, columns: Array, values: Array) -> Array:
    """``matrix`` with ``values`` written at distinct positions ``(rows, columns)``, in place where possible."""
    try:
        matrix[rows, columns] = values
        return matrix
    except IndexError:  # the strict namespace has no integer-array assignment
        host = to_numpy(matrix).copy()
        host[to_numpy(rows), to_numpy(columns)] = to_numpy(values)
        return like(host, matrix)


def bin_sums(values: Array, bins: Array, count: int) -> Array:
    """Sums of the ``values`` (n,) that fall in each of ``count`` bins, ``bins`` (n,) given; added up in float64."""
    match library(values):
        case "numpy" | "cupy":
            return namespace(values).bincount(bins, weights=values, minlength=count).astype(values.dtype)
        case "torch":
            sums = namespace(values).zeros(count, dtype=namespace(values).float64, device=values.device)
            return sums.index_add_(0, bins, values.to(sums.dtype)).to(values.dtype)
        case _:
            return like(np.bincount(to_numpy(bins), to_numpy(values), minlength=count), values)
