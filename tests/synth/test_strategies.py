"""The public strategies draw what they promise, and shrink to something a person can read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from synth import families, strategies
from theory import HeadSpec

SEARCH = settings(database=None, max_examples=300, derandomize=True)


@given(st.integers(1, 5), st.integers(2, 5), st.data())
def test_sizes_are_respected(max_contexts, max_vocab, data):
    distribution = data.draw(strategies.distributions(max(max_contexts, 2), max_vocab))
    assert distribution.contexts <= max(max_contexts, 2)
    assert distribution.vocab <= max_vocab


@given(strategies.positive_distributions())
def test_positive_means_positive(distribution):
    assert distribution.is_positive


@given(st.integers(1, 9), st.data())
def test_specs_name_classes_of_heads(vocab, data):
    spec = HeadSpec(*data.draw(strategies.head_specs(vocab)))
    assert 0 <= spec.dim < vocab
    assert spec.is_unbounded


def test_every_family_has_a_strategy():
    assert set(strategies.by_family) == {*families.catalogue, "ngram"}


def test_shrinking_ends_at_the_smallest_uncertain_law():
    """Asked for any entropy above half a nat, the answer is one context with two equally likely tokens."""
    smallest = find(strategies.raw_distributions(3, 3), lambda d: d.entropy > 0.5, settings=SEARCH)
    assert (smallest.contexts, smallest.vocab) == (1, 2)
    assert np.max(np.abs(smallest.p - 0.5)) == 0


def test_shrinking_ends_at_the_smallest_informative_context():
    """Asked for any mutual information, the answer has two contexts, two tokens and counts of zero and one."""
    smallest = find(strategies.raw_distributions(3, 3), lambda d: d.mutual_information > 0.1, settings=SEARCH)
    assert (smallest.contexts, smallest.vocab) == (2, 2)
    assert set(np.ravel(smallest.p).tolist()) <= {0.0, 0.5, 1.0}


def test_shrinking_over_all_families_ends_at_the_smallest_shape():
    smallest = find(strategies.distributions(), lambda d: d.mutual_information > 0.01, settings=SEARCH)
    assert (smallest.contexts, smallest.vocab) == (2, 2)


@pytest.mark.parametrize("family", ["low_rank", "topics", "sparse", "ngram"])
def test_a_family_shrinks_to_its_smallest_member(family):
    smallest = find(strategies.by_family[family](), lambda distribution: True, settings=SEARCH)
    assert smallest.contexts <= 2
    assert smallest.vocab <= 2


def test_streams_shrink_to_one_token():
    stream, vocab = find(strategies.token_streams(), lambda drawn: True, settings=SEARCH)
    assert stream.tolist() == [0]
    assert vocab == 1


def test_every_dimension_is_drawn_often():
    """Zero is the simplest dimension, and must not crowd out those where bounds have something to say."""
    drawn = []

    @settings(database=None, max_examples=500, derandomize=True)
    @given(st.floats(0, 1), strategies.dims(5))
    def collect(_, dim):
        drawn.append(dim)

    collect()
    assert min(np.bincount(drawn, minlength=5)) >= 0.05 * len(drawn)
