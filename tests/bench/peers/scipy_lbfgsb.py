"""L-BFGS-B of SciPy on raw or whitened factors."""

from __future__ import annotations

from functools import partial

from tests.bench.peers.method import Method, Run
from tests.bench.peers.whitening import Coordinates
from tests.bench.problems import Problem
from tests.bench.recorder import Recorder


def descend(recorder: Recorder, whitened: bool) -> None:
    """``scipy.optimize.minimize`` with every tolerance at zero."""
    from scipy.optimize import minimize

    coordinates = Coordinates(recorder, whitened)
    scales, begin = coordinates.begin()
    options = {"maxcor": 20, "maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0}
    minimize(partial(coordinates.evaluate, scales), begin, jac=True, method="L-BFGS-B", options=options)


def variants(problem: Problem, whitened: bool) -> dict[str, Run]:
    """A single one."""
    return {"20 corrections": partial(descend, whitened=whitened)}


METHODS = (
    Method("SciPy L-BFGS-B, whitened", "scipy", partial(variants, whitened=True)),
    Method("SciPy L-BFGS-B, raw", "scipy", partial(variants, whitened=False)),
)
