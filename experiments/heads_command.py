"""``rankfloor heads``: kinds of heads beside softmax, fitted to one distribution at equal width; table and figure.

Softmax fits climb a ladder first; every other kind starts from them and from its own narrower head.  Each line is
written as it is finished, and the same command goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.config import Source
from experiments.heads import Fit, Options, climb
from experiments.heads.alternatives import AlternativeFit, AlternativeHead, Kind, alternatives, fit_alternative
from experiments.heads.alternatives.catalogue import make_kind
from experiments.heads.alternatives.rank import log_rank
from experiments.heads_store import HeadsFolder
from experiments.provenance import provenance
from experiments.source import Described, build
from experiments.store import RunFolder
from experiments.table import align, number
from synth import ContextualDistribution, logspace
from synth._check import member


@dataclass(frozen=True)
class HeadsConfig:
    """One comparison: a distribution, the kinds of heads, their widths, and how hard each fit works."""

    source: Source = field(default_factory=Source)
    table: Path | None = None
    """An .npz file of conditionals in place of a family or corpus: log_p or p (C, V), and weights (C,) if not equal"""
    heads: tuple[str, ...] = ("softmax", "mos", "sigsoftmax", "monotonic")
    """Kinds of heads: softmax, mos, sigsoftmax, monotonic, plif"""
    dims: tuple[int, ...] = (1, 2, 4, 8)
    """Widths d, increasing"""
    bias: bool = False
    """Whether the heads have a bias"""
    softmaxes: int = 2
    """Softmaxes in a mixture head"""
    cells: int = 16
    """Pieces of the increasing function"""
    tolerance: float = 1e-7
    """Certified local excess aimed at, nats per token"""
    max_evaluations: int = 2000
    """Gradient evaluations allowed for each starting point"""
    random_starts: int = 2
    """Random starting points"""
    start_seed: int = 0
    """Seed of the starting points"""
    out: Path = Path("runs")
    """Folder under which a folder named after the run is made"""
    name: str | None = None
    """Name of the run; by default the family or the text"""
    beside: tuple[Path, ...] = ()
    """Folders of finished runs to draw in the same figure, before this one"""

    @property
    def folder(self) -> Path:
        """Where this run writes: its name, and a hash of everything the numbers depend on."""
        numbers = dataclasses.asdict(self)
        for key in ("out", "name", "beside", "heads", "dims"):
            del numbers[key]
        key = hashlib.sha256(json.dumps(numbers, sort_keys=True, default=str).encode()).hexdigest()[:10]
        title = self.name or self.source.family or Path(self.source.corpus or self.table or "table").stem
        return self.out / f"heads-{title}-{key}".replace(" ", "-")

    def kind(self, name: str, dim: int) -> Kind:
        """The kind of head of this name and width."""
        parameters = {"mos": {"components": self.softmaxes}, "monotonic": {"cells": self.cells}}
        parameters["plif"] = parameters["monotonic"]
        return make_kind(name, dim, self.bias, **parameters.get(name, {}))


def heads(arguments: list[str]) -> None:
    """``rankfloor heads``: run, print the table, draw the figure."""
    config = tyro.cli(
        tyro.conf.OmitArgPrefixes[HeadsConfig],
        args=arguments,
        prog="rankfloor heads",
        description="Fit kinds of heads beside softmax to one distribution, at equal width.",
    )
    sentence, records = run(config)
    print(account(sentence, records))
    print(f"results: {config.folder / 'heads.parquet'}")
    from experiments.figures.alternatives import draw

    print("figure:  " + "  ".join(map(str, draw([*config.beside, config.folder], config.folder / "heads"))))


def run(config: HeadsConfig) -> tuple[str, list[dict[str, Any]]]:
    """Fit every head; returns a sentence on the distribution and the lines asked for, softmax first.

    Raises ``ValueError`` for bad input before anything is written.
    """
    if not config.dims or list(config.dims) != sorted(set(config.dims)):
        raise ValueError(f"dims must be distinct and increasing, found {list(config.dims)}; sort them, drop repeats")
    for name in config.heads:
        member("kind of head", name, alternatives)
    described = _distribution(config)
    distribution = described.distribution.on(np.zeros(1))
    for name in config.heads:
        config.kind(name, config.dims[0])
    RunFolder(config.folder, distribution.weights).describe(_facts(config, described))
    return described.sentence, list(_lines(config, distribution))


def _lines(config: HeadsConfig, distribution: ContextualDistribution) -> Iterator[dict[str, Any]]:
    folder, options = HeadsFolder(config.folder), _options(config)
    softmax: list[Fit] = []
    for done in climb(distribution, config.dims, config.bias, options, RunFolder(config.folder, distribution.weights)):
        softmax.append(done)
    for name in sorted(config.heads, key=list(alternatives).index):
        narrower: tuple[AlternativeHead, ...] = ()
        for base in softmax:
            kind = config.kind(name, base.dim)
            line, head = folder.find(name, base.dim), folder.load(kind)
            if line is None or head is None:
                parameters = {key: value for key, value in vars(kind).items() if key != "dim"}
                fit = fit_alternative(
                    distribution, name, base.dim, options=options, start=[*softmax, *narrower], **parameters
                )
                head, line = fit.head, record(distribution, fit)
                folder.save(head)
                folder.record(line)
            narrower = (head,)
            yield line


def record(distribution: ContextualDistribution, fit: AlternativeFit) -> dict[str, Any]:
    """One line of the table: gap and loss in nats per token, unknowns, ranks of ``log Q J``, how the fit ended."""
    kind, log_q = fit.kind, fit.head.log_q()
    ranks = log_rank(log_q) if float(np.ptp(log_q)) > 0 else None
    return {
        "head": fit.name,
        "dim": fit.dim,
        "bias": kind.bias,
        "gap": fit.gap,
        "loss": fit.loss,
        "entropy": distribution.entropy,
        "softmax_gap": fit.softmax_gap,
        "per_context": kind.states,
        "per_token": kind.columns,
        "shared": kind.shared,
        "unknowns": kind.size(distribution.contexts, distribution.vocab),
        "numerical_rank": None if ranks is None else ranks.numerical,
        "effective_rank": None if ranks is None else ranks.effective,
        "null_effective_rank": None if ranks is None else ranks.null,
        "null_stderr": None if ranks is None else ranks.null_stderr,
        "status": str(fit.status),
        "certified_excess": None if math.isnan(fit.certified_excess) else fit.certified_excess,
        "trend": fit.trend,
        "start": fit.start,
        "starts": fit.starts,
        "spread": fit.spread,
        "evaluations": fit.evaluations,
        "seconds": fit.seconds,
        "contexts": distribution.contexts,
        "vocab": distribution.vocab,
    }


RESOLVED = 1e-6
"""Gaps below it are not told from zero, and no share of them is taken."""

COLUMNS = ("head", "d", "per context", "gap", "of softmax", "rank", "effective", "null", "starts", "spread", "status")


def account(sentence: str, records: list[dict[str, Any]]) -> str:
    """The lines as a table for the terminal, with what its columns mean."""
    first = records[0]
    bias = "with" if first["bias"] else "without"
    return "\n".join(
        [
            sentence,
            f"{first['contexts']:,} contexts x {first['vocab']:,} tokens, entropy {first['entropy']:.4f} nats per "
            f"token; heads {bias} bias; gaps in nats per token above the entropy",
            align([COLUMNS, *map(_cells, records)], left={0, 10}),
            "equal d is equal width of W: a mixture has K states and weights for each context (column: per context)",
            "rank, effective, null: numerical and entropy rank of the centred log-probabilities, and of Gaussian noise",
        ]
    )


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    share = line["gap"] / line["softmax_gap"] if line["softmax_gap"] > RESOLVED else math.nan
    measured = line["numerical_rank"] is not None
    return (
        line["head"],
        str(line["dim"]),
        str(line["per_context"]),
        number(line["gap"]),
        "" if math.isnan(share) else f"{share:.3f}",
        str(line["numerical_rank"]) if measured else "",
        f"{line['effective_rank']:.1f}" if measured else "",
        f"{line['null_effective_rank']:.1f}" if measured else "",
        str(line["starts"]),
        f"{line['spread']:.1e}",
        line["status"],
    )


def _distribution(config: HeadsConfig) -> Described:
    if config.table is None:
        return build(config.source)
    if config.source.family is not None or config.source.corpus is not None:
        raise ValueError("a table and a family or corpus are given; choose one")
    try:
        with np.load(config.table, allow_pickle=False) as stored:
            found = {key: np.asarray(stored[key], dtype=np.float64) for key in stored.files}
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {config.table} ({error}); write it by numpy.savez(path, log_p=...)") from error
    if ("log_p" in found) == ("p" in found):
        raise ValueError(f"{config.table} holds {', '.join(found) or 'nothing'}; exactly one of log_p and p is needed")
    log_p = found["log_p"] if "log_p" in found else logspace.log(found["p"])
    distribution = ContextualDistribution.from_log_probabilities(log_p, found.get("weights"))
    return Described(distribution, f"{config.table.stem}: a table of conditionals")


def _options(config: HeadsConfig) -> Options:
    return Options(
        tolerance=config.tolerance,
        max_evaluations=config.max_evaluations,
        random_starts=config.random_starts,
        seed=config.start_seed,
    )


def _facts(config: HeadsConfig, described: Described) -> dict[str, Any]:
    distribution = described.distribution
    return {
        "sentence": described.sentence,
        "name": config.name,
        "config": dataclasses.asdict(config),
        "contexts": distribution.contexts,
        "vocab": distribution.vocab,
        "entropy": distribution.entropy,
        "known": dict(distribution.known.parameters),
        "logit_rank": distribution.known.rank(config.bias),
        "provenance": provenance(),
    }
