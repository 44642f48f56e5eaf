"""The unknowns of a head beside softmax, in three parts, and what an evaluation of one gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Parts:
    """``S`` (C, s): what belongs to a context; ``Wt`` (V, e): W and, last, the bias; ``theta`` (m,): shared numbers."""

    S: np.ndarray
    Wt: np.ndarray
    theta: np.ndarray

    def rows(self, start: int, stop: int) -> Parts:
        """The same head for contexts ``start:stop`` only."""
        return Parts(self.S[start:stop], self.Wt, self.theta)

    def pack(self) -> np.ndarray:
        """One vector (n,): S, Wt, theta."""
        return np.concatenate([self.S.ravel(), self.Wt.ravel(), self.theta])


@dataclass(frozen=True, eq=False)
class Slopes:
    """``log_q`` (rows, V) and the derivatives of ``-sum_c pi_c sum_v p_cv log q_cv`` in the parts.

    ``unigram`` (V,) is the head's own ``sum_c pi_c q_c``.
    """

    log_q: np.ndarray
    parts: Parts
    unigram: np.ndarray


@dataclass(frozen=True, eq=False)
class Scores:
    """``q`` (rows, V) and the scores of ``log q``: in the states (rows, V, s) and in the shared numbers (rows, V, m).

    ``factors`` (K, rows, V) and ``lifted`` (K, rows, e) are R and ``h~`` of ``experiments.heads.alternatives.blocks``.
    """

    q: np.ndarray
    states: np.ndarray
    shared: np.ndarray
    factors: np.ndarray
    lifted: np.ndarray


@dataclass(frozen=True, eq=False)
class Curvature:
    """A rough curvature: ``pi_c (x) states`` (s, s), ``q_v (x) tokens`` (e, e) and a diagonal ``shared`` (m,)."""

    states: np.ndarray
    tokens: np.ndarray
    shared: np.ndarray


def lift(H: np.ndarray, bias: bool) -> np.ndarray:
    """``[H, 1]`` with a bias, ``H`` without."""
    return np.concatenate([H, np.ones((len(H), 1))], axis=1) if bias else H


def covariance(W: np.ndarray, law: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of the rows of W under a law (V,) of the tokens."""
    centred = W - (law @ W) / law.sum()
    return centred.T @ (law[:, None] * centred)


def log_softmax(A: np.ndarray) -> np.ndarray:
    """``A - logsumexp(A)`` over the last axis, finite logits given."""
    B = A - A.max(axis=-1, keepdims=True)
    B -= np.log(np.exp(B).sum(axis=-1, keepdims=True))
    return B
