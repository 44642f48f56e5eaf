"""Heads ``q_c ∝ exp(phi(A_cv))``: a function of one variable on the logits ``A = H~ W~'`` before the softmax.

With ``Q = softmax(phi(A))`` and ``G = pi (Q - P)``, the derivatives are

    dA = G phi'(A),    dH = dA W,    dW~ = dA' H~,    dtheta = sum_cv G_cv dphi(A_cv)/dtheta.

``phi`` is the same for every token and context, so it commutes with none of the row shifts: unless it is the identity,
``A`` and ``A + u1'`` are different heads.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from experiments.heads.alternatives.kind import Kind
from experiments.heads.alternatives.parts import Curvature, Parts, Scores, Slopes, covariance, lift, log_softmax


@dataclass(frozen=True)
class Pointwise(Kind):
    """``softmax(phi(H W' + 1 b'))``; a member says what ``phi`` is."""

    @abstractmethod
    def phi(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """``phi(A)``, elementwise."""

    @abstractmethod
    def derivative(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """``phi'(A)``, elementwise."""

    def pull_back(self, A: np.ndarray, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """``sum_cv G_cv dphi(A_cv)/dtheta`` (m,); nothing where nothing is shared."""
        return np.zeros(self.shared)

    def basis(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """``dphi(A_cv)/dtheta`` (rows, V, m)."""
        return np.zeros((*A.shape, self.shared))

    def logits(self, parts: Parts) -> np.ndarray:
        """``A = H~ W~'`` (rows, V)."""
        return lift(parts.S, self.bias) @ parts.Wt.T

    def log_q(self, parts: Parts) -> np.ndarray:
        """Log-probabilities (rows, V)."""
        return log_softmax(self.phi(self.logits(parts), parts.theta))

    def slopes(self, parts: Parts, p: np.ndarray, pi: np.ndarray) -> Slopes:
        """``log q`` and the derivatives of ``-sum_c pi_c sum_v p_cv log q_cv``."""
        A = self.logits(parts)
        log_q = log_softmax(self.phi(A, parts.theta))
        Q = np.exp(log_q)
        G = pi[:, None] * (Q - p)
        dtheta = self.pull_back(A, parts.theta, G)
        dA = G * self.derivative(A, parts.theta)
        dS, dWt = dA @ parts.Wt[:, : self.dim], dA.T @ lift(parts.S, self.bias)
        return Slopes(log_q, Parts(dS, dWt, dtheta), pi @ Q)

    def steepness(self, theta: np.ndarray) -> float:
        """A typical ``phi'``, for the metric."""
        return 1.0

    def curvature(self, parts: Parts, pi: np.ndarray, unigram: np.ndarray) -> Curvature:
        """Every q_c replaced by the unigram law, ``phi'`` by its typical value."""
        square, Ht = self.steepness(parts.theta) ** 2, lift(parts.S, self.bias)
        states = square * covariance(parts.Wt[:, : self.dim], unigram)
        return Curvature(states, square * (Ht.T @ (pi[:, None] * Ht)), np.ones(self.shared))

    def scores(self, parts: Parts) -> Scores:
        """``g_cv = phi' w_v`` and ``I_cv = dphi/dtheta``, each less its mean under q_c; R is ``phi'``."""
        A = self.logits(parts)
        q, R = np.exp(log_softmax(self.phi(A, parts.theta))), self.derivative(A, parts.theta)
        states = R[:, :, None] * parts.Wt[None, :, : self.dim]
        shared = self.basis(A, parts.theta)
        states -= q[:, None, :] @ states
        shared -= q[:, None, :] @ shared
        return Scores(q, states, shared, R[None], lift(parts.S, self.bias)[None])

    def regauged(self, parts: Parts, rng: np.random.Generator) -> Parts:
        """``(H G, W G^-T)`` for a random invertible G."""
        G = rng.standard_normal((self.dim, self.dim)) + 3 * np.eye(self.dim)
        Wt = parts.Wt.copy()
        Wt[:, : self.dim] = np.linalg.solve(G, Wt[:, : self.dim].T).T
        return Parts(parts.S @ G, Wt, parts.theta)
