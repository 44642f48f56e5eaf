"""The solver on a CUDA device, against the CPU and the card's own ceilings: ``python -m tests.bench.gpu``.

For CuPy and torch each: gap, gradient, Hessian product and fitted floors against NumPy; the card's rate of square
float64 products and its copy bandwidth; then what share of them one evaluation and the fused kernel reach.  Ends within
eight minutes: what comes too late is left out, and the page says so.  Without a device it says so and changes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.heads import Objective, Options, fit
from experiments.heads.kernels import kernel_for
from experiments.provenance import provenance
from synth import ContextualDistribution, families
from synth._array import library, like, namespace, to_numpy
from tests.bench.cards import Host, cards
from theory import HeadSpec

LIMIT = 8 * 60.0
"""Seconds for everything."""

RESERVE = 60.0
"""Seconds that must be left for a measurement to begin."""


@dataclass(frozen=True)
class Sizes:
    """How large the measurements are."""

    contexts: int = 20_000
    vocab: int = 32_000
    dim: int = 512
    chunk: int = 4_000  # rows of logits in the measurement of the kernel
    square: int = 8_192  # side of the products that set the ceiling
    copied: int = 2**28  # float32 numbers copied
    share: int = 10  # the CPU is timed on this fraction of the contexts


Line = tuple[str, str, str]
"""Quantity, what was found, what is asked for."""


def agreement(card: Host) -> Iterator[Line]:
    """Gap, gradient and Hessian product in float64, and fitted floors, against NumPy."""
    worlds = {
        "dense": families.zipf(contexts=300, vocab=200, rank=40, seed=0),
        "sparse": families.zipf_counts(contexts=300, vocab=200, seed=0),
    }
    for name, world in worlds.items():
        spec = HeadSpec(8, bias=True)
        here, there = Objective(world, spec), Objective(world.on(card.zeros((1,), "float64")), spec)
        x = np.random.default_rng(0).standard_normal(here.size)
        y = like(x, there.pi)
        one, other = here.evaluate(x), there.evaluate(y)
        errors = [abs(one.gap - other.gap) / one.gap, relative(other.gradient, one.gradient)]
        errors.append(relative(there.hessian_product(y, y), here.hessian_product(x, x)))
        yield f"{name}: gap, gradient, Hessian product, relative error", f"{max(errors):.1e}", "≤ 1e-10"
    positive = families.zipf_counts(contexts=40, vocab=6, draws=60, exponent=0.5, seed=0)  # its minimum is attained
    for name, world in {"dense": worlds["dense"], "sparse": positive}.items():
        options = Options(tolerance=1e-12)
        gaps = [fit(w, HeadSpec(2, bias=True), options).gap for w in (world, world.on(card.zeros((1,), "float64")))]
        yield f"{name}: fitted floors on CPU and device differ by", f"{abs(gaps[0] - gaps[1]):.1e}", "≤ 1e-9"


def relative(found: object, wanted: np.ndarray) -> float:
    """Relative error in norm."""
    return float(np.linalg.norm(to_numpy(found) - wanted) / np.linalg.norm(wanted))


def product_rate(card: Host, dtype: str, side: int) -> float:
    """The card's ceiling: floating-point operations a second of a square product."""
    A, B = card.normal((side, side), dtype), card.normal((side, side), dtype)
    return 2 * side**3 / card.seconds(lambda: A @ B)


def bandwidth(card: Host, entries: int) -> float:
    """Bytes read and written a second by a copy."""
    source = card.normal((entries,), "float32")
    xp = namespace(source)
    return 2 * 4 * entries / card.seconds(lambda: xp.asarray(source, copy=True))


