"""SmolLM2-135M as fetched: its head is the published one and its loss that of a language model."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.lm.collect import collect
from experiments.lm.fetch import smollm2
from experiments.lm.load import load

TEXT = (  # as in an encyclopaedia, and as in a story: the first costs 2.2 nats a token, the second 3.0
    "London is the capital and largest city of England. It stands on the River Thames in the south-east of the "
    "country, and people have lived there for about two thousand years. The Romans founded the city soon after their "
    "invasion and called it Londinium. In the nineteenth century it was the largest city in the world. Today it is a "
    "centre of finance, education and the arts, and its museums, theatres and parks attract millions of visitors every "
    "year.\n\n"
    "The river rises in the mountains and flows through three countries before it reaches the sea. In spring, when the "
    "snow melts, the water can rise by several metres in a few days, and the towns along its banks have learned to "
    "live with floods. Most of the people in the valley work on farms or in small factories, and many of them travel "
    "to the city every morning by train. The old bridge was built in the nineteenth century and is still in use today."
)


@pytest.fixture(scope="module")
def model():
    try:
        smollm2()
    except ValueError as missing:
        pytest.skip(f"needs the model: {missing}")
    return load("smollm2")


def test_its_shape_and_caveats(model):
    assert (model.vocab, model.dim, model.layers, model.b) == (49152, 576, 30, None)
    assert model.caveats == ("body Q4_1", "head Q8_0", "instruction-tuned")
    assert model.head_residual == 0.0  # float32 logits are the same product


def test_the_spectrum_of_its_head(model):
    """Singular values, and those modulo the gauge of the softmax, to half a percent of those known."""
    W = model.W.astype(np.float64)
    plain = np.sqrt(np.linalg.eigvalsh(W.T @ W))[::-1]
    assert plain[[0, 1, 2, -1]] == pytest.approx([509.9, 96.1, 62.2, 5.59], rel=5e-3)
    centred = W - W.mean(axis=0)
    modulo = np.sqrt(np.linalg.eigvalsh(centred.T @ centred))[::-1]
    assert modulo[[0, -1]] == pytest.approx([176.8, 3.53], rel=5e-3)


def test_its_loss_on_plain_english(model, tmp_path):
    found = collect(model, model.encode(TEXT), window=512, every_layer=True, cache=tmp_path)
    assert abs(found.nll - 2.5) < 0.25
    assert len(found.layers) == 32
