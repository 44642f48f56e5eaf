"""Which runs of a table of evaluations rise late, set beside the other runs of their width, and Table 1 of the paper.

Tests are those of :mod:`theory.saturation`, on ``log`` perplexity (nats), on bits per byte, or on minus the accuracy:
measures for which less is better.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.lm.pythia import RUN, metric
from theory.saturation import Finding, Rule, saturation

if TYPE_CHECKING:
    import pandas as pd

TABLE_1 = Path(__file__).parent / "data" / "godey2024-table1.csv"

COPY = 0.02
"""Two runs of one shape whose losses never differ by more than this (nats; share of items) count as one run."""


def as_loss(values: Any, name: str) -> np.ndarray:
    """Results of the metric ``name`` as losses: log perplexity, minus accuracy, anything else as it is."""
    x = np.asarray(values, dtype=np.float64)
    if is_perplexity(name):
        return np.log(x)
    return -x if is_accuracy(name) else x


def is_perplexity(name: str) -> bool:
    """Whether a metric is a perplexity, by its name."""
    return "ppl" in name or "perplexity" in name


def is_accuracy(name: str) -> bool:
    """Whether more is better, by the metric's name."""
    return "_acc" in name


def judge(table: pd.DataFrame, name: str, rule: Rule) -> pd.DataFrame:
    """One row per run of the main series that has the metric: what :func:`theory.saturation.saturation` found.

    Beside the run's columns: ``best_step``, ``best_value`` and ``final_value`` of single checkpoints after ``start``
    (as published, not corrected for anything), the fields of ``Saturation``, and ``fdr``, the Benjamini-Hochberg
    adjusted ``p_scatter`` over the runs judged.  Runs of one width stand side by side.  Runs with a checkpoint that
    lacks its standard error are judged without item noise.
    """
    import pandas as pd

    metric(table, name)
    main = table[(table["series"] == "main") & table[name].notna()]
    rows = [_judge(run, name, rule) for _, run in main.groupby(RUN, sort=False)]
    judged = pd.DataFrame(rows).sort_values(["width", "shots", "version", "layers", "model"], ignore_index=True)
    judged["fdr"] = _false_discovery(judged["p_scatter"].to_numpy())
    return judged


def _judge(run: pd.DataFrame, name: str, rule: Rule) -> dict[str, Any]:
    losses = as_loss(run[name], name)
    error = run.get(f"{name}_stderr")
    errors = None
    if error is not None and error.notna().all():
        errors = error.to_numpy() / (run[name].to_numpy() if is_perplexity(name) else 1.0)
    found = saturation(run["tokens"].to_numpy(), losses, errors, rule)
    tested = (run["tokens"] >= rule.start * run["tokens"].max()).to_numpy()
    best = int(np.flatnonzero(tested)[np.argmin(losses[tested])])
    first = run.iloc[0]
    shape = {column: first[column] for column in [*RUN, "size", "layers", "width", "deduped", "batch_tokens"]}
    flat = {key: value for key, value in asdict(found).items() if key != "trend"}
    return {
        **shape,
        "checkpoints": int(tested.sum()),
        "best_step": int(run["step"].iloc[best]),
        "best_value": float(run[name].iloc[best]),
        "final_value": float(run[name].iloc[-1]),
        **flat,
        "finding": found.finding.value,
        "late_tau": found.trend.tau,
        "late_p": found.trend.p_value,
    }


def equal_width(judged: pd.DataFrame) -> pd.DataFrame:
    """Per width and number of shots: the runs that rise late and those that do not, and whether both kinds exist.

    Columns width, shots, ``rise`` and ``no_rise`` (names of runs, comma-separated), ``split``.  Where a width is split,
    width alone did not decide; where it is not, the runs at hand cannot tell width from what they share with it.
    """
    import pandas as pd

    rows = []
    for (width, shots), runs in judged.groupby(["width", "shots"]):
        rises = runs["finding"] == Finding.RISES.value
        told = runs[runs["finding"] != Finding.TOO_SHORT.value]
        rows.append(
            {
                "width": width,
                "shots": shots,
                "rise": ", ".join(map(label, runs[rises].itertuples())),
                "no_rise": ", ".join(map(label, told[~rises.reindex(told.index)].itertuples())),
                "split": bool(rises.any() and not rises.reindex(told.index).all()),
            }
        )
    return pd.DataFrame(rows)


def label(run: Any) -> str:
    """A run in words: version, model, and its batch where it is not the usual one (2 097 152 tokens)."""
    batch = "" if run.batch_tokens == 2_097_152 or "MtokBS" in run.model else f" ({run.batch_tokens / 2**20:g}M batch)"
    return f"{run.version} {run.model}{batch}"


def near_copies(table: pd.DataFrame, name: str) -> list[tuple[str, str, float]]:
    """Pairs of runs of one shape whose losses differ by at most ``COPY`` at every common step, and by how much at most.

    Only steps from 1000 on are compared: before, all runs of a size are near their initial loss.
    """
    main = table[(table["series"] == "main") & table[name].notna() & (table["step"] >= 1000)]
    found = []
    for _, group in main.groupby(["version", "size", "shots"], sort=False):
        runs = {model: run.set_index("step")[name] for model, run in group.groupby("model", sort=False)}
        for (one, a), (other, b) in combinations(runs.items(), 2):
            steps = a.index.intersection(b.index)
            if len(steps) == 0:
                continue
            apart = float(np.max(np.abs(as_loss(a[steps], name) - as_loss(b[steps], name))))
            if apart <= COPY:
                first = group.iloc[0]
                found.append((f"{first['version']} {one}", f"{other} ({first['shots']}-shot)", apart))
    return found


def table_1(table: pd.DataFrame) -> pd.DataFrame | None:
    """Table 1 of Godey et al. (2024) beside the evaluations of v1 pythia-160m, zero-shot; ``None`` without that run.

    Accuracies in per cent; ``best`` and ``final`` as printed, ``best_here`` the best checkpoint of each measure after
    warm-up, ``final_here`` the last one.
    """
    import pandas as pd

    run = table[
        (table["version"] == "v1") & (table["model"] == "160m") & (table["shots"] == 0) & (table["series"] == "main")
    ]
    printed = pd.read_csv(TABLE_1, comment="#")
    if run.empty or not set(printed["metric"]) <= set(run.columns):
        return None
    for row, name in enumerate(printed["metric"]):
        values = run[name].to_numpy() * (100 if is_accuracy(name) else 1)
        printed.loc[row, "best_here"] = values[np.argmin(as_loss(run[name], name))]
        printed.loc[row, "final_here"] = values[-1]
    return printed


def transposed(compared: pd.DataFrame) -> bool:
    """Whether the printed final LAMBADA perplexity and accuracy fit the evaluations better when they change places."""
    cells = compared.set_index("metric").loc[["lambada_openai_ppl", "lambada_openai_acc"]]
    printed, here = cells["final"].to_numpy(), cells["final_here"].to_numpy()
    return bool(np.abs(printed[::-1] - here).sum() < np.abs(printed - here).sum() / 2)


def _false_discovery(p: np.ndarray) -> np.ndarray:
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    return adjusted
