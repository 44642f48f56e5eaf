"""The benchmark of predicted curves works on a small problem, and its page says what its rows hold."""

from __future__ import annotations

import pytest

from tests.bench.frozen_curve import compare, table
from tests.bench.frozen_sets import SETS


@pytest.mark.parametrize("name", SETS)
def test_a_small_set_is_compared_and_written(name):
    rows, predicted, trained = compare(*SETS[name](120, 300, width=4, vocab=15), (1, 3))
    text = table(name, rows, predicted, trained)
    assert [row.point.rank for row in rows] == [1, 3]
    assert rows[0].trained > rows[1].trained > 0
    assert all(row.covered[0] for row in rows)
    assert text.count("\n| 1 |") == 1
    assert f"{rows[1].trained:.3g}" in text
