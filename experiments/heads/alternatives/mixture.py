"""Mixture of softmaxes (Yang, Dai, Salakhutdinov & Cohen 2018): ``q_c = sum_k m_ck softmax(W h_ck + b)``.

W and b are shared, each context has K states ``h_ck`` and K mixing logits ``alpha_c``, ``m_c = softmax(alpha_c)``.
With ``s_k = softmax(A_k)`` and the share ``r_kv = m_k s_kv / q_v`` that component k has in token v,

    d log q_v = sum_k r_kv (d log m_k + d log s_kv),
    rho_kv = p_v r_kv,    P_k = sum_v rho_kv,
    dalpha_k = pi (m_k - P_k),    dA_k = pi (P_k s_k - rho_k),    dH_k = dA_k W,    dW~ = sum_k dA_k' H~_k.

Everything is formed from logarithms, so a share is right where q underflows.  A softmax head is a mixture of K equal
components, exactly, whatever their weights; but from there a descent cannot start, since the components have equal
gradients and stay equal: their states are first moved apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from experiments.heads.alternatives.kind import Kind, SoftmaxHeads
from experiments.heads.alternatives.parts import Curvature, Parts, Scores, Slopes, covariance, lift, log_softmax
from experiments.heads.alternatives.softmax import plain
from experiments.heads.alternatives.witness import moment_mixture
from synth import ContextualDistribution
from synth._check import integer
from theory import HeadSpec

APART = (0.1, 1.0)
"""Root-mean-square distances, in units of the states' own, by which the states of equal components are moved apart."""


