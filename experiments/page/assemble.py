"""The page of a store: what is said, in which order, as HTML around the tables that the script shows."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.atomic import write
from experiments.page.columns import columns, embedded, told_apart
from experiments.page.verdict import Verdict, verdict

if TYPE_CHECKING:
    import pandas as pd

    from experiments.figures.studies import Drawn
    from experiments.studies.store import Store

FAILURES = 200
"""Failures shown with their traceback; the table of trials holds all."""

MEASURED = ("seed", "status", "attempt", "seconds", "peak_mb", "worker", "finished", "error", "key")
"""Columns of the table of trials."""


@dataclass(frozen=True)
class Page:
    """A finished page, ``text``, and what it says of the law."""

    text: str
    verdict: Verdict

    def save(self, path: Path) -> None:
        """Write the page, atomically.  ``ValueError`` where that is impossible."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, self.text.encode())
        except OSError as why:
            raise ValueError(f"cannot write {path} ({why.strerror}); choose another --out") from why


def page_of(store: Store) -> Page:
    """One self-contained page of everything in a store.  ``ValueError`` when the folder is not a store."""
    from experiments.figures.studies import figure_of

    plan, records, trials = store.plan, store.frame(), store.trials()
    law = verdict(records)
    draw = figure_of(str(plan.study["name"]))
    drawn = draw(records) if draw is not None and len(records) else None
    failed = trials[trials["status"] != "ok"]
    varied, same = told_apart(records)
    found = varied[sorted(varied, key="key".__eq__)]  # keys last: they say least
    tables = {"records": columns(found), "trials": columns(trials[[c for c in MEASURED if c in trials]])}
    if drawn is not None:
        tables["figure"] = columns(drawn.data)
    sections = [
        _summary(plan.study, len(plan.keys), trials, records),
        _law(law, records),
        _figure(drawn),
        _table("records", "Records", _lead(len(records), same)),
        _failures(failed),
        _table("trials", "Trials", "What each trial took."),
        _provenance(plan.study, plan.code, plan.provenance),
    ]
    return Page(_document(str(plan.study["name"]), "\n".join(sections), tables, law), law)


def _lead(count: int, same: Mapping[str, str]) -> str:
    """What stands above the table of records: how many, and what they have in common."""
    shared = ", ".join(f"{html.escape(name)} = {html.escape(value)}" for name, value in same.items())
    common = f"<br>The same in all of them: {shared}." if same else ""
    return f"{count:,} records: what each trial found. Click a column to sort.{common}"


def _document(title: str, body: str, tables: Mapping[str, Any], law: Verdict) -> str:
    def part(name: str) -> str:
        return (files("experiments.page") / "parts" / name).read_text(encoding="utf-8")

    holes = {
        "TITLE": html.escape(title),
        "STYLE": part("page.css"),
        "BODY": body,
        "DATA": embedded({"tables": tables, "violated": list(law.violated)}),
        "SCRIPT": part("page.js"),
    }
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda hole: holes[hole[1]], part("page.html"))


def _summary(study: Mapping[str, Any], planned: int, trials: pd.DataFrame, records: pd.DataFrame) -> str:
    done = int((trials["status"] == "ok").sum())
    seconds = float(trials["seconds"].sum())
    cards = [
        ("trials", f"{done:,} of {planned:,}"),
        ("failed", f"{len(trials) - done:,}"),
        ("missing", f"{planned - len(trials):,}"),
        ("records", f"{len(records):,}"),
        ("computing", _duration(seconds)),
    ]
    items = "".join(
        f'<div class="card{" bad" if name in ("failed", "missing") and value != "0" else ""}">'
        f"<b>{value}</b><span>{name}</span></div>"
        for name, value in cards
    )
    kind = html.escape(str(study["trial"]))
    return f'<p class="kind">A study of trials of the kind <code>{kind}</code>.</p><div class="cards">{items}</div>'


def _law(law: Verdict, records: pd.DataFrame) -> str:
    """The verdict; a violation is shouted, with the keys of its trials."""
    if not law.violated:
        return f'<p class="law {law.state}" role="status">{html.escape(law.sentence)}</p>'
    keys = records["key"].iloc[list(law.violated[:20])].drop_duplicates()
    listed = ", ".join(f"<code>{html.escape(str(key))}</code>" for key in keys)
    return f'<div class="law violated" role="alert"><strong>{html.escape(law.sentence)}</strong><p>{listed}</p></div>'


def _figure(drawn: Drawn | None) -> str:
    if drawn is None:
        return ""
    caption = html.escape(drawn.caption)
    return (
        f'<section><h2>Figure</h2><figure><img src="{drawn.svg()}" alt="{caption}"><figcaption>{caption}</figcaption>'
        f"</figure><details><summary>The numbers in the figure</summary>{_grid('figure')}</details></section>"
    )


def _table(name: str, title: str, lead: str) -> str:
    return f"<section><h2>{title}</h2><p>{lead}</p>{_grid(name)}</section>"


def _grid(name: str) -> str:
    label = f"only rows with, e.g. gap>0.1 or zipf ({name})"
    return (
        f'<div class="tools"><input type="search" data-filter="{name}" placeholder="filter: a word, or gap&gt;0.1" '
        f'aria-label="{label}"><span data-count="{name}"></span></div><div class="grid" data-table="{name}"></div>'
    )


def _failures(failed: pd.DataFrame) -> str:
    if not len(failed):
        return ""
    items = "".join(
        f"<details><summary><code>{html.escape(str(row.key))}</code> {html.escape(str(row.status))}: "
        f"{html.escape(str(row.error).splitlines()[0] if row.error else '')}</summary>"
        f"<pre>{html.escape(str(row.traceback))}</pre></details>"
        for row in failed.head(FAILURES).itertuples()
    )
    more = f"<p>and {len(failed) - FAILURES:,} more in the table of trials</p>" if len(failed) > FAILURES else ""
    return f"<section><h2>Failures</h2>{items}{more}</section>"


def _provenance(study: Mapping[str, Any], code: str, facts: Mapping[str, Any]) -> str:
    rows = [("code", code), *((name, value) for name, value in facts.items() if name != "versions")]
    rows += [(f"version of {name}", value) for name, value in dict(facts.get("versions", {})).items()]
    rows += [(f"study: {name}", value) for name, value in study.items() if name != "name"]
    lines = "".join(f"<tr><th>{html.escape(str(n))}</th><td>{html.escape(str(v))}</td></tr>" for n, v in rows)
    return f'<section><h2>Provenance</h2><table class="facts">{lines}</table></section>'


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
