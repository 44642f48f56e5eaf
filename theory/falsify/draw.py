"""Random problems by Hypothesis, its targeted search driving the score of a conjecture up.

First a few classics.  Then tables come from ``synth.strategies``: every family, and raw tables of small counts;
Hypothesis generates, and mutates what scored best (``hypothesis.target``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from synth import families
from theory.falsify.problem import Problem
from theory.head import HeadSpec

LIMITS: list[dict[str, Any]] = [
    {},
    {},
    *({"max_underestimate": M} for M in (0.01, 0.1, 1.0, 4.0)),
    {"logit_range": 0.1},
    {"logit_range": 4.0},
]
"""Limits of the classes drawn when limits are asked for."""

SIZES = (5, 5)
"""Most contexts and most tokens drawn."""


def classics() -> Iterator[Problem]:
    """Small tables with zeros whose floors are known and hard to meet by chance, at every d below their full rank."""
    for distribution in (families.one_hot(3), families.one_hot(4), families.staircase(4), families.all_k_subsets(6, 2)):
        for dim in range(1, distribution.vocab - 1):
            yield from (Problem(distribution, HeadSpec(dim, bias)) for bias in (False, True))


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
        limit: dict[str, Any] = draw(st.sampled_from(LIMITS)) if limits else {}
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
