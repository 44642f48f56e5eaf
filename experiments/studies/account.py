"""What a store has to say about itself, in words: counts, failures, code, damage, and what to do next."""

from __future__ import annotations

from collections import Counter

from experiments.studies.code import code_version
from experiments.studies.store import Entry, Store

SHOWN = 10
"""Failures that are listed."""


def account(store: Store) -> str:
    """The state of a store as lines of text.  ``ValueError`` when the folder is not a store."""
    plan, contents = store.plan, store.read()
    found = contents.resolved()
    ended = [found[key] for key in plan.keys if key in found]
    failed = [entry for entry in ended if not entry.ok]
    missing = len(plan.keys) - len(ended)
    lines = [
        f"study   {plan.study['name']}, trials of the kind {plan.study['trial']!r}, in {store.path}",
        f"trials  {len(plan.keys):,} planned: {len(ended) - len(failed):,} done, {len(failed):,} failed, "
        f"{missing:,} missing",
    ]
    took = sum(entry.measured.seconds for entry in ended)
    if ended:
        peak = max(entry.measured.peak_mb for entry in ended)
        lines.append(f"took    {took:,.0f} s of trials, {took / len(ended):.3g} s each, at most {peak:,.0f} MiB")
    lines += _failures(failed)
    lines += _code(plan.code, plan.study["trial"], ended)
    others = len(found) - len(ended)
    if others:
        lines.append(f"beside  {others:,} trials of other grids or other code, not part of the plan")
    if contents.damaged:
        lines.append(f"damaged {contents.damaged:,} lines were cut short; their trials count as missing")
    if contradictions := contents.contradictions():
        lines.append(
            f"beware  {len(contradictions):,} trials gave other records when they were run again (first key "
            f"{contradictions[0]}): they are not determined by their parameters and seed"
        )
    if missing:
        lines.append("next    the same rankfloor run goes on with what is missing")
    elif failed:
        lines.append(f"next    rankfloor retry {store.path}")
    return "\n".join(lines)


def _failures(failed: list[Entry]) -> list[str]:
    if not failed:
        return []
    counts = Counter(str(entry.status) for entry in failed)
    lines = ["failed  " + ", ".join(f"{number:,} {status}" for status, number in sorted(counts.items()))]
    for entry in failed[:SHOWN]:
        first = entry.error.splitlines()[0] if entry.error else ""
        lines.append(f"        {entry.key} {entry.status}: {first} ({_setting(entry)})")
    if len(failed) > SHOWN:
        lines.append(f"        and {len(failed) - SHOWN:,} more; Store.trials() holds all, with their tracebacks")
    return lines


def _setting(entry: Entry) -> str:
    given = {name: value for name, value in entry.params.items() if value is not None} | {"seed": entry.seed}
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _code(planned: str, trial: str, ended: list[Entry]) -> list[str]:
    counts = Counter(entry.code for entry in ended)
    versions = ", ".join(f"{code} ({number:,})" for code, number in sorted(counts.items())) or planned
    try:
        now = code_version(trial)
    except ValueError as why:
        return [f"code    {versions}; the trial kind cannot be found here ({why})"]
    if now == planned:
        return [f"code    {versions}, which is the code here"]
    return [f"code    {versions}; the code here is {now}: rankfloor run would do everything again"]