@dataclass(frozen=True)
class Mixture(Kind):
    """``sum_k m_ck softmax(W h_ck + b)``, ``components`` K >= 1; S holds the K states (K d) and then alpha (K)."""

    components: int = 2

    name = "mos"
    summary = "sum_k m_k softmax(W h_k + b), K states and weights for each context"

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("components", self.components, 1)

    @property
    def states(self) -> int:
        """K d states and K mixing logits; one of the latter is gauge."""
        return self.components * (self.dim + 1)

    def split(self, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States (K, rows, d) and mixing logits (rows, K), as views."""
        cut = self.components * self.dim
        return S[:, :cut].reshape(len(S), self.components, self.dim).swapaxes(0, 1), S[:, cut:]

    def join(self, H: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """The packed states (rows, s) of ``H`` (K, rows, d) and ``alpha`` (rows, K)."""
        return np.concatenate([H.swapaxes(0, 1).reshape(len(alpha), -1), alpha], axis=1)

    # ------------------------------------------------------------------ law

    def log_q(self, parts: Parts) -> np.ndarray:
        """Log-probabilities (rows, V)."""
        H, alpha = self.split(parts.S)
        joint = np.stack([self.component(states, parts.Wt) for states in H])
        joint += log_softmax(alpha).T[:, :, None]
        return np.logaddexp.reduce(joint, axis=0)

    def component(self, H: np.ndarray, Wt: np.ndarray) -> np.ndarray:
        """``log softmax(H~ W~')`` (rows, V)."""
        return log_softmax(lift(H, self.bias) @ Wt.T)

    def slopes(self, parts: Parts, p: np.ndarray, pi: np.ndarray) -> Slopes:
        """``log q`` and the derivatives of ``-sum_c pi_c sum_v p_cv log q_cv``."""
        H, alpha = self.split(parts.S)
        log_m = log_softmax(alpha)
        log_s = np.stack([self.component(states, parts.Wt) for states in H])
        joint = log_s + log_m.T[:, :, None]
        top = joint.max(axis=0)
        joint -= top
        np.exp(joint, out=joint)
        total = joint.sum(axis=0)
        log_q = top + np.log(total)
        joint *= p / total  # rho = p r
        mass = joint.sum(axis=2)  # P_k (K, rows)
        dA = np.exp(log_s, out=log_s)
        dA *= mass[:, :, None]
        dA -= joint
        dA *= pi[None, :, None]
        dWt = sum(one.T @ lift(states, self.bias) for one, states in zip(dA, H, strict=True))
        dS = self.join(dA @ parts.Wt[:, : self.dim], pi[:, None] * (np.exp(log_m) - mass.T))
        return Slopes(log_q, Parts(dS, np.asarray(dWt), np.zeros(0)), pi @ np.exp(log_q))

    def curvature(self, parts: Parts, pi: np.ndarray, unigram: np.ndarray) -> Curvature:
        """Each component by itself, with its average weight; mixing logits as if the components never met."""
        H, alpha = self.split(parts.S)
        m = np.exp(log_softmax(alpha))
        average = np.maximum(pi @ m, 1e-3)
        spread, tokens = covariance(parts.Wt[:, : self.dim], unigram), 0.0
        for weight, states in zip(m.T, H, strict=True):
            Ht = lift(states, self.bias)
            tokens = tokens + Ht.T @ ((pi * weight)[:, None] * Ht)
        states = np.zeros((self.states, self.states))
        for k, weight in enumerate(average):
            here = slice(k * self.dim, (k + 1) * self.dim)
            states[here, here] = weight * spread
        cut = self.components * self.dim
        states[cut:, cut:] = np.diag(average * (1 - average) + 1e-3)
        return Curvature(states, np.asarray(tokens), np.zeros(0))

    def scores(self, parts: Parts) -> Scores:
        """``r_kv (w_v - W' s_k)`` in the states and ``r_kv - m_k`` in the mixing logits; R is r."""
        H, alpha = self.split(parts.S)
        log_m = log_softmax(alpha)
        log_s = np.stack([self.component(states, parts.Wt) for states in H])
        joint = log_s + log_m.T[:, :, None]
        log_q = np.logaddexp.reduce(joint, axis=0)
        r, s, W = np.exp(joint - log_q), np.exp(log_s), parts.Wt[:, : self.dim]
        moves = [r[k][:, :, None] * (W[None] - (s[k] @ W)[:, None, :]) for k in range(self.components)]
        mixing = r.transpose(1, 2, 0) - np.exp(log_m)[:, None, :]
        nothing = np.zeros((*log_q.shape, 0))
        lifted = np.stack([lift(states, self.bias) for states in H])
        return Scores(np.exp(log_q), np.concatenate([*moves, mixing], axis=2), nothing, r, lifted)

    # ------------------------------------------------------------------ where a fit begins

    def embeddings(self, softmax: SoftmaxHeads) -> Iterator[tuple[str, Parts]]:
        """K components equal to the softmax head of the same width."""
        yield "softmax, K times", self.repeated(plain(softmax(self.dim)))

    def closed_forms(self, distribution: ContextualDistribution) -> Iterator[tuple[str, Parts]]:
        """The mixture that splits supports, where there are zeros and the width is enough for it."""
        if distribution.is_positive:
            return
        found = moment_mixture(distribution, self.components, HeadSpec(self.dim, self.bias))
        if found is not None:
            head, mass = found
            parts = plain(head)
            H = parts.S.reshape(len(mass), self.components, -1).swapaxes(0, 1)
            missing = self.dim - H.shape[2]
            H = np.concatenate([H, np.zeros((*H.shape[:2], missing))], axis=2)
            W = np.concatenate([head.W, np.zeros((len(head.W), missing)), parts.Wt[:, head.dim :]], axis=1)
            Wt = W if W.shape[1] == self.columns else np.concatenate([W, np.zeros((len(W), 1))], axis=1)
            yield "supports split", Parts(self.join(H, np.log(mass)), Wt, np.zeros(0))

    def repeated(self, parts: Parts) -> Parts:
        """The softmax head K times over, with equal weights."""
        H = np.repeat(parts.S[None], self.components, axis=0)
        return Parts(self.join(H, np.zeros((len(parts.S), self.components))), parts.Wt, np.zeros(0))

    def departures(self, softmax: SoftmaxHeads, rng: np.random.Generator) -> Iterator[tuple[str, Parts]]:
        """The components moved apart by random directions of two lengths."""
        parts = plain(softmax(self.dim))
        size = np.sqrt(np.mean(parts.S**2, axis=0))
        for apart in APART if self.components > 1 else (0.0,):
            H = parts.S + apart * size * rng.standard_normal((self.components, *parts.S.shape))
            alpha = 0.1 * apart * rng.standard_normal((len(parts.S), self.components))
            yield (
                f"softmax, {self.components} times, {apart:g} apart",
                Parts(self.join(H, alpha), parts.Wt, np.zeros(0)),
            )

    # ------------------------------------------------------------------ symmetries

    def regauged(self, parts: Parts, rng: np.random.Generator) -> Parts:
        """One G for all components, a constant per row, another order of the components, a constant in alpha."""
        H, alpha = self.split(parts.S)
        G = rng.standard_normal((self.dim, self.dim)) + 3 * np.eye(self.dim)
        Wt = parts.Wt.copy()
        Wt[:, : self.dim] = np.linalg.solve(G, Wt[:, : self.dim].T).T
        Wt += rng.standard_normal(self.columns)
        order = rng.permutation(self.components)
        shift = rng.standard_normal((len(alpha), 1))
        return Parts(self.join((H @ G)[order], alpha[:, order] + shift), Wt, parts.theta)

    def grown(self, smaller: Kind, parts: Parts, rng: np.random.Generator) -> Parts:
        """The same for each component."""
        H, alpha = replace(self, dim=smaller.dim).split(parts.S)
        states = rng.standard_normal((*H.shape[:2], self.dim - smaller.dim))
        wider = super().grown(smaller, Parts(H[0], parts.Wt, parts.theta), rng)
        return Parts(self.join(np.concatenate([H, states], axis=2), alpha), wider.Wt, parts.theta)
