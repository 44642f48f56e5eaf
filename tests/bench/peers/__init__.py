"""Methods compared, one file per package."""

from tests.bench.peers import adam, ours, pymanopt_cg, scipy_lbfgsb, torch_lbfgs
from tests.bench.peers.method import Method

METHODS: tuple[Method, ...] = (
    *ours.METHODS,
    *scipy_lbfgsb.METHODS,
    *torch_lbfgs.METHODS,
    *adam.METHODS,
    *pymanopt_cg.METHODS,
)
"""In the order of the table."""
