"""Reading the files of a store, while others write: shards first, then the compacted file.

Compaction puts the new file in place before it removes a shard, so an entry that a reader no longer finds in a shard is
in the compacted file it reads afterwards.  No reader takes a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from experiments.studies.store.entry import Entry, decode
from experiments.studies.store.shard import SHARDS, last_words

COMPACTED = "trials.parquet"


@dataclass
class Contents:
    """Every distinct entry of a store, attempts that began and did not end, and how many lines were damaged."""

    entries: list[Entry] = field(default_factory=list)
    started: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    """``(key, run)`` of every start noted, with its shards."""
    damaged: int = 0

    def resolved(self) -> dict[str, Entry]:
        """The entry that counts for each key: the last attempt, a finished one first, whatever the order of files."""
        best: dict[str, Entry] = {}
        for entry in self.entries:
            rival = best.get(entry.key)
            if rival is None or _rank(entry) > _rank(rival):
                best[entry.key] = entry
        return best

    def contradictions(self) -> list[str]:
        """Keys of which two finished attempts differ: trials not determined by their parameters and seed."""
        seen: dict[str, str] = {}
        finished = [entry for entry in self.entries if entry.ok]
        return sorted({entry.key for entry in finished if seen.setdefault(entry.key, entry.content) != entry.content})

    def last_words(self, key: str, run: str) -> str:
        """Where the worker that began ``key`` in ``run`` was stuck when its watchdog ended it; empty if it was not."""
        shards = self.started.get((key, run), [])
        return next(filter(None, (_text(last_words(shard)) for shard in shards)), "")


def _rank(entry: Entry) -> tuple[int, bool, str, str, str]:
    return (entry.attempt, entry.ok, entry.content, entry.measured.finished, entry.measured.worker)


def read(folder: Path) -> Contents:
    """Everything the store at ``folder`` holds."""
    contents = Contents()
    found: list[Entry] = []
    for shard in sorted((folder / SHARDS).glob("*.jsonl")):
        found += _read_shard(shard, contents)
    found += compacted(folder)
    contents.entries = distinct(found)
    return contents


def _read_shard(shard: Path, contents: Contents) -> Iterator[Entry]:
    """The entries of a shard; starts and damaged lines are noted in ``contents``."""
    try:
        lines = shard.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:  # compacted since the folder was listed
        return
    for line in lines:
        try:
            item = decode(line)
        except ValueError:
            contents.damaged += line != b"\n"
            continue
        if isinstance(item, Entry):
            yield item
        else:
            contents.started.setdefault((item["start"], item["run"]), []).append(shard)


def compacted(folder: Path) -> list[Entry]:
    """The entries of the compacted file, none when there is no such file."""
    import pyarrow.parquet as pq

    path = folder / COMPACTED
    if not path.exists():
        return []
    lines = pq.read_table(path, columns=["line"])["line"].to_pylist()
    return [entry for entry in map(decode, lines) if isinstance(entry, Entry)]


def distinct(entries: Iterable[Entry]) -> list[Entry]:
    """One entry for each attempt with the same outcome, in an order that does not depend on that of the files."""
    kept: dict[tuple[str, int, str], Entry] = {}
    for entry in entries:
        same = (entry.key, entry.attempt, entry.content)
        rival = kept.get(same)
        if rival is None or _rank(entry) < _rank(rival):
            kept[same] = entry
    return [kept[same] for same in sorted(kept)]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
