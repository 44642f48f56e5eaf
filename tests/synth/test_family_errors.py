"""Bad parameters are refused with a message that says what was found and what to do."""

from __future__ import annotations

import re

import pytest

from synth import families

CASES = [
    (families.low_rank, {"contexts": 5, "vocab": 4, "rank": 4}, "rank must be an integer from 1 to 3"),
    (families.low_rank, {"contexts": 4, "vocab": 9, "rank": 4, "centred": True}, "rank must be an integer from 1 to 3"),
    (families.low_rank, {"spectrum": "flatt"}, "did you mean 'flat'?"),
    (families.low_rank, {"rank": 2, "spectrum": (1.0, -1.0)}, "hold 2 finite numbers > 0"),
    (families.low_rank, {"rank": 2, "spectrum": (1.0, 0.5, 0.1)}, "match its length to rank"),
    (families.low_rank, {"scale": 0}, "scale must be a finite number > 0, found 0"),
    (families.zipf, {"vocab": 1}, "vocab must be an integer at least 2, found 1"),
    (families.zipf, {"scale": float("inf")}, "scale must be a finite number > 0, found inf"),
    (families.zipf, {"exponent": -1.0}, "exponent must be a finite number >= 0, found -1.0"),
    (families.topics, {"topics": 0}, "topics must be an integer at least 1, found 0"),
    (families.topics, {"mixing": float("nan")}, "mixing must be a finite number > 0, found nan"),
    (families.mixture, {"components": 1.5}, "components must be an integer at least 1, found 1.5"),
    (families.sparse, {"vocab": 4, "k": 5}, "k must be an integer from 1 to 4"),
    (families.all_k_subsets, {"vocab": 60, "k": 30}, "lower vocab or k"),
    (families.one_hot, {"vocab": True}, "vocab must be an integer at least 2, found True"),
    (families.markov, {"vocab": 100, "history": 4}, "lower vocab or history"),
    (families.markov, {"history": -1}, "history must be an integer at least 0, found -1"),
    (families.near_unigram, {"contexts": 1}, "contexts must be an integer at least 2, found 1"),
    (families.near_unigram, {"eps": 0.0}, "eps must be a finite number > 0, found 0.0"),
    (families.zipf, {"seed": None}, "seed must be an integer at least 0, found None"),
    (families.zipf_counts, {"draws": 0}, "draws must be an integer at least 1, found 0"),
    (families.zipf_counts, {"own": 1.5}, "own must be a probability, found 1.5"),
    (families.staircase, {"vocab": 1}, "vocab must be an integer at least 2, found 1"),
]


@pytest.mark.parametrize(("family", "parameters", "message"), CASES)
def test_bad_parameters_are_named(family, parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        family(**parameters)


def test_an_unknown_family_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"no family is named 'zipff'; did you mean 'zipf'\?"):
        families.make("zipff")


def test_an_unknown_parameter_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"no parameter of zipf is named 'vocabulary'; did you mean 'vocab'\?"):
        families.make("zipf", vocabulary=5)


def test_every_public_name_exists():
    assert all(hasattr(families, name) for name in families.__all__)
    assert set(families.catalogue) <= set(families.__all__)