def evaluation(card: Host, sizes: Sizes, ceiling: float) -> Iterator[Line]:
    """The rate of whole evaluations, without a bias and with one, against the ceiling and the CPU."""
    world = families.zipf_counts(contexts=sizes.contexts, vocab=sizes.vocab)
    part = families.zipf_counts(contexts=max(1, sizes.contexts // sizes.share), vocab=sizes.vocab)
    moved = world.on(card.zeros((1,), "float64"))
    what = f"{sizes.contexts:,} × {sizes.vocab:,} × {sizes.dim} float64"
    for bias in (False, True):
        spec = HeadSpec(sizes.dim, bias=bias)
        there, here = Objective(moved, spec), Objective(part, spec)
        x = 0.1 * card.normal((there.size,), "float64")
        seconds = card.seconds(lambda there=there, x=x: there.evaluate(x), 3)
        rate = 6 * sizes.contexts * sizes.vocab * spec.rank / seconds
        found = f"{1e3 * seconds:.0f} ms, {rate / 1e12:.1f} Tflop/s, {rate / ceiling:.0%} of products"
        named = f"{what}, {'with' if bias else 'without'} a bias"
        yield f"evaluation, {named} ({there.kernel.name})", found, "≥ 60 %"
        slow = Host().seconds(lambda here=here: here.evaluate(0.1 * np.ones(here.size)), 1)
        slow *= sizes.contexts / part.contexts
        yield (
            f"the same on {threads()} CPU threads (from {part.contexts} contexts)",
            f"{slow / seconds:.0f} ×",
            "≥ 30 ×",
        )


def threads() -> int:
    """Threads that the host's matrix products use."""
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def residuals(card: Host, sizes: Sizes, ceiling: float) -> Iterator[Line]:
    """Bytes of logits (and of a dense target) that must move, over the time of one softmax with cost and residual."""
    rows, vocab = sizes.chunk, sizes.vocab
    sparse = families.zipf_counts(contexts=rows, vocab=vocab)
    for dtype in ("float64", "float32"):
        place = card.zeros((1,), dtype)
        dense = ContextualDistribution.from_logits(card.normal((rows, vocab), dtype))
        for name, world in (("sparse", sparse.on(place)), ("dense", dense)):
            logits = card.normal((rows, vocab), dtype)
            kernel, table = kernel_for(logits), world.table
            constants = kernel.constants(table)
            given = logits, table, 0, rows, constants
            seconds = card.seconds(lambda kernel=kernel, given=given: kernel.residual(*given))
            moved = (2 + (name == "dense")) * place.itemsize * rows * vocab
            found = (
                f"{1e3 * seconds:.2f} ms, {moved / seconds / 1e12:.2f} TB/s, {moved / seconds / ceiling:.0%} of copies"
            )
            asked = "≥ 75 %" if library(logits) == "cupy" else ""
            yield f"residual, {rows:,} × {vocab:,} {dtype}, {name} target ({kernel.name})", found, asked


def measurements(card: Host, sizes: Sizes) -> Iterator[Callable[[], Iterator[Line]]]:
    """What is measured on one card, in order of importance."""
    yield lambda: agreement(card)
    rate = product_rate(card, "float64", sizes.square)
    copied = bandwidth(card, sizes.copied)

    def ceilings() -> Iterator[Line]:
        single = product_rate(card, "float32", sizes.square)
        yield f"ceiling: products of side {sizes.square:,}, float64", f"{rate / 1e12:.1f} Tflop/s", ""
        yield f"ceiling: products of side {sizes.square:,}, float32, TF32 off", f"{single / 1e12:.1f} Tflop/s", ""
        yield "ceiling: copy, bytes read and written", f"{copied / 1e12:.2f} TB/s", ""

    yield ceilings
    yield lambda: evaluation(card, sizes, rate)
    yield lambda: residuals(card, sizes, copied)


def measure(card: Host, sizes: Sizes, end: float) -> Iterator[Line]:
    """Every line of one card, as it is found, as long as ``RESERVE`` seconds are left before ``end``."""
    for part in measurements(card, sizes):
        if time.perf_counter() > end - RESERVE:
            yield "the measurements that follow", "left out: no time", ""
            return
        yield from part()


def page(found: Sequence[tuple[str, Sequence[Line]]], elapsed: float) -> str:
    """The page, a table for each card."""
    facts = provenance()
    text = [
        "# GPU benchmark",
        "",
        f"Made by `make bench-gpu`: {facts['platform']}, Python {facts['python']}; {facts['time'].split('T')[0]}, "
        f"{elapsed:.0f} s. Device times are the fastest of a few, by CUDA events; the ceilings are the card's own.",
        "",
    ]
    for name, lines in found:
        text += [f"## {name}", "", "| measured | found | asked |", "|---|---|---|"]
        text += [f"| {what} | {value} | {asked} |" for what, value, asked in lines] + [""]
    return "\n".join(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every card, print each line as it is found, and write the page if there was one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    chosen = parser.parse_args(arguments)
    began, found = time.perf_counter(), []
    available = list(cards())
    for number, card in enumerate(available, start=1):
        print(card.name)
        lines = []
        for line in measure(card, Sizes(), began + LIMIT * number / len(available)):
            lines.append(line)
            print(f"  {line[0]}: {line[1]}" + (f"  ({line[2]})" if line[2] else ""), flush=True)
        found.append((card.name, lines))
    if not found:
        print("No CUDA device: nothing was measured, and no page was written.")
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "gpu.md").write_text(page(found, time.perf_counter() - began), encoding="utf-8")


if __name__ == "__main__":
    main()
