"""What is not a distribution is refused, with what was found and the remedy."""

from __future__ import annotations

import re

import numpy as np
import pytest

from synth import ContextualDistribution, families

HALF = np.full((2, 2), 0.5)
probabilities, logarithms = ContextualDistribution.from_probabilities, ContextualDistribution.from_log_probabilities
logits, counts = ContextualDistribution.from_logits, ContextualDistribution.from_counts

CASES = [
    (lambda: probabilities(np.array([[0.5, 0.5], [0.5, 0.4]])), "context 1 sums to 0.9, not 1; divide each row"),
    (lambda: probabilities(np.array([[1.5, -0.5]])), "probabilities must be >= 0, found -0.5"),
    (lambda: probabilities(np.array([[np.nan, 1.0]])), "probabilities hold 1 NaN or infinite entries"),
    (lambda: probabilities(np.array([[np.inf, 1.0]])), "probabilities hold 1 NaN or infinite entries"),
    (lambda: probabilities(np.ones(3)), "probabilities have shape (3,)"),
    (lambda: probabilities(np.ones((0, 3))), "probabilities have shape (0, 3)"),
    (lambda: probabilities(np.ones((1, 1), dtype=int)), "convert them to float64"),
    (lambda: logarithms(np.array([[0.0, 0.0]])), "context 0 sums to 2, not 1"),
    (lambda: logarithms(np.array([[0.0, np.inf]])), "log-probabilities hold 1 NaN or infinite entries"),
    (lambda: logits(np.array([[0.0, 1.0], [-np.inf, -np.inf]])), "a row of logits is -inf everywhere"),
    (lambda: logits(np.array([[0.0, np.nan]])), "logits hold 1 NaN or infinite entries"),
    (lambda: counts(np.array([[1, 2], [0, 0]])), "context 1 has no counts; drop empty contexts first"),
    (lambda: counts(np.array([[1.0, -2.0]])), "counts must be finite and >= 0"),
    (lambda: counts(np.zeros((0, 2))), "counts have shape (0, 2)"),
    (lambda: probabilities(HALF, [0.5, 0.4]), "weights sum to 0.9, not 1; divide them by their sum"),
    (lambda: probabilities(HALF, [1.0, 0.0]), "weights must be finite and > 0; drop contexts of weight zero"),
    (lambda: probabilities(HALF, [np.nan, 1.0]), "weights must be finite and > 0"),
    (lambda: probabilities(HALF, [1.0]), "weights have shape (1,); one weight for each of the 2 contexts"),
    (lambda: families.one_hot(4).centred_logits, "75.0% of the table is zero"),
]


@pytest.mark.parametrize(("call", "message"), CASES)
def test_bad_tables_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_mixed_libraries_are_named():
    torch = pytest.importorskip("torch")
    from synth._array import namespace

    with pytest.raises(ValueError, match=r"mixed \(numpy, torch\); convert them to one library first"):
        namespace(np.ones(2), torch.ones(2))
