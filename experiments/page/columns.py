"""A table as the page carries it: column by column, numbers to seven digits, texts by their levels.

``[{name, kind: "number", values: [...]}, {name, kind: "text", levels: [...], values: [level, ...]}]``.  JSON has no
infinities: ``"inf"`` and ``"-inf"`` are texts among the numbers, and what is missing is ``null``.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 7
"""Significant digits on the page; the store keeps every bit."""


def columns(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The columns of a table; those without any value are left out."""
    kept = [name for name in frame if not frame[name].isna().all()]
    return [column(str(name), frame[name]) for name in kept]


def told_apart(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns in which rows differ, and the one value of each of the others (several rows; ``dims`` are lists)."""
    if len(frame) < 2:
        return frame, {}
    levels = {name: frame[name].map(text, na_action="ignore").unique() for name in frame}
    same = {name: str(found[0]) for name, found in levels.items() if len(found) == 1 and isinstance(found[0], str)}
    return frame[[name for name, found in levels.items() if len(found) > 1]], same


def column(name: str, values: pd.Series) -> dict[str, Any]:
    """One column: numbers as they are, anything else as text."""
    if values.dtype.kind in "iuf":
        return {"name": name, "kind": "number", "values": [number(value) for value in values.tolist()]}
    codes, levels = values.map(text, na_action="ignore").factorize()
    places = [None if code < 0 else code for code in codes.tolist()]
    return {"name": name, "kind": "text", "levels": list(map(str, levels)), "values": places}


def number(value: float) -> float | int | str | None:
    """A number as JSON can carry it."""
    if isinstance(value, int):
        return value
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{DIGITS}g}")


def text(value: Any) -> str:
    """A value as text: yes and no for booleans, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def embedded(content: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
