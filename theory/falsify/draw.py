"""Random problems by Hypothesis, its targeted search driving the score of a conjecture up.

Tables come from ``synth.strategies``: every family, and raw tables of small counts.  Hypothesis generates, and mutates
what scored best (``hypothesis.target``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from theory.falsify.problem import Problem
from theory.head import HeadSpec

LIMITS = [
    {},
    {},
    *({"max_underestimate": M} for M in (0.01, 0.1, 1.0, 4.0)),
    {"logit_range": 0.1},
    {"logit_range": 4.0},
]
"""Limits of the classes drawn when limits are asked for."""

SIZES = (5, 5)
"""Most contexts and most tokens drawn."""


def search(score: Callable[[Problem], float | None], examples: int, seed: int, limits: bool) -> None:
    """Call ``score`` on up to ``examples`` drawn problems, mutating those of the highest score.

    ``limits`` adds limited classes of heads.  ``score`` may end the search by raising a ``BaseException``, which
    passes through.
    """
    import hypothesis
    from hypothesis import strategies as st

    from synth import strategies

    @st.composite
    def problems(draw: st.DrawFn) -> Problem:
        tables: Any = st.one_of(strategies.positive_distributions(*SIZES), strategies.distributions(*SIZES))
        distribution = draw(tables)
        dim, bias = draw(strategies.head_specs(distribution.vocab))
        limit: dict[str, float] = draw(st.sampled_from(LIMITS)) if limits else {}
        return Problem(distribution, HeadSpec(dim, bias, **limit))

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.target),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(problems())
    def one(problem: Problem) -> None:
        found = score(problem)
        if found is not None:
            hypothesis.target(max(-1e3, min(found, 1e3)), label="score")

    one()
