"""Numbers with proofs: bounds on the loss floor of softmax heads, and the witnesses and certificates behind them."""

from theory import bounds
from theory.bound import Bound, Claim, NotApplicable, Side, Status, asymptotic, catalogue, exact, lower, upper
from theory.falsify import falsify
from theory.head import Head, HeadSpec
from theory.sandwich import Sandwich, sandwich
from theory.truncation import Anchor, unigram_truncation
from theory.verify import Verdict, verify

__all__ = [
    "Anchor",
    "Bound",
    "Claim",
    "Head",
    "HeadSpec",
    "NotApplicable",
    "Sandwich",
    "Side",
    "Status",
    "Verdict",
    "asymptotic",
    "bounds",
    "catalogue",
    "exact",
    "falsify",
    "lower",
    "sandwich",
    "unigram_truncation",
    "upper",
    "verify",
]
