"""Predicted against trained: the curve of heads of rank r on three synthetic feature sets.

    python -m tests.bench.frozen_curve [--only SET ...] [--rows N] [--seeds K] [--out FOLDER]

For each set, the curve is predicted from features and full head, then trained rank by rank, and evaluated on contexts
not seen.  One rank by the number of contexts follows, and ``--seeds`` smaller problems of each set, for the share of
ranks whose intervals hold.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.heads import FitStatus, Options
from experiments.heads.frozen import FrozenFit, frozen_curve
from synth import ContextualDistribution
from tests.bench.frozen_sets import SETS
from tests.bench.report import setting
from theory.frozen import Effort, FrozenHead, FrozenPoint, FrozenProblem, excess, predict_curve

RANKS = (1, 2, 4, 8, 12, 16, 24, 28)
SMALL = {"rows": 400, "rows_unseen": 4000, "width": 12, "vocab": 60}
SMALL_RANKS = (1, 2, 3, 6, 9, 11)
SIZED, SIZES = 8, (300, 600, 1200, 2400)
UNSEEN = 8000
TRAINED = Options(tolerance=1e-6, max_evaluations=1000)

PAGE = """# Frozen features: the predicted curve

Made by `python -m tests.bench.frozen_curve`: {sentence}

Three synthetic feature sets ([`tests/bench/frozen_sets.py`](../../tests/bench/frozen_sets.py)), {rows} contexts, 32
features, 300 tokens. *predicted* needs no training ([the guide](../frozen-bounds.md)); *trained* is `frozen_curve` from
its own starts, certified to {tolerance:g} nats or 1000 evaluations. All in nats per token above the full head. *proved*
is the lower bound for heads of at least the curvature *c* (three quarters of the witness's) and the witness's gap;
*low* is the lower end of the predicted interval, whose upper end is the witness's gap. *unseen* is the trained head on
{unseen} contexts of the same law that it has not seen, with its standard error; *predicted (unseen)* stands with its
interval.

"""


@dataclass(frozen=True, eq=False)
class Row:
    """One rank: what was predicted, what was trained, in and out of sample."""

    point: FrozenPoint
    trained: float
    curvature: float
    unseen: float
    error: float
    evaluations: float

    @property
    def covered(self) -> tuple[bool, bool, bool]:
        """Whether the proved, the predicted and the held-out interval hold the trained losses."""
        point, slack = self.point, TRAINED.tolerance
        outside = point.held_out is not None and point.held_out.low <= self.unseen <= point.held_out.high
        below = self.trained <= point.upper + slack
        return point.lower <= self.trained and below, point.low <= self.trained and below, outside


def compare(
    seen: FrozenProblem, unseen: FrozenProblem, ranks: Sequence[int], effort: Effort | None = None
) -> tuple[list[Row], float, float]:
    """Rows by rank, and the seconds that predicting and training took."""
    began = time.perf_counter()
    points = predict_curve(seen, ranks, effort)
    predicted = time.perf_counter() - began
    target = ContextualDistribution.from_logits(seen.X @ seen.W.T + seen.full_bias, seen.weights)
    identity = np.eye(seen.width)
    full = FrozenFit(
        seen.width,
        seen.W,
        identity,
        seen.b,
        gap=0.0,
        loss=0.0,
        status=FitStatus.CONVERGED,
        start="known",
    )
    began = time.perf_counter()
    fits = frozen_curve(seen.X, target, ranks, options=TRAINED, start=full)
    trained = time.perf_counter() - began
    rows = []
    for point, fit in zip(points, fits, strict=True):
        head = FrozenHead(fit.A, fit.B, fit.b)
        outside, error = excess(unseen, head).mean_and_error(unseen.weights)
        rows.append(Row(point, fit.gap, excess(seen, head).curvature, outside, error, fit.evaluations))
    return rows, predicted, trained


def table(name: str, rows: Sequence[Row], predicted: float, trained: float) -> str:
    """One set in Markdown."""
    head = "rank|trained|half tail|clustered|predicted|error|low|proved|c (trained)|unseen|predicted (unseen)|error"
    lines = [f"## {name}", "", f"| {' | '.join(head.split('|'))} |", "|" + "---|" * 12]
    for row in rows:
        point, held = row.point, row.point.held_out
        assert held is not None
        cells = [
            str(point.rank), _number(row.trained), _number(point.half_tail), _number(point.clustered),
            _number(point.predicted), _percent(point.predicted, row.trained), _number(point.low),
            f"{_number(point.lower)} to {_number(point.upper)}", f"{point.curvature:.2f} ({row.curvature:.2f})",
            f"{_number(row.unseen)} ± {_number(row.error)}",
            f"{_number(held.predicted)} ({_number(held.low)} to {_number(held.high)})",
            _percent(held.predicted, row.unseen),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    holds = [sum(flags) for flags in zip(*(row.covered for row in rows), strict=True)]
    ratio = np.median([row.point.upper / row.point.lower for row in rows if row.point.lower > 0])
    width = np.median([(row.point.upper - row.point.low) / row.trained for row in rows])
    passes = np.median([row.point.passes for row in rows])
    lines += [
        "",
        f"Of {len(rows)} ranks the proved interval holds {holds[0]}, the predicted one {holds[1]}, the one for unseen "
        f"contexts {holds[2]}. Median width: proved, upper / lower = {ratio:.0f}; predicted, {width:.0%} of the "
        f"trained loss. Median work of one prediction in sample: {passes:.0f} passes. Predicting took {predicted:.0f} "
        f"s, most of it for the splits and the lower bound; training {trained:.0f} s.",
        "",
    ]
    return "\n".join(lines)


def sizes(counts: Sequence[int]) -> str:
    """One rank of each set by the number of contexts, in sample and unseen."""
    lines = [
        "## The size of the sample", "",
        f"Rank {SIZED}; *optimism* is the first-order difference of the two losses, by random signs.", "",
        "| set | contexts | trained | predicted | unseen | predicted (unseen) | split | optimism |", "|" + "---|" * 8,
    ]  # fmt: skip
    for name, make in SETS.items():
        for count in counts:
            (row,) = compare(*make(count, UNSEEN), (SIZED,), Effort(floor=False))[0]
            held = row.point.held_out
            assert held is not None
            cells = [
                name, str(count), _number(row.trained), _number(row.point.predicted),
                f"{_number(row.unseen)} ± {_number(row.error)}",
                f"{_number(held.predicted)} ({_number(held.low)} to {_number(held.high)})",
                f"{_number(held.split.value)} ± {_number(held.split.error)}",
                f"{_number(held.optimism.value)} ± {_number(held.optimism.error)}",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def coverage(seeds: int) -> str:
    """Smaller problems of each set: how far off, and how often the intervals hold."""
    lines = [
        "## More problems", "",
        f"{seeds} problems of each set with {SMALL['rows']} contexts, {SMALL['width']} features and {SMALL['vocab']} "
        f"tokens, ranks {', '.join(map(str, SMALL_RANKS))}: least and largest ratio to the trained loss, and the share "
        "of intervals that hold.", "",
        "| set | rank | half tail | clustered | predicted | proved | class | predicted holds | unseen | unseen holds |",
        "|" + "---|" * 10,
    ]  # fmt: skip
    for name, make in SETS.items():
        rows = [row for seed in range(1, seeds + 1) for row in compare(*make(**SMALL, seed=seed), SMALL_RANKS)[0]]
        for label, chosen in (("d/4 or less", (1, 2, 3)), ("more", (6, 9, 11))):
            lines.append(_summary(name, label, [row for row in rows if row.point.rank in chosen]))
    return "\n".join(lines) + "\n"


def _summary(name: str, label: str, rows: Sequence[Row]) -> str:
    def span(values: Iterator[float]) -> str:
        found = list(values)
        return f"{min(found):.2f} to {max(found):.2f}"

    def share(flags: Iterator[bool]) -> str:
        found = list(flags)
        return f"{sum(found)}/{len(found)}"

    cells = [
        name, label,
        span(row.point.half_tail / row.trained for row in rows),
        span(row.point.clustered / row.trained for row in rows),
        span(row.point.predicted / row.trained for row in rows),
        share(row.covered[0] for row in rows),
        share(row.curvature >= row.point.curvature for row in rows),
        share(row.covered[1] for row in rows),
        span(row.point.held_out.predicted / row.unseen for row in rows if row.point.held_out),
        share(row.covered[2] for row in rows),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _percent(value: float, reference: float) -> str:
    return f"{value / reference - 1:+.1%}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict, train, print and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.frozen_curve", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    chosen = parser.parse_args(arguments)
    began, parts = time.perf_counter(), []
    for name in chosen.only:
        parts.append(table(name, *compare(*SETS[name](chosen.rows, UNSEEN), RANKS)))
        print(parts[-1], flush=True)
    parts.append(sizes(SIZES))
    print(parts[-1], flush=True)
    if chosen.seeds:
        parts.append(coverage(chosen.seeds))
        print(parts[-1])
    page = PAGE.format(
        sentence=setting(time.perf_counter() - began), rows=chosen.rows, tolerance=TRAINED.tolerance, unseen=UNSEEN
    )
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "frozen-curve.md").write_text(page + "\n".join(parts))


if __name__ == "__main__":
    main()
