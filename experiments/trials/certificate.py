"""The trial "certificate": how close a conjugate certificate comes to a fitted floor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.heads import certified, fit
from experiments.trials.registry import trial
from synth import families
from theory import HeadSpec, verify
from theory.certificate import Effort


@dataclass(frozen=True)
class Certificate:
    """A Zipfian law of full rank, a head, the limit of its class, and how hard the certificate is searched for."""

    contexts: int = 60
    """Number of contexts C."""
    vocab: int = 40
    """Number of tokens V; the rank of the logits is V."""
    scale: float = 1.0
    """Standard deviation of the interaction logits."""
    dim: int = 3
    """Dimension of the head."""
    bias: bool = False
    """Whether the head has a bias."""
    limit: float | None = 4.0
    """M of the class q >= e^-M p; unset for all heads."""
    single: int = Effort.single
    """Evaluations with one metric."""
    metrics: int = Effort.metrics
    """Metrics of the certificate."""
    several: int = Effort.several
    """Evaluations with them."""


@trial("certificate")
def certificate(parameters: Certificate, seed: int) -> Iterator[dict[str, Any]]:
    """A fitted floor, the best certificate of its class and their ratio; one record, nats per token.

    ``in_class`` says whether the fitted head, which no limit was imposed on, lies in the class of the certificate.
    """
    law = families.zipf(parameters.contexts, parameters.vocab, parameters.vocab, scale=parameters.scale, seed=seed)
    effort = Effort(parameters.single, parameters.metrics, parameters.several)
    found = certified(law, fit(law, HeadSpec(parameters.dim, parameters.bias)), parameters.limit, effort)
    assert found.lower is not None
    value = found.lower.value
    yield {
        "gap": found.gap,
        "lower": value,
        "ratio": found.gap / value if value > 0 else math.inf,
        "in_class": found.in_class,
        "globally_optimal": found.globally_optimal,
        "underestimate": found.head.underestimate(law),
        "verified": verify(found.lower, law, found.spec).ok,
        "holds": not found.in_class or value <= found.gap * (1 + 1e-9),
    }
