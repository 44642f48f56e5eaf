"""Records as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

COLUMNS = ("d", "fitted floor", "proved lower", "by", "proved upper", "by", "exact", "evals", "seconds", "status")

LIMITED = ("d", "fitted floor", "its M", "fitted inside", "proved lower", "by", "inside / lower", "evals", "status")


def table(records: Sequence[dict[str, Any]]) -> str:
    """The records as aligned columns; gaps in nats per token above the entropy."""
    return align([COLUMNS, *map(_line, records)], left={3, 5, 9})


def limited_table(records: Sequence[dict[str, Any]]) -> str:
    """The columns of a limited class: fits without the limit and how far they lie outside, fits inside, and bounds."""
    return align([LIMITED, *map(_limited_line, records)], left={5, 8})


def align(lines: Sequence[Sequence[str]], left: Collection[int] = ()) -> str:
    """Rows of cells as columns two spaces apart; the columns numbered in ``left`` are set left, the others right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _line(record: dict[str, Any]) -> tuple[str, ...]:
    certified = record["certified_excess"]
    status = record["status"]
    if status == "converged" and certified is not None:
        status += f" (within {certified:.0e})"
    if status == "unattained":
        status += f" (last fall {record['trend']:.0e})"
    return (
        str(record["dim"]),
        number(record["gap"]),
        number(record["lower"]),
        record["lower_name"],
        number(record["upper"]),
        record["upper_name"],
        "" if record["exact"] is None else number(record["exact"]),
        f"{record['evaluations']:.0f}",
        f"{record['seconds']:.1f}",
        status,
    )


def _limited_line(record: dict[str, Any]) -> tuple[str, ...]:
    found = record["limited_gap"] is not None
    return (
        str(record["dim"]),
        number(record["gap"]),
        f"{record['underestimate']:.4g}",
        number(record["limited_gap"]) if found else "",
        number(record["limited_lower"]),
        record["limited_lower_name"],
        f"{record['limited_ratio']:.4g}" if found else "",
        f"{record['limited_evaluations']:.0f}" if found else "",
        record["limited_status"] + (", globally optimal in the class" if record["limited_optimal"] else ""),
    )


def number(value: float) -> str:
    """A gap in nats: six decimals, or two significant digits below 1e-4; ``0`` is exactly zero."""
    if value == 0:
        return "0"
    if math.isinf(value):
        return "inf"
    return f"{value:.6f}" if abs(value) >= 1e-4 else f"{value:.1e}"
