"""A lower bound held against the exact value of its certificate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from synth import ContextualDistribution
from theory.balls.arithmetic import sharpened
from theory.balls.conjugate import conjugate
from theory.balls.floors import KINDS, Floor
from theory.balls.table import ball_table
from theory.bound import Bound
from theory.head import HeadSpec
from theory.recheck import ROUNDED, Mismatch

KNOWN: dict[str, Floor] = {**KINDS, "conjugate-certificate": conjugate}
"""Every kind of certificate that balls re-evaluate."""

LAST_DIGITS = 2.0**-31
"""Relative excess up to which a value counts as its certificate's, rounded."""


class Proof(Enum):
    """What ball arithmetic says of a value; each member explains itself."""

    PROVED = "proved: the real number that the certificate yields is at least the value"
    ROUNDED = "rounded: the value exceeds its certificate in the last digits; the lower end is what is proved"
    REFUTED = "refuted: the certificate does not yield the value"

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Enclosure:
    """``lower`` is a proved lower bound on the floor, nats per token; the certificate yields at most ``upper``."""

    lower: float
    upper: float
    proof: Proof
    message: str = ""


def certify(bound: Bound, distribution: ContextualDistribution, spec: HeadSpec) -> Enclosure:
    """Re-evaluate the certificate of a lower bound with balls; its ``lower`` end is a bound to the last digit.

    Known kinds: those of "unigram" at d = 0, "majorization", "probability-floor", "fisher-range-lower",
    "all-k-subsets", "high-mass", "range-floor" and "conjugate-certificate".  A certificate that proves nothing is
    refuted, with the reason.  Raises ``ValueError`` for bounds without a lower side and for tables of more than 2^14
    entries, ``ImportError`` without python-flint.
    Cost: eigenvalues of a Gram matrix at 192 bits or more, of the order of a second at 60 x 60.

    >>> from synth import families
    >>> from theory import HeadSpec, catalogue
    >>> laws, spec = families.near_unigram(contexts=6, vocab=5, exponent=0.0), HeadSpec(1)
    >>> found = certify(catalogue["majorization"](laws, spec), laws, spec)
    >>> str(found.proof), found.upper - found.lower < 1e-14 * found.upper
    ('proved', True)
    """
    if not bound.side.is_lower or not bound.applies:
        raise ValueError(f"only lower bounds that apply are certified, found {bound.name!r} with status {bound.status}")
    if bound.value == 0:
        return Enclosure(0.0, 0.0, Proof.PROVED, "divergence is non-negative")
    if math.isnan(bound.value):
        return Enclosure(0.0, 0.0, Proof.REFUTED, "the value is not a number")
    kind = bound.certificate.get("kind")
    if kind not in KNOWN:
        raise ValueError(f"certificates of kind {kind!r} are not known in ball arithmetic, only {', '.join(KNOWN)}")
    if spec.float_format is not None and kind not in ROUNDED:
        return Enclosure(0.0, 0.0, Proof.REFUTED, "the certificate speaks of logits that are not rounded")
    try:
        low, high = sharpened(lambda: KNOWN[kind](bound.certificate, ball_table(distribution), spec))
    except Mismatch as why:
        return Enclosure(0.0, 0.0, Proof.REFUTED, str(why))
    proof = Proof.PROVED if bound.value <= low else Proof.ROUNDED
    if bound.value > high + LAST_DIGITS * abs(high):
        proof = Proof.REFUTED
    return Enclosure(max(low, 0.0), max(high, 0.0), proof)
