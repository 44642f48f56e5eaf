"""``rankfloor lm saturation PATH``: late rises in published evaluations of Pythia, as tables, parquet and figure."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.lm import late_rise, pythia
from experiments.table import align
from theory.saturation import Finding, Rule

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SaturationConfig:
    """What to judge, by which rule, and where to put the result."""

    path: Path
    """A clone of EleutherAI/pythia, its evals folder, or any folder in it."""
    metric: str = "lambada_openai_ppl"
    """Measure, <task>_<metric> as in the files; perplexities are judged by their logarithm."""
    window: int = 3
    """Checkpoints in a window: best and final are means over so many neighbours."""
    start: float = 0.25
    """Fraction of training before which nothing is judged."""
    late: float = 0.5
    """Fraction of training from which the Mann-Kendall trend is tested."""
    alpha: float = 0.05
    """Level of each test of one run."""
    out: Path = Path("runs/lm-saturation")
    """Folder for the tables and the figure."""


def command(arguments: list[str]) -> None:
    """Judge every run, print the tables, write parquet and figure."""
    import tyro

    config = tyro.cli(
        tyro.conf.PositionalRequiredArgs[SaturationConfig],
        args=arguments,
        prog="rankfloor lm saturation",
        description="Late rises in the published evaluations of Pythia, with control of the winner's curse.",
    )
    rule = Rule(config.window, config.start, config.late, config.alpha)
    table = pythia.read(config.path, None)
    judged = late_rise.judge(table, config.metric, rule)
    print(report(table, judged, config.metric, rule), flush=True)
    folder = config.out
    folder.mkdir(parents=True, exist_ok=True)
    judged.to_parquet(folder / "saturation.parquet")
    curves = table[(table["series"] == "main") & table[config.metric].notna()]
    curves[[*pythia.RUN, "step", "tokens", config.metric]].to_parquet(folder / "curves.parquet")
    (folder / "config.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    from experiments.figures.saturation import draw

    paths = draw(folder, folder / "saturation")
    print(f"results: {folder / 'saturation.parquet'}\nfigure:  " + "  ".join(map(str, paths)))


def report(table: pd.DataFrame, judged: pd.DataFrame, metric: str, rule: Rule) -> str:
    """Everything the command says, as text."""
    main = table[table["series"] == "main"]
    copies, repeats = int((table["copies"] - 1).sum()), int(main["repeats"].sum())
    parts = [
        f"{len(main):,} evaluations of {main.groupby(pythia.RUN).ngroups} runs ({len(table) - len(main)} more, of a "
        f"debiasing study, are left out); duplicate files dropped: {copies}; checkpoints that repeat an earlier one "
        f"(step 1 is step 0): {repeats}",
        _runs(judged, metric, rule),
        _contrast(judged),
    ]
    parts += [
        f"{one} and {other} agree within {apart:.3f} at every step from 1000 on: count them as one run"
        for one, other, apart in late_rise.near_copies(table, metric)
    ]
    printed = late_rise.table_1(table)
    if printed is not None:
        parts.append(_table_1(printed))
    return "\n\n".join(parts) + "\n"


def _runs(judged: pd.DataFrame, metric: str, rule: Rule) -> str:
    """One line per run."""
    unit = "log perplexity, nats" if late_rise.is_perplexity(metric) else "in the units of the measure"
    header = (
        "model", "shots", "d", "batch", "best", "at step", "final", "rise", "detectable", "held out", "noise",
        "scatter", "p items", "p scatter", "fdr", "late tau", "p trend", "finding",
    )  # fmt: skip
    lines = [
        (
            f"{run.version} {run.model}", str(run.shots), str(run.width), f"{run.batch_tokens / 2**20:g}M",
            f"{run.best_value:.4g}", str(run.best_step), f"{run.final_value:.4g}", f"{run.rise:.3f}",
            f"{run.detectable:.3f}",
            f"{run.held_out:+.3f}", f"{run.item_noise:.3f}", f"{run.scatter:.3f}", p_value(run.p_items),
            p_value(run.p_scatter), p_value(run.fdr), f"{run.late_tau:+.2f}", p_value(run.late_p), run.finding,
        )
        for run in judged.itertuples()
    ]  # fmt: skip
    rises = judged[judged["finding"] == Finding.RISES.value]
    names = ", ".join(f"{late_rise.label(run)} {run.shots}-shot" for run in rises.itertuples()) or "none"
    text = [
        f"{metric}: best and final as published, single checkpoints; rise: last window of {rule.width} checkpoints "
        f"above the best window ({unit}), from {rule.start:.0%} of training on; detectable: the smallest "
        "rise that would be called one",
        align([header, *lines], left={0, 17}),
        f"late rise ({len(rises)} of {len(judged)} runs, each at level {rule.alpha:g}): {names}",
    ]
    text += [
        f"{finding.value}: {finding.explanation}" for finding in Finding if finding.value in set(judged["finding"])
    ]
    return "\n".join(text)


def _contrast(judged: pd.DataFrame) -> str:
    """Runs of one width side by side."""
    rows = late_rise.equal_width(judged)
    header = ("d", "shots", "late rise", "none")
    lines = [(str(row.width), str(row.shots), row.rise or "-", row.no_rise or "-") for row in rows.itertuples()]
    split = sorted(set(rows[rows["split"]]["width"]))
    verdict = (
        f"width alone does not decide at d = {', '.join(map(str, split))}: runs of that width end either way"
        if split
        else "no width here holds runs that end either way: these runs cannot tell width from what goes with it"
    )
    return "at equal width\n" + align([header, *lines], left={2, 3}) + "\n" + verdict


def _table_1(printed: pd.DataFrame) -> str:
    header = ("Table 1, Pythia-160M", "best printed", "best here", "final printed", "final here")
    lines = [
        (row.measure, f"{row.best:g}", f"{row.best_here:.2f}", f"{row.final:g}", f"{row.final_here:.2f}")
        for row in printed.itertuples()
    ]
    text = align([header, *lines], left={0})
    if late_rise.transposed(printed):
        text += (
            "\nthe printed final LAMBADA cells look transposed: perplexity and accuracy agree with these evaluations "
            "when they change places"
        )
    return text


def p_value(p: float) -> str:
    """Two significant digits; nothing where there is no test."""
    return "" if math.isnan(p) else f"{p:.2g}" if p >= 1e-4 else "<1e-4"
