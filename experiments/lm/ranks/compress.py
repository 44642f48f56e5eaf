"""``rankfloor lm compress MODEL --rank r --out FILE``: a head of rank r for a model, and what it costs.

The file is safetensors: ``A`` (V, r), ``B`` (r, D) and ``b`` (V,) in float32, so that logits are ``(h B') A' + b`` on
what the model's own head multiplies.  Its metadata say how the head was made and what it loses on contexts held out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from theory.frozen import FrozenHead

if TYPE_CHECKING:
    from experiments.lm.ranks.contexts import Material
    from experiments.lm.ranks.score import Score

FORMAT = "rankfloor low-rank head 1"
"""In the metadata of every file."""


@dataclass(frozen=True)
class CompressConfig:
    """Which model, what rank, how, and where to write."""

    model: str
    """A hub id, a folder, a .gguf file, or smollm2."""
    rank: int
    """Rank of the head."""
    out: Path
    """File to write, .safetensors."""
    text: Path | None = None
    """A text file to fit on and to evaluate on; Moby Dick by default."""
    method: Literal["truncated", "newton", "trained"] = "newton"
    """Best truncation, two secant (Gauss-Newton) steps from it, or trained on the sample from there."""
    tokens: int = 2000
    """Contexts to fit on."""
    held_out: int = 4000
    """Contexts to evaluate on."""
    evaluations: int = 100
    """Gradient evaluations of a trained head, at most."""
    window: int = 512
    """Tokens that a context sees at most."""
    seed: int = 0
    """Of the deal of windows."""


def command(arguments: list[str]) -> None:
    """Make the head, evaluate what the file holds, write it and say what it costs."""
    import tyro

    named = bool(arguments) and not arguments[0].startswith("-")
    config = tyro.cli(
        CompressConfig,
        args=["--model", *arguments] if named else arguments,
        prog="rankfloor lm compress",
        description="A head of rank r on a model's own features, as safetensors: A (V, r), B (r, D), b (V,).",
    )
    check(config)
    from experiments.lm.corpus import moby_dick, read_text
    from experiments.lm.load import load
    from experiments.lm.ranks.contexts import material

    text = moby_dick() if config.text is None else read_text(config.text)
    model = load(config.model)
    check_rank(config, model.dim)
    print(carry_out(config, material(model, text, (config.tokens, config.held_out), config.window, config.seed)))


def check(config: CompressConfig) -> None:
    """Raise ``ValueError`` before anything is loaded."""
    if config.rank < 1:
        raise ValueError(f"--rank must be at least 1, found {config.rank}")
    if config.out.suffix != ".safetensors":
        raise ValueError(f"--out must name a .safetensors file, found {config.out}")
    if not config.out.parent.is_dir():
        raise ValueError(f"there is no folder {config.out.parent}; make it first, or choose another --out")
    for name in ("tokens", "held_out", "window", "evaluations"):
        if getattr(config, name) < 2:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 2, found {getattr(config, name)}")


def check_rank(config: CompressConfig, dim: int) -> None:
    """Raise ``ValueError`` for a rank above the width of the model."""
    if config.rank > dim:
        raise ValueError(f"rank {config.rank} is above the width {dim} of {config.model}; give a rank up to {dim}")


def carry_out(config: CompressConfig, material: Material) -> str:
    """Make, score and write the head; returns the account of it."""
    from experiments.lm.ranks.score import FULL, scores
    from experiments.lm.ranks.sweep import full_head

    head = single(make(config, material))
    found = scores({"head": head}, full_head(material), material.held_out)
    write_head(config.out, head, _metadata(config, material, found["head"]))
    own, full, V, D = found["head"], found[FULL], *material.W.shape
    size, whole = config.rank * (V + D) + V, V * D
    return "\n".join([
        f"{material.name}{' (' + '; '.join(material.caveats) + ')' if material.caveats else ''}: head of rank "
        f"{config.rank}, {config.method}, from {len(material.fitted):,} contexts",
        f"numbers: {size:,} instead of {whole:,} ({size / whole:.1%}), as many multiplications per token",
        f"on {len(material.held_out):,} contexts held out, nats per token (errors: windows as clusters):",
        f"  loss       {own.loss:.4f} ± {own.loss_stderr:.4f}",
        f"  full head  {full.loss:.4f} ± {full.loss_stderr:.4f}",
        f"  cost       {own.excess:.4f} ± {own.excess_stderr:.4f}",
        f"  divergence {own.kl:.4f} ± {own.kl_stderr:.4f} from the full head's laws",
        f"  accuracy   {own.accuracy:.1%}, the full head's {full.accuracy:.1%}",
        f"written: {config.out}",
    ])  # fmt: skip


def make(config: CompressConfig, material: Material) -> FrozenHead:
    """The head of this rank by the method asked for, with a bias."""
    from experiments.lm.ranks.sweep import Trial, Work, problem_of
    from theory.frozen import Effort, best_truncation, predict_points

    if config.method == "truncated":
        return best_truncation(problem_of(material, material.fitted), config.rank)[0]
    work = Work(evaluations=config.evaluations, seed=config.seed)
    trial = Trial(material, material.fitted, work)
    point = next(predict_points(trial.problem, [config.rank], Effort(folds=0, floor=False, seed=config.seed)))
    if config.method == "newton":
        return point.witness
    fit = trial.trained(point)
    return FrozenHead(fit.A, fit.B, fit.b)


def single(head: FrozenHead) -> FrozenHead:
    """The head rounded to float32, as a file holds it, in a balanced gauge: ``A'A = B B'``, diagonal."""
    left, L = np.linalg.qr(head.A)
    right, R = np.linalg.qr(head.B.T)
    U, values, V = np.linalg.svd(L @ R.T)  # A B = left L R' right'
    roots = np.sqrt(values)
    parts = (left @ (U * roots), (roots[:, None] * V) @ right.T, head.b)
    A, B, b = (None if part is None else part.astype(np.float32) for part in parts)
    return FrozenHead(A, B, b)


def _metadata(config: CompressConfig, material: Material, own: Score) -> dict[str, str]:
    facts = {"format": FORMAT, "model": material.name, "caveats": "; ".join(material.caveats)}
    facts |= {"rank": str(config.rank), "method": config.method, "contexts": str(len(material.fitted))}
    facts |= {"held_out_contexts": str(len(material.held_out))}
    return facts | {f"held_out_{name}": f"{value:.6g}" for name, value in asdict(own).items()}


def write_head(path: Path, head: FrozenHead, metadata: dict[str, str]) -> None:
    """Write a head; the file appears whole or not at all.  ``ValueError`` where it cannot be written."""
    from safetensors.numpy import save

    from experiments.atomic import write

    arrays = {"A": head.A, "B": head.B} | ({} if head.b is None else {"b": head.b})
    try:
        write(path, save({name: np.ascontiguousarray(part) for name, part in arrays.items()}, metadata))
    except OSError as error:
        raise ValueError(f"cannot write {path} ({error.strerror}); choose another --out") from error


def read_head(path: Path) -> tuple[FrozenHead, dict[str, str]]:
    """A head written by ``write_head``, and its metadata.  ``ValueError`` for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            metadata, names = stored.metadata() or {}, set(stored.keys())
            if metadata.get("format") != FORMAT or not {"A", "B"} <= names:
                raise ValueError(f"{path} is not a head written by rankfloor lm compress; give such a file")
            b = stored.get_tensor("b") if "b" in names else None
            return FrozenHead(stored.get_tensor("A"), stored.get_tensor("B"), b), metadata
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{path} cannot be read as safetensors ({error}); give a file of rankfloor lm compress"
        ) from error
