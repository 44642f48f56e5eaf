"""Runs floor curves and says what came out: a sentence, a table and the files, for each; one figure for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from experiments.config import FloorConfig
from experiments.figures.floor import draw
from experiments.floor import FloorCurve, run
from experiments.table import limited_table, table


def floor_report(configs: Sequence[FloorConfig], figure: Path) -> None:
    """Run every configuration, print each as it is done, and draw them side by side into ``figure``.png and .pdf."""
    curves = []
    for config in configs:
        curve = run(config)
        curves.append(curve)
        print(account(curve), flush=True)
    paths = draw([curve.folder for curve in curves], figure)
    print("figure:  " + "  ".join(map(str, paths)))


def account(curve: FloorCurve) -> str:
    """What a curve says: its distribution, its table, and where its numbers are."""
    head = curve.records[0]
    lines = [
        curve.sentence,
        f"{head['contexts']:,} contexts x {head['vocab']:,} tokens, entropy {head['entropy']:.4f} nats per token; "
        f"head {'with' if head['bias'] else 'without'} bias; gaps in nats per token above the entropy",
        table(curve.records),
    ]
    if head.get("limit") is not None:
        lines.append(f"heads with q >= e^-M p, M = {head['limit']:g}:\n{limited_table(curve.records)}")
    zeros = [record for record in curve.records if record["exact"] == 0]
    if zeros:
        first = zeros[0]
        lines.append(
            f"the floor is exactly 0 from d = {first['dim']} on "
            f"(fitted there: {first['gap']:.1e} from {first['start']}, evaluations: {first['evaluations']:.0f})"
        )
    if any(record["status"] == "unattained" for record in curve.records):
        lines.append("unattained: no finite head reaches the infimum; the loss given is an upper bound, still falling")
    broken = [record["dim"] for record in curve.records if not (record["holds"] and record.get("limited_holds", True))]
    if broken:
        lines.append(f"A BOUND IS VIOLATED at d = {', '.join(map(str, broken))}: please report this with the config")
    seconds = math.fsum(record["seconds"] + (record.get("limited_seconds") or 0) for record in curve.records)
    lines.append(f"results: {curve.folder / 'floor.parquet'}  ({seconds:.0f} s of fitting)\n")
    return "\n".join(lines)
