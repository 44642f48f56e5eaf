"""The same fit on a CUDA device, through torch and CuPy arrays; skipped, with the reason, where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.heads import Options, fit
from synth import families
from synth._array import device
from theory import HeadSpec

WORLDS = {
    "zipf": families.zipf(contexts=60, vocab=40, rank=12, scale=0.8, seed=4),
    "ngram": families.ngram(np.random.default_rng(1).integers(0, 3, 400), order=3, vocab=3),
}


def cuda_reference(library):
    """A float64 array of ``library`` on the device, or a skip that says why there is none."""
    if library == "torch":
        if not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device")
        return torch.zeros(1, dtype=torch.float64, device="cuda")
    cupy = pytest.importorskip("cupy", reason="cupy is not installed (extra gpu)")
    if not cupy.is_available():
        pytest.skip("cupy sees no CUDA device")
    return cupy.zeros(1)


@pytest.mark.gpu
@pytest.mark.parametrize("library", ["torch", "cupy"])
@pytest.mark.parametrize("world", sorted(WORLDS))
def test_device_and_cpu_floors_agree(world, library):
    reference = cuda_reference(library)
    spec, options = HeadSpec(1, bias=True), Options(tolerance=1e-12)
    here = fit(WORLDS[world], spec, options)
    there = fit(WORLDS[world].on(reference), spec, options)
    assert device(there.head.W) == device(reference)
    assert abs(there.gap - here.gap) <= 1e-9
