"""``rankfloor lm ranks MODEL``: what heads of growing rank lose on a model's frozen features."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.table import align, number

if TYPE_CHECKING:
    from experiments.lm.ranks.contexts import Material


@dataclass(frozen=True)
class RanksConfig:
    """Which model, on which text, at which ranks, and how hard to work."""

    model: str
    """A hub id, a folder, a .gguf file, or smollm2."""
    text: Path | None = None
    """A text file; Moby Dick by default."""
    ranks: tuple[int, ...] = (16, 32, 64, 128, 256, 384, 576)
    """Ranks of the heads."""
    tokens: int = 2000
    """Contexts that the heads are fitted on."""
    held_out: int = 20000
    """Contexts that they are only evaluated on."""
    sizes: tuple[int, ...] = ()
    """Further numbers of contexts to fit on, at the ranks of --sized-ranks."""
    sized_ranks: tuple[int, ...] = (64,)
    """Ranks for --sizes."""
    target: Literal["soft", "hard"] = "soft"
    """Fit to the model's own next-token laws, or to the next tokens."""
    ridge: float = 0.0
    """With hard targets: ridge/2 times the squared norm of the head is added."""
    bias: bool = True
    """Whether heads have a bias."""
    tolerance: float = 1e-4
    """Certified excess aimed at, nats."""
    evaluations: int = 150
    """Gradient evaluations of a fit, at most."""
    folds: int = 5
    """Splits for the prediction of the held-out loss; 0 for none."""
    draws: int = 4
    """Random signs for its first-order correction, two at least."""
    floor: bool = False
    """Compute the proved lower bound too (slow)."""
    literal: bool = False
    """Also train by the paper's recipe: N(0, 1) factors, Adam, warm-up and cosine."""
    literal_steps: int = 200
    """Steps of that recipe."""
    window: int = 512
    """Tokens that a context sees at most."""
    seed: int = 0
    """Of the deal of windows, splits and draws."""
    out: Path = Path("runs/lm-ranks")
    """Folder for the tables and the figure."""


def command(arguments: list[str]) -> None:
    """Predict, train and truncate at every rank; print the tables, write parquet and figure."""
    import tyro

    config = tyro.cli(
        tyro.conf.PositionalRequiredArgs[RanksConfig],
        args=arguments,
        prog="rankfloor lm ranks",
        description="Heads of growing rank on a model's frozen features: predicted without training, trained, and "
        "truncated, in the sample and on contexts held out.  A second run goes on where the first stopped.",
    )
    run(config)


def run(config: RanksConfig) -> Path:
    """Do all that ``config`` asks for; returns the folder.  Raises ``ValueError`` for bad input."""
    check(config)
    from experiments.lm.corpus import moby_dick, read_text
    from experiments.lm.load import load
    from experiments.lm.ranks.contexts import material

    text = moby_dick() if config.text is None else read_text(config.text)
    model = load(config.model)
    check_ranks(config, model.dim)
    most = max(config.tokens, *config.sizes, 1)
    return carry_out(config, material(model, text, (most, config.held_out), config.window, config.seed))


def check(config: RanksConfig) -> None:
    """Raise ``ValueError`` for numbers that make no sense, before anything is loaded."""
    for name in ("tokens", "held_out", "window", "evaluations", "literal_steps"):
        if getattr(config, name) < 2:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 2, found {getattr(config, name)}")
    if not config.ranks or min(_all_ranks(config)) < 1:
        raise ValueError(f"ranks must be one or more integers of at least 1, found {_all_ranks(config)}")
    if config.sizes and min(config.sizes) < 2:
        raise ValueError(f"--sizes must be at least 2, found {config.sizes}")
    if config.ridge and config.target == "soft":
        raise ValueError("--ridge is for hard targets: the model's own laws need none; leave it out")


def check_ranks(config: RanksConfig, dim: int) -> None:
    """Raise ``ValueError`` for ranks above the width of the model."""
    largest = max(_all_ranks(config))
    if largest > dim:
        raise ValueError(f"rank {largest} is above the width {dim} of {config.model}; give ranks up to {dim}")


def _all_ranks(config: RanksConfig) -> tuple[int, ...]:
    """Ranks asked for, those for further sample sizes only if there are any."""
    return config.ranks + (config.sized_ranks if config.sizes else ())


