"""One line of the table: a number, its standard error, and what it would be if there were nothing to see."""

from __future__ import annotations

import math
from dataclasses import dataclass

NONE = math.nan
"""No standard error: the number is exact for this head, or a spread does not apply."""


@dataclass(frozen=True)
class Row:
    """``value`` of ``measure`` on ``of``, beside its ``null``.

    ``stderr`` is the standard error over the sample of text, tokens or sets (NaN for a number that is exact),
    ``null_spread`` the standard deviation of a single draw of the null, ``null_is`` the null in words.
    """

    measure: str
    of: str
    value: float
    stderr: float
    null: float
    null_spread: float
    null_is: str
