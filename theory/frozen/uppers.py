"""Upper bounds on ``g_X(r)``: truncations in four metrics, their smoothness bound, and one secant step beyond.

Notation: ``Sigma`` second moment of the features about their mean (about 0 without a bias), ``J = I - 11'/V``,
``tail_r`` the energy beyond the first r singular values; see ``theory.frozen.metrics``.
"""

from __future__ import annotations

from synth import logspace
from theory.bound import Claim, Side
from theory.frozen.catalogue import FrozenSpec, frozen_catalogue
from theory.frozen.heads import FrozenHead, gap
from theory.frozen.metrics import METRICS, information, raw, unigram, whitened
from theory.frozen.newton import newton_step
from theory.frozen.problem import FrozenProblem


@frozen_catalogue.register("frozen-raw", Side.UPPER)
def frozen_raw(problem: FrozenProblem, spec: FrozenSpec) -> Claim:
    r"""The gap of the truncated decomposition of W itself: what a W-error looks at.

    Setting: features (N, D), full head W.
    Statement: $g_X(r) \le \mathrm{gap}(W_r)$, $W_r$ the truncated decomposition of W.
    Side: upper, with witness.
    Tight when: $r \ge \mathrm{rank}(W)$.
    Assumes: nothing.
    Units: nats per token.
    Cost: one eigendecomposition (D, D) and one pass over the rows.
    Fails as: never; far above the others on real heads.
    Reference: Godey, de la Clergerie and Sagot (2024), section 5.

    >>> import numpy as np
    >>> from theory.frozen import FrozenProblem, FrozenSpec, frozen_catalogue
    >>> problem = FrozenProblem.of(np.eye(4), np.arange(12.0).reshape(3, 4) / 9)
    >>> frozen_catalogue["frozen-raw"](problem, FrozenSpec(2)).value < 1e-12
    True
    """
    return _plug_in(problem, raw(problem).truncation(spec.rank))


# KL(p_n | softmax(logits + delta_n)) <= 1/4 |delta_n J|^2 (theory.bounds.spectral), and delta_n = Delta (x_n - mu).
# Summed with weights pi: 1/4 |J Delta Sigma^{1/2}|^2, least over rank r at the truncation in the whitened metric.


@frozen_catalogue.register("frozen-smoothness", Side.UPPER)
def frozen_smoothness(problem: FrozenProblem, spec: FrozenSpec) -> Claim:
    r"""A quarter of the tail energy of the data-whitened head.

    Setting: features (N, D), full head W.
    Statement: $g_X(r) \le \tfrac14 \mathrm{tail}_r(\Sigma^{1/2} W^\top J)$.
    Side: upper, above the gap of its witness.
    Tight when: two tokens of probability 1/2 hold the mass, and the error is small.
    Assumes: nothing.
    Units: nats per token.
    Cost: one eigendecomposition (D, D) for all ranks.
    Fails as: never; far too large for large vocabularies, whose tokens are mostly improbable.
    Reference: the Hessian bound of log-sum-exp, Boyd and Vandenberghe (2004), section 3.1.5.

    >>> import numpy as np
    >>> from theory.frozen import FrozenProblem, FrozenSpec, frozen_catalogue
    >>> problem = FrozenProblem.of(np.eye(4), np.arange(12.0).reshape(3, 4) / 9, np.zeros(3))
    >>> bound = frozen_catalogue["frozen-smoothness"](problem, FrozenSpec(0))
    >>> round(bound.value, 6)
    0.0
    """
    metric = whitened(problem)
    witness = metric.truncation(spec.rank).on(problem.X)
    return Claim(metric.tail(spec.rank) / 4, witness, {"dominates": True})


