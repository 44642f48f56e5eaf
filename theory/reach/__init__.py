"""Which tokens and sets of tokens a head can put on top, and how much of a gradient it passes back."""

from theory.reach.argmaxable import Argmaxable, argmaxable
from theory.reach.closure import ClosureRank, closure_rank, finite_rank, sign_rank_floor
from theory.reach.exact import ExactRule, curve_reaches, exact_rule, moment_curve
from theory.reach.gradient import GradientShare, gradient_share, head_gradient_share, step_on_logits
from theory.reach.least_norm import selected_share
from theory.reach.proof import Hull, Win
from theory.reach.random_head import basri_jacobs, largest_set, selected_by_least_norm
from theory.reach.topm import Reach, Reachability, recheck, top_m

__all__ = [
    "Argmaxable",
    "ClosureRank",
    "ExactRule",
    "GradientShare",
    "Hull",
    "Reach",
    "Reachability",
    "Win",
    "argmaxable",
    "basri_jacobs",
    "closure_rank",
    "curve_reaches",
    "exact_rule",
    "finite_rank",
    "gradient_share",
    "head_gradient_share",
    "largest_set",
    "moment_curve",
    "recheck",
    "selected_by_least_norm",
    "selected_share",
    "sign_rank_floor",
    "step_on_logits",
    "top_m",
]
