"""Methods compared, one file per package."""

from tests.bench.peers import adam, ours, pymanopt_cg, scikit_learn, scipy_lbfgsb, torch_lbfgs
from tests.bench.peers.method import Method
from tests.bench.problems import Problem

METHODS: tuple[Method, ...] = (
    *ours.METHODS,
    *scipy_lbfgsb.METHODS,
    *torch_lbfgs.METHODS,
    *adam.METHODS,
    *pymanopt_cg.METHODS,
    *scikit_learn.METHODS,
)
"""In the order of the table."""


def methods(problem: Problem) -> list[Method]:
    """Those compared on a problem."""
    fitting = [method for method in METHODS if problem.kind in method.kinds]
    return [method for method in fitting if not problem.only or method.name in problem.only]
