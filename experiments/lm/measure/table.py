"""The table of measures for the terminal, and the files that hold everything: parquet, CSV and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.lm.measure.everything import Measured
from experiments.table import align

if TYPE_CHECKING:
    import pandas as pd

HEADER = ("measure", "of", "value", "s.e.", "null", "sd", "null model")


def report(measured: Measured, facts: dict[str, Any]) -> str:
    """What was measured, the table, and what was left out."""
    lines = [
        (row.measure, row.of, *map(digits, (row.value, row.stderr, row.null, row.null_spread)), row.null_is)
        for row in measured.rows()
    ]
    return "\n".join(
        [
            sentence(measured, facts),
            align([HEADER, *lines], left={0, 1, 6}),
            "s.e.: over passages of text, contexts, tokens or sets; blank where the number is exact for this head.  "
            "sd: of one draw of the null.",
            f"tokens sampled: {measured.tokens.counts}; proved never to win: {measured.tokens.unreachable.tolist()}; "
            f"tokens with a twin, among all: {measured.tokens.twins.tolist()}",
            *measured.notes,
        ]
    )


def sentence(measured: Measured, facts: dict[str, Any]) -> str:
    """Model, head, text and loss in one line or two."""
    V, D = measured.shape
    caveats = "; ".join(facts["caveats"])
    text = f"{facts['model']}{f' ({caveats})' if caveats else ''}: head {V} x {D}"
    if not math.isnan(measured.nll):
        text += (
            f"; {measured.read:,} tokens of {facts['text']} in {facts['slices']} passages, "
            f"loss {measured.nll:.3f} ± {measured.nll_stderr:.3f} nats per token"
        )
    return text


def write(measured: Measured, facts: dict[str, Any], folder: Path) -> list[Path]:
    """Write ``measures`` (parquet, CSV), ``spectra``, ``gradient``, ``frequency`` and ``config.json``; the paths."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame([asdict(row) for row in measured.rows()])
    rows.to_csv(folder / "measures.csv", index=False)
    tables = {"measures": rows, "spectra": _spectra(measured)}
    if measured.gradient is not None:
        share, null = measured.gradient.curve()
        tables["gradient"] = pd.DataFrame({"k": np.arange(1, len(share) + 1), "share": share, "null": null})
    if measured.alignment is not None:
        a = measured.alignment
        tables["frequency"] = pd.DataFrame({"token": a.tokens, "count": a.counts, "raw": a.raw, "centred": a.centred})
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    told = {"nll": measured.nll, "nll_stderr": measured.nll_stderr, "read": measured.read, "notes": measured.notes}
    told |= {"vocab": measured.shape[0], "dim": measured.shape[1], "verdicts": measured.tokens.counts}
    told |= {"never": measured.tokens.unreachable.tolist(), "sampled": measured.tokens.sampled}
    told |= {"twins": measured.tokens.twins.tolist()}
    (folder / "config.json").write_text(json.dumps(facts | told, default=str, indent=1))
    return [folder / "measures.csv", *(folder / f"{name}.parquet" for name in tables), folder / "config.json"]


def _spectra(measured: Measured) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(
        [
            pd.DataFrame(
                {
                    "matrix": one.name, "i": np.arange(1, len(one.sigma) + 1), "sigma": one.sigma,
                    "null": one.null.mean(axis=0), "null_low": one.null.min(axis=0),
                    "null_high": one.null.max(axis=0), "marchenko_pastur": one.flat, "null_is": one.null_is,
                }
            )
            for one in measured.spectra
        ],
        ignore_index=True,
    )  # fmt: skip


def digits(value: float) -> str:
    """Four significant digits; blank for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if abs(value) >= 9999.5 else f"{value:.4g}"