def carry_out(config: RanksConfig, material: Material) -> Path:
    """The sweep itself on contexts that are there: every rank is on disk as soon as it is finished."""
    from experiments.figures.ranks import draw
    from experiments.lm.ranks.store import SweepFolder
    from experiments.lm.ranks.sweep import Work, sweep
    from experiments.provenance import provenance

    steps = config.literal_steps if config.literal else 0
    shared = {field.name for field in fields(Work)} - {"literal_steps"}
    work = Work(**{name: getattr(config, name) for name in shared}, literal_steps=steps)
    folder = SweepFolder(config.out, settings(material, work, config.held_out))
    folder.describe(
        asdict(config) | {"name": material.name, "caveats": material.caveats, "vocab": len(material.W)}
        | {"dim": material.W.shape[1], "provenance": provenance()}
    )  # fmt: skip
    jobs = [(config.tokens, config.ranks), *((size, config.sized_ranks) for size in config.sizes)]
    for contexts, ranks in jobs:
        sweep(material, contexts, sorted(set(ranks)), work, folder)
    curve, heads = folder.records()
    print(report(material, curve, heads), flush=True)
    paths = draw(config.out, config.out / "ranks")
    print(
        f"results: {config.out / 'curve.parquet'}  {config.out / 'heads.parquet'}\nfigure:  "
        + "  ".join(map(str, paths))
    )
    return config.out


def settings(material: Material, work: Any, held_out: int) -> dict[str, Any]:
    """What the numbers of a sweep depend on besides rank and sample size."""
    import hashlib

    digest = hashlib.sha256()
    for part in (material.W, material.b, material.fitted.X, material.fitted.y, material.held_out.X):
        if part is not None:
            digest.update(part.tobytes())
    return {"work": asdict(work), "held_out": held_out, "data": digest.hexdigest()}


def report(material: Material, curve: list[dict[str, Any]], heads: list[dict[str, Any]]) -> str:
    """Everything the command says, as text."""
    by = {(line["contexts"], line["rank"], line["head"]): line for line in heads}
    full = next(line for line in heads if line["head"] == "full")
    caveats = f" ({'; '.join(material.caveats)})" if material.caveats else ""
    header = (
        "contexts", "rank", "trained", "predicted", "interval", "raw", "whitened", "unigram", "information",
        "held out: trained", "predicted", "interval", "loss - full", "W-error", "status",
    )  # fmt: skip
    lines = [header]
    for line in curve:
        own = {name: by[line["contexts"], line["rank"], name] for name in ("raw", "whitened", "unigram", "information")}
        trained = by[line["contexts"], line["rank"], "trained"]
        outside = line["out_predicted"] is not None
        lines.append((
            str(line["contexts"]), str(line["rank"]), number(line["trained"]), number(line["predicted"]),
            f"{line['low']:.4g} to {line['upper']:.4g}", *(f"{entry['in_kl']:.4g}" for entry in own.values()),
            _with_error(trained, "out_kl"), f"{line['out_predicted']:.4g}" if outside else "",
            f"{line['out_low']:.4g} to {line['out_high']:.4g}" if outside else "", _with_error(trained, "out_excess"),
            f"{line['werror_raw']:.3f}", line["status"],
        ))  # fmt: skip
    return "\n".join([
        f"{material.name}{caveats}: V = {len(material.W):,}, D = {material.W.shape[1]}, windows of "
        f"{material.held_out.window} tokens; {len(material.held_out):,} contexts held out",
        f"full head on them: {_with_error(full, 'out_loss')} nats per token, accuracy {full['out_accuracy']:.1%}",
        "divergence from the full head, nats per token, in the sample unless held out; errors: windows as clusters",
        align(lines, left={14}),
        *(_literal(line) for line in heads if line["head"] == "literal"),
    ])  # fmt: skip


def _literal(line: dict[str, Any]) -> str:
    return (
        f"the paper's recipe, rank {line['rank']} on {line['contexts']:,} contexts: held-out divergence "
        f"{_with_error(line, 'out_kl')}, loss {_with_error(line, 'out_loss')}"
    )


def _with_error(line: dict[str, Any], name: str) -> str:
    return f"{line[name]:.4f} ± {line[name + '_stderr']:.4f}"