@frozen_catalogue.register("frozen-unigram", Side.UPPER)
def frozen_unigram(problem: FrozenProblem, spec: FrozenSpec) -> Claim:
    r"""The gap of the truncation in the Fisher metric at the unigram law.

    Setting: features (N, D), full head W, unigram law $\bar p = \sum_n \pi_n p_n$.
    Statement: $g_X(r) \le \mathrm{gap}$ of the truncation of
    $\Sigma^{1/2} (W - 1 \bar p^\top W)^\top D_{\bar p}^{1/2}$, mapped back; with a bias,
    $b + W\mu$ on centred features.
    Side: upper, with witness.
    Tight when: to second order, where the laws are all near $\bar p$; and from the rank on.
    Assumes: nothing.
    Units: nats per token.
    Cost: two passes over the rows and one eigendecomposition (D, D) for all ranks.
    Fails as: never.
    Reference: Greenacre (1984), correspondence analysis, for the metric.

    >>> import numpy as np
    >>> from theory.frozen import FrozenProblem, FrozenSpec, frozen_catalogue
    >>> problem = FrozenProblem.of(np.eye(4), np.arange(12.0).reshape(3, 4) % 5 / 9, np.zeros(3))
    >>> [frozen_catalogue["frozen-unigram"](problem, FrozenSpec(r)).value < 1e-12 for r in (0, 2)]
    [False, True]
    """
    return _plug_in(problem, unigram(problem).truncation(spec.rank))


@frozen_catalogue.register("frozen-information", Side.UPPER)
def frozen_information(problem: FrozenProblem, spec: FrozenSpec) -> Claim:
    r"""The gap of the truncation in the metric of the Fisher information of contexts and tokens.

    Setting: features (N, D), full head W; $r_n$, $s_v$ the row and column sums of $\pi_n p_{nv}(1 - p_{nv})$.
    Statement: $g_X(r) \le \mathrm{gap}$ of the truncation with squared errors weighted by $r_n s_v$.
    Side: upper, with witness.
    Tight when: as "frozen-unigram", whose metric it is where every context has the same information.
    Assumes: nothing.
    Units: nats per token.
    Cost: two passes over the rows and one eigendecomposition (D, D) for all ranks.
    Fails as: never.
    Reference: none; the rank-one table with given sums is that of independence.

    >>> import numpy as np
    >>> from theory.frozen import FrozenProblem, FrozenSpec, frozen_catalogue
    >>> problem = FrozenProblem.of(np.eye(4), np.arange(12.0).reshape(3, 4) % 5 / 9, np.zeros(3))
    >>> frozen_catalogue["frozen-information"](problem, FrozenSpec(2)).value < 1e-12
    True
    """
    return _plug_in(problem, information(problem).truncation(spec.rank))


@frozen_catalogue.register("frozen-newton", Side.UPPER)
def frozen_newton(problem: FrozenProblem, spec: FrozenSpec) -> Claim:
    r"""The gap after one damped secant step from the best of the truncations.

    Setting: features (N, D), full head W.
    Statement: $g_X(r) \le \mathrm{gap}$ of the head that a damped Gauss-Newton step with secant weights leads to.
    Side: upper, with witness.
    Tight when: the loss is close to its quadratic model, up to the fourth order in the distance from the minimum.
    Assumes: nothing: a head is a head.
    Units: nats per token.
    Cost: about ten passes over the rows (``theory.frozen.newton``).
    Fails as: never; it is no higher than the truncations.
    Reference: Levenberg (1944) for the damping.

    >>> import numpy as np
    >>> from theory.frozen import FrozenProblem, FrozenSpec, frozen_catalogue
    >>> rng = np.random.default_rng(0)
    >>> problem = FrozenProblem.of(rng.standard_normal((40, 5)), rng.standard_normal((7, 5)), np.zeros(7))
    >>> values = [frozen_catalogue[name](problem, FrozenSpec(2)).value for name in ("frozen-newton", "frozen-unigram")]
    >>> values[0] < values[1]
    True
    """
    head, _ = best_truncation(problem, spec.rank)
    return _plug_in(problem, newton_step(problem, head, information(problem)).head)


def best_truncation(problem: FrozenProblem, rank: int) -> tuple[FrozenHead, float]:
    """The truncation of least gap over the four metrics, and its gap; four passes over the rows.

    At rank 0 a bias is best at the unigram law, which joins them.
    """
    heads = [metric(problem).truncation(rank) for metric in METRICS.values()]
    if rank == 0 and problem.bias:
        heads.append(FrozenHead(heads[0].A, heads[0].B, logspace.log(problem.moments.marginal)))
    gaps = [gap(problem, head) for head in heads]
    best = gaps.index(min(gaps))
    return heads[best], gaps[best]


def _plug_in(problem: FrozenProblem, head: FrozenHead) -> Claim:
    return Claim(gap(problem, head), head.on(problem.X))
