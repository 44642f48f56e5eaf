"""Reader of the published evaluations of Pythia checkpoints: the ``evals`` folder of the EleutherAI/pythia repository.

One JSON file holds one evaluation of one checkpoint.  Folder and file names mislead in places (zero-shot files named
``5shot``, folders named ``five-shot`` that hold zero-shot runs, ablations lying flat), so whatever the ``config``
inside a file records is trusted: number of shots, model and step.  Names decide only what the config does not tell.

Tokens seen are ``step * batch_tokens``.  Every run made the same 143 000 * 2 097 152 tokens in all, in batches of its
own size: 2 097 152 unless the model's name (``0.5MtokBS``) or the config's ``train_iters`` says otherwise.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

TOKENS = 143_000 * 2_097_152
"""Training tokens of every full run."""

TASKS = ("lambada_openai", "wikitext", "sciq", "arc_easy", "arc_challenge", "piqa", "winogrande")
"""Tasks read unless others are named."""


class Shape(NamedTuple):
    """Layers, hidden width d and padded vocabulary V of one size of model."""

    layers: int
    width: int
    vocab: int


SHAPES = {
    "14m": Shape(6, 128, 50304),
    "31m": Shape(6, 256, 50304),
    "70m": Shape(6, 512, 50304),
    "160m": Shape(12, 768, 50304),
    "410m": Shape(24, 1024, 50304),
    "1b": Shape(16, 2048, 50304),
    "1.4b": Shape(24, 2048, 50304),
    "2.8b": Shape(32, 2560, 50304),
    "6.9b": Shape(32, 4096, 50432),
    "12b": Shape(36, 5120, 50688),
}
"""Architectures by the size in a model's name."""

RUN = ["version", "model", "shots", "series"]
"""The columns that name one run: all rows that agree in them are checkpoints of one training run, evaluated alike."""


def read(path: Path, tasks: Sequence[str] | None = TASKS) -> pd.DataFrame:
    """Every evaluation below ``path``: a clone, its ``evals`` folder, or any folder in it.

    One row per checkpoint: the columns of ``RUN``, then size, layers, width, deduped, batch_tokens, step, tokens,
    ``repeats`` (the results are those of an earlier step of the run: steps 0 and 1 are the same weights), ``copies``
    (files that hold this checkpoint; the one in the folder named after its shots is kept, then the latest), the
    results as ``<task>_<metric>`` and ``<task>_<metric>_stderr``, and the file.  ``series`` is ``main``, ``baseline``
    or ``intervention``, the last two being the runs of a debiasing study.  ``tasks=None`` reads all tasks.
    Perplexities of lambada_openai are per target word, accuracies are shares.  Other JSON files are passed over.

    Raises ``ValueError`` for a missing path, a folder without evaluations, a broken file, and a model of unknown shape.
    """
    import pandas as pd

    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist; give a folder of evaluations, such as the evals folder of a clone")
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    rows = [row for file in files if (row := _row(file, tasks)) is not None]
    if not rows:
        raise ValueError(
            f"{path} holds {len(files)} JSON files and none is an evaluation (keys results and config); give the evals "
            "folder of a clone of EleutherAI/pythia, or a folder in it"
        )
    return _distinct(pd.DataFrame(rows))


def metric_columns(table: pd.DataFrame) -> list[str]:
    """The results in a table from :func:`read`, standard errors left out."""
    known = {*RUN, "size", "layers", "width", "deduped", "batch_tokens", "step", "tokens", "repeats", "copies", "file"}
    return [name for name in table.columns if name not in known and not name.endswith("_stderr")]


def metric(table: pd.DataFrame, name: str) -> str:
    """``name`` if it is a result in the table, else ``ValueError`` with the nearest ones."""
    names = metric_columns(table)
    if name not in names:
        near = ", ".join(difflib.get_close_matches(name, names, n=4, cutoff=0.0))
        raise ValueError(f"no metric is named {name!r} among the {len(names)} here; the nearest are {near}")
    return name


def _row(file: Path, tasks: Sequence[str] | None) -> dict[str, Any] | None:
    """One file as a row, or ``None`` where it is no evaluation."""
    try:
        content = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid JSON ({error}); fetch the file again or leave it out") from None
    if not isinstance(content, dict) or not {"results", "config"} <= set(content):
        return None
    config = content["config"]
    name = _name(file, config)
    size = name["model"].split("-")[0]
    layers, width = _shape(size, config, file)
    step, batch = _step(file, config), _batch_tokens(name["model"], config)
    return {
        **name,
        "shots": int(config.get("num_fewshot", 0)),
        "size": size,
        "layers": layers,
        "width": width,
        "deduped": "deduped" in name["model"].split("-"),
        "batch_tokens": batch,
        "step": step,
        "tokens": step * batch,
        **dict(_results(content["results"], tasks)),
        "digest": hashlib.sha256(json.dumps(content["results"], sort_keys=True).encode()).hexdigest(),
        "file": str(file),
    }


