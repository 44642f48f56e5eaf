"""Numbers with proofs: bounds on the loss floor of softmax heads, and the witnesses and certificates behind them."""

from theory import bounds
from theory.bound import Bound, Claim, NotApplicable, Side, Status, asymptotic, catalogue, exact, lower, upper
from theory.head import Head, HeadSpec

__all__ = [
    "Bound",
    "Claim",
    "Head",
    "HeadSpec",
    "NotApplicable",
    "Side",
    "Status",
    "asymptotic",
    "bounds",
    "catalogue",
    "exact",
    "lower",
    "upper",
]
