"""Random problems by Hypothesis, its targeted search driving the score of a conjecture up.

First a few classics.  Then tables come from ``synth.strategies``: every family, and raw tables of small counts;
Hypothesis generates, and mutates what scored best (``hypothesis.target``).  A strategy of the caller's own takes the
place of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from synth import ContextualDistribution, families
from theory.falsify.problem import Problem
from theory.head import HeadSpec

Limits = dict[str, Any]
"""Keywords of a ``HeadSpec`` beyond dimension and bias."""

LIMITS: list[Limits] = [
    *({"max_underestimate": M} for M in (0.01, 0.1, 1.0, 4.0)),
    *({"logit_range": B} for B in (0.1, 4.0)),
    *({"norm": N} for N in (0.3, 3.0)),
]
"""Limited classes drawn when limits are asked for."""

FORMATS: list[Limits] = [
    *({"float_format": name} for name in ("bfloat16", "fp8-e4m3")),
    *({"float_format": name, "norm": 3.0} for name in ("bfloat16", "fp8-e4m3")),
]
"""Classes of rounded logits drawn when formats are asked for."""

SIZES = (5, 5)
"""Most contexts and most tokens drawn."""


def classics() -> Iterator[Problem]:
    """Small tables with zeros whose floors are known and hard to meet by chance, at every d below their full rank."""
    for distribution in (families.one_hot(3), families.one_hot(4), families.staircase(4), families.all_k_subsets(6, 2)):
        for dim in range(1, distribution.vocab - 1):
            yield from (Problem(distribution, HeadSpec(dim, bias)) for bias in (False, True))


def search(score: Callable[[Problem], float | None], examples: int, seed: int, problems: Any) -> None:
    """Call ``score`` on up to ``examples`` draws from a strategy, mutating those of the highest score.

    ``score`` may end the search by raising a ``BaseException``, which passes through.  Raises ``ValueError`` when the
    strategy has nothing to draw.
    """
    import hypothesis

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.target),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(problems)
    def one(problem: Problem) -> None:
        found = score(problem)
        if found is not None:
            hypothesis.target(max(-1e3, min(found, 1e3)), label="score")

    try:
        one()
    except hypothesis.errors.Unsatisfiable as why:
        raise ValueError(f"the strategy of problems has nothing to draw: {why}") from why


def everywhere(limits: list[Limits]) -> Any:
    """A Hypothesis strategy of problems: a table, then a class for it, limited in half of the cases if any are."""
    from hypothesis import strategies as st

    from synth import strategies

    tables = st.one_of(strategies.positive_distributions(*SIZES), strategies.distributions(*SIZES))
    limited = st.sampled_from([{}] * max(len(limits), 1) + limits)

    def of(distribution: ContextualDistribution) -> Any:
        def build(pair: tuple[int, bool], limit: Limits) -> Problem:
            return Problem(distribution, HeadSpec(*pair, **limit))

        return st.builds(build, strategies.head_specs(distribution.vocab), limited)

    return tables.flatmap(of)


def given(pairs: Any) -> Any:
    """A strategy of problems from one of (distribution, spec) pairs; ``ValueError`` where it draws anything else."""
    from hypothesis.strategies import SearchStrategy

    if not isinstance(pairs, SearchStrategy):
        raise ValueError(f"problems must be a Hypothesis strategy of (distribution, spec) pairs, found {pairs!r}")
    return pairs.map(_problem)


def _problem(pair: Any) -> Problem:
    match pair:
        case (ContextualDistribution() as distribution, HeadSpec() as spec):
            return Problem(distribution, spec)
    kinds = ", ".join(type(part).__name__ for part in (pair if isinstance(pair, tuple) else (pair,)))
    raise ValueError(f"problems must draw (ContextualDistribution, HeadSpec) pairs, found ({kinds})")
