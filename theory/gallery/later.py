"""Claims of papers that followed: a divergence bound, the dimension of top-m selection, the rank of a gradient step."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from synth import families
from theory.bound import catalogue
from theory.gallery.published import Comparison, Finding, published
from theory.head import HeadSpec


@published(
    "conangla-planes-3.1",
    "Conangla Planes 2026, Theorem 3.1",
    "KL(p | softmax(log p + delta)) >= (a / 2e^2) min(t^2, t), a = min p, t the norm of delta centred",
)
def divergence_floor() -> Finding:
    """The least ratio KL / (a min(t^2, t)) that descents over p and delta find, two to four tokens.

    1/e holds in place of 1/(2 e^2), by the argument on the page "probability-floor": a factor 2e was left.
    """
    lowest, rng = math.inf, np.random.default_rng(0)
    for vocab in (2, 3, 4):
        for scale in (0.3, 1.0, 3.0):
            for _ in range(2):
                start = scale * rng.standard_normal(2 * vocab)
                lowest = min(
                    lowest, float(minimize(_ratio, start, method="Nelder-Mead", options={"maxiter": 1000}).fun)
                )
    return Finding(
        as_written=(Comparison("least ratio found", lowest, ">=", 1 / (2 * math.e**2)),),
        correction=f"not tight: the least ratio found is {lowest:.3f}; 1/e = {1 / math.e:.3f}, larger by 2e, holds",
        corrected=(Comparison("least ratio found", lowest, ">=", 1 / math.e),),
    )


def _ratio(x: np.ndarray) -> float:
    """``KL / (a min(t^2, t))`` at ``x = [logits of p, delta]``; +inf where rounding decides."""
    z, delta = np.split(x, 2)
    delta = delta - delta.mean()
    t = float(np.linalg.norm(delta))
    p = np.exp(z - logsumexp(z))
    if t < 1e-3 or p.min() < 1e-9:
        return math.inf
    divergence = float(logsumexp(np.log(p) + delta) - p @ delta)
    return divergence / (p.min() * min(t * t, t))


@published(
    "sign-rank-interval",
    "Basri and Jacobs 2026",
    "the least dimension at which a softmax head can select every m-set of tokens lies in [2m, 2m + 2]",
)
def sign_rank_interval() -> Finding:
    """All m-subsets of 3m + 1 tokens, each uniform, m = 1, 2, 3: where the floor is proved positive, and where zero.

    The dimension is 2m, the lower end; a bias saves one.
    """
    early, late, sharp, with_bias = [], [], [], []
    for m in (1, 2, 3):
        law = families.all_k_subsets(3 * m + 1, m)
        early.append(catalogue["all-k-subsets"](law, HeadSpec(2 * m - 1)).value)
        late.append(catalogue["moment-curve"](law, HeadSpec(min(2 * m + 2, law.vocab))).value)
        sharp.append(catalogue["moment-curve"](law, HeadSpec(2 * m)).value)
        with_bias.append(catalogue["moment-curve"](law, HeadSpec(2 * m - 1, bias=True)).value)
    return Finding(
        as_written=(
            Comparison("least proved floor at d = 2m - 1, nats", min(early), ">", 0),
            Comparison("largest gap of a head at d = 2m + 2, nats", max(late), "<=", 1e-6),
        ),
        corrected=(
            Comparison("largest gap of a head at d = 2m, nats", max(sharp), "<=", 1e-6),
            Comparison("largest gap of a head at d = 2m - 1 with a bias, nats", max(with_bias), "<=", 1e-6),
        ),
        correction="sharper (bounds sparse-support, all-k-subsets): exactly 2m, and 2m - 1 with a bias",
    )


@published(
    "gradient-rank",
    "Godey and Artzi 2026",
    "one gradient step on hidden states and head moves the logits by a matrix of rank at most 2d",
)
def gradient_rank() -> Finding:
    """Rank of ``G W W' + H H' G`` for random factors, C = 60, V = 50, d = 1, 4, 16; and a step against it."""
    rng, excess, step = np.random.default_rng(0), [], []
    for d in (1, 4, 16):
        H, W = rng.standard_normal((60, d)), rng.standard_normal((50, d))
        A = H @ W.T
        G = np.exp(A - logsumexp(A, axis=1, keepdims=True)) - rng.dirichlet(np.ones(50), size=60)
        move = G @ W @ W.T + H @ H.T @ G
        excess.append(int(np.linalg.matrix_rank(move)) - 2 * d)
        eta = 1e-6
        actual = (H - eta * G @ W) @ (W - eta * G.T @ H).T - A
        step.append(float(np.linalg.norm(actual / -eta - move) / np.linalg.norm(move)))
    return Finding(
        as_written=(
            Comparison("largest rank - 2d", max(excess), "<=", 0),
            Comparison("relative distance of a step of 1e-6 from its linear part", max(step), "<=", 1e-3),
        )
    )
