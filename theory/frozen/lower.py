"""The lower counterpart: a tail energy below the loss of every head of a class that the result states."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from theory.bound import Claim, NotApplicable, Side
from theory.frozen.catalogue import FrozenSpec, frozen_catalogue
from theory.frozen.clustered import clusters
from theory.frozen.loewner import Floor, floors
from theory.frozen.problem import FrozenProblem

CLUSTERS = (1, 2, 4)
"""Partitions of the contexts tried, by number of clusters."""

_found: WeakKeyDictionary[FrozenProblem, list[list[Floor]]] = WeakKeyDictionary()

ROWS, TOKENS = 2048, 1024
"""Largest block of contexts (its coupling is a ROWS x ROWS matrix), and tokens of largest curvature kept."""


@frozen_catalogue.register("frozen-lower", Side.LOWER)
def frozen_lower(problem: FrozenProblem, spec: FrozenSpec) -> Claim:
    r"""For heads of a stated curvature: a tail energy in a metric below the averaged Fisher weights.

    Setting: features (N, D), full head W; heads of curvature at least c (``FrozenSpec``).
    Statement: $g_X(r) \ge c \sum_k \gamma_k\, \mathrm{tail}_r(G_k^{1/2} W^\top D_{s_k}^{1/2} \Pi_{s_k})$ over disjoint
    blocks of contexts, $s_{kv} G_k \preceq C_{kv}^c$, $\gamma_k$ one minus the largest coupling
    (``theory.frozen.loewner``).
    Side: lower.
    Tight when: probabilities near uniform and small errors, on features that every token sees alike.
    Assumes: the curvature of the class, and nothing of the features. Implied by $q \ge e^{-M} p$ for
    $c = (e^{-M} - 1 + M)/M^2$.
    Units: nats per token.
    Cost: for each block and clip O(N^2 V D + N^3), blocks of at most 2048 contexts, the 1024 tokens of largest
    curvature; done once for all ranks of a problem.
    Fails as: not applicable without a curvature; 0 where a block has no more contexts than features.
    Reference: Bach (2010) for the curvature; Eckart and Young (1936).

    >>> import numpy as np
    >>> from theory.frozen import FrozenProblem, FrozenSpec, frozen_catalogue
    >>> rng = np.random.default_rng(0)
    >>> problem = FrozenProblem.of(rng.standard_normal((60, 3)), 0.3 * rng.standard_normal((5, 3)), np.zeros(5))
    >>> frozen_catalogue["frozen-lower"](problem, FrozenSpec(1, curvature=0.4)).value > 0
    True
    """
    if spec.curvature is None:
        raise NotApplicable("needs a class; set curvature in the FrozenSpec, e.g. a little below that of known heads")
    best = max(candidates(problem), key=lambda parts: _tail(parts, spec.rank))
    value = spec.curvature * _tail(best, spec.rank)
    certificate = {"kind": "frozen-loewner", "blocks": [part.certificate() for part in best]}
    return Claim(value, certificate=certificate, reason=f"for heads of curvature at least {spec.curvature:.4g}")


def candidates(problem: FrozenProblem) -> list[list[Floor]]:
    """Certified floors for every partition and clip, kept beside the problem: they serve all ranks."""
    if problem not in _found:
        parts: list[list[Floor]] = []
        for count in CLUSTERS:
            if count <= problem.rows:
                parts += floors(problem, _blocks(problem, count), TOKENS)
        _found[problem] = parts
    return _found[problem]


def _tail(parts: list[Floor], rank: int) -> float:
    return sum(part.gamma * float(part.tails[rank]) for part in parts)


def _blocks(problem: FrozenProblem, count: int) -> list[np.ndarray]:
    """Clusters of contexts, split at random where they exceed ``ROWS``."""
    labels = clusters(problem, count)
    shuffled = np.random.default_rng(0).permutation(problem.rows)
    blocks = []
    for label in range(int(labels.max()) + 1):
        rows = shuffled[labels[shuffled] == label]
        blocks += [np.sort(part) for part in np.array_split(rows, -(-len(rows) // ROWS))]
    return blocks