def _results(results: dict[str, dict[str, float]], tasks: Sequence[str] | None) -> Iterable[tuple[str, float]]:
    for task in results if tasks is None else tasks:
        for key, value in results.get(task, {}).items():
            yield f"{task}_{key}", value


def _name(file: Path, config: dict[str, Any]) -> dict[str, str]:
    """Version, model and series: from ``pretrained=...`` in the config, else from the nearest folder and the file."""
    folders = [part for part in file.resolve().parts[:-1] if part.startswith("pythia-")]
    versions = [part.removeprefix("pythia-") for part in folders if re.fullmatch(r"pythia-v\d", part)]
    models = [part.removeprefix("pythia-") for part in folders if re.match(r"pythia-\d", part)]
    arguments = config.get("model_args")
    found = re.search(
        r"(intervention-)?pythia-(?:(v\d)[.\d]*-)?([^,/]+)", arguments if isinstance(arguments, str) else ""
    )
    marks = {file.parent.name, file.name.split("-")[0]}
    series = next((mark for mark in ("baseline", "intervention") if mark in marks), "main")
    if found is None:
        stem = re.match(r"pythia-(\d[\w.]*(?:-deduped)?)", file.name)
        model = models[-1] if models else stem[1] if stem else None
        version = versions[-1] if versions else "v0"
    else:
        model, version = found[3], found[2] or (versions[-1] if versions else "v1")
        series = "intervention" if found[1] else series
    if model is None:
        raise ValueError(f"{file}: neither its config nor its folder names a model; keep files below pythia-<model>")
    if model.endswith("-long"):
        model, series = model.removesuffix("-long"), f"{series}-long"
    return {"version": version, "model": model, "series": series}


def _shape(size: str, config: dict[str, Any], file: Path) -> tuple[int, int]:
    arguments = config.get("model_args")
    if isinstance(arguments, dict) and {"num_layers", "hidden_size"} <= set(arguments):
        return int(arguments["num_layers"]), int(arguments["hidden_size"])
    if size not in SHAPES:
        raise ValueError(f"{file}: no model of size {size!r} is known; known sizes: {', '.join(SHAPES)}")
    return SHAPES[size].layers, SHAPES[size].width


def _step(file: Path, config: dict[str, Any]) -> int:
    arguments = config.get("model_args")
    if isinstance(arguments, dict) and "iteration" in arguments:
        return int(arguments["iteration"])
    found = re.search(r"revision=step(\d+)", str(arguments)) or re.search(r"step(\d+)", file.name)
    if found is None:
        raise ValueError(f"{file}: neither its config nor its name tells the step; name files <model>_step<N>.json")
    return int(found[1])


def _batch_tokens(model: str, config: dict[str, Any]) -> int:
    named = re.search(r"([\d.]+)MtokBS", model)
    if named is not None:
        return round(float(named[1]) * 2**20)
    arguments = config.get("model_args")
    steps = arguments.get("train_iters") if isinstance(arguments, dict) else None
    return TOKENS // int(steps) if steps else 2_097_152


def _distinct(table: pd.DataFrame) -> pd.DataFrame:
    """One row per checkpoint, in order, with ``copies`` and ``repeats``."""
    folder = table["file"].map(lambda file: Path(file).parent.name)
    table["misplaced"] = folder.isin(["zero-shot", "five-shot"]) & (
        folder != table["shots"].map({0: "zero-shot", 5: "five-shot"})
    )
    table["name"] = table["file"].map(lambda file: Path(file).name)
    key = [*RUN, "step"]
    table = table.sort_values([*key, "misplaced", "name"], ascending=[True] * len(key) + [False, True])
    table["copies"] = table.groupby(key)["file"].transform("size")
    table = table.drop_duplicates(key, keep="last").sort_values(["version", "width", "layers", *RUN[1:], "step"])
    table["repeats"] = table.duplicated([*RUN, "digest"])
    table = table.drop(columns=["misplaced", "name", "digest"])
    first = [*RUN, "size", "layers", "width", "deduped", "batch_tokens", "step", "tokens", "repeats", "copies"]
    rest = [name for name in table.columns if name not in first and name != "file"]
    return table[[*first, *rest, "file"]].reset_index(drop=True)
