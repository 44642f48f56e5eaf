"""Random members of the kinds of heads in the arena, for tests."""

from __future__ import annotations

import numpy as np

from experiments.heads.alternatives import AlternativeObjective, alternatives

BOTH = [(name, bias) for name in alternatives for bias in (False, True)]
"""Every kind, without and with a bias."""


def random_member(kind, distribution, seed):
    """An objective and a random packed head of a kind, its logits of order one."""
    objective, rng = AlternativeObjective(distribution, kind), np.random.default_rng(seed)
    parts = kind.random(distribution.contexts, np.log(objective.base), rng)
    return objective, parts.pack() + 0.5 * rng.standard_normal(objective.size)
