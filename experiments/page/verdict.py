"""The law on every record: lower bound <= fit <= upper bound, and what to say when one breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "holds"
"""Column of a record that says whether every lower bound is below the fit and every upper bound."""


@dataclass(frozen=True)
class Verdict:
    """How many records the law was checked on, and the rows on which it does not hold."""

    checked: int
    violated: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.violated:
            return f"A BOUND IS VIOLATED on {len(self.violated):,} of {self.checked:,} records"
        if self.checked:
            return f"lower bound ≤ fit ≤ upper bound on all {self.checked:,} records"
        return "no record of this study compares bounds"

    @property
    def state(self) -> str:
        """``violated``, ``holds`` or ``none``."""
        return "violated" if self.violated else "holds" if self.checked else "none"


def verdict(records: pd.DataFrame) -> Verdict:
    """The law on the records of a study; records that compare no bounds are not counted."""
    if COLUMN not in records:
        return Verdict(0, ())
    said = records[COLUMN]
    checked = said.notna()
    broken = checked & ~said.fillna(True).astype(bool)
    return Verdict(int(checked.sum()), tuple(int(row) for row in broken.to_numpy().nonzero()[0]))
