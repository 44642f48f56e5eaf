"""What one evaluation costs on sparse tables too large to write out: ``python -m tests.bench.scale [--out FOLDER]``.

Each size is measured in a process of its own, so that its peak memory is its own.  Writes ``scale.md``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.heads import Objective
from experiments.provenance import provenance
from synth import families
from theory import HeadSpec

SIZES = ((50_000, 8_000), (100_000, 16_000), (200_000, 32_000))
"""Contexts and tokens."""

DIM = 64

REPETITIONS = 3
"""Evaluations after the first, which also reads what is cached; the fastest counts."""

PAGE = """# Evaluations at scale

Made by `make bench-scale`: {setting}

One gap and gradient of a head with d = {dim} and a bias on `families.zipf_counts`, NumPy float64, at Gaussian factors.
Logits are formed a few hundred contexts at a time and never stored. Seconds are processor time of the fastest of
{repetitions}; *rate* counts the three matrix products only. Memory is the peak of the whole process, the libraries and
the making of the table included. Between the smallest and the largest, C·V·d grows {growth:.0f}-fold and the cost of
a unit changes by {change:+.0%}.

"""


def measure(contexts: int, vocab: int) -> dict[str, float]:
    """Seconds, memory and more of one size, in this process."""
    began = time.process_time()
    distribution = families.zipf_counts(contexts=contexts, vocab=vocab)
    objective = Objective(distribution, HeadSpec(DIM, bias=True))
    made = time.process_time() - began
    x = 0.1 * np.random.default_rng(0).standard_normal(objective.size)
    seconds = []
    for _ in range(1 + REPETITIONS):
        began = time.process_time()
        gap = objective.evaluate(x).gap
        seconds.append(time.process_time() - began)
    return {
        "contexts": contexts,
        "vocab": vocab,
        "tokens": float(distribution.support_sizes.mean()),
        "made": made,
        "seconds": min(seconds[1:]),
        "bytes": peak_bytes(),
        "chunk": objective.step,
        "gap": gap,
    }


def peak_bytes() -> float:
    """Largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def alone(contexts: int, vocab: int) -> dict[str, float]:
    """``measure`` in a fresh process."""
    command = [sys.executable, "-m", "tests.bench.scale", "--one", str(contexts), str(vocab)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def unit(found: Mapping[str, float]) -> float:
    """Picoseconds for each C V d."""
    return 1e12 * found["seconds"] / (found["contexts"] * found["vocab"] * DIM)


def table(results: Sequence[Mapping[str, float]]) -> str:
    """The results in Markdown."""
    lines = [
        "| C × V | tokens a row | contexts at once | seconds | ps / C·V·d | rate (GFLOP/s) | peak memory (GB) |",
        "|---|---|---|---|---|---|---|",
    ]
    for found in results:
        rate = 6e3 / unit(found) * (DIM + 1) / DIM
        lines.append(
            f"| {found['contexts']:,} × {found['vocab']:,} | {found['tokens']:.1f} | {found['chunk']} "
            f"| {found['seconds']:.1f} | {unit(found):.1f} | {rate:.0f} | {found['bytes'] / 1e9:.2f} |"
        )
    return "\n".join(lines) + "\n"


def page(results: Sequence[Mapping[str, float]]) -> str:
    """The page, results from small to large."""
    from threadpoolctl import threadpool_info

    facts: dict[str, Any] = provenance()
    threads = max((pool["num_threads"] for pool in threadpool_info()), default=1)
    setting = (
        f"{facts['platform']}, {threads} thread{'s' if threads > 1 else ''}; Python {facts['python']}, "
        f"numpy {facts['versions']['numpy']}; {facts['time'].split('T')[0]}."
    )
    small, large = results[0], results[-1]
    growth = large["contexts"] * large["vocab"] / (small["contexts"] * small["vocab"])
    head = PAGE.format(
        setting=setting, dim=DIM, repetitions=REPETITIONS, growth=growth, change=unit(large) / unit(small) - 1
    )
    return head + table(results)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every size, print the table and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--one", nargs=2, type=int, metavar=("C", "V"), help="measure one size here and print JSON")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(measure(*chosen.one)))
        return
    results = []
    for contexts, vocab in SIZES:
        print(f"{contexts:,} x {vocab:,} ...", file=sys.stderr, flush=True)
        results.append(alone(contexts, vocab))
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "scale.md").write_text(page(results), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
