"""The store: bitwise round trips, damage noticed, duplicates resolved, readers that never wait, a full disk."""

from __future__ import annotations

import dataclasses
import math
import os
import struct

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.studies.store import Entry, Measured, Plan, Shard, Store, StoreFull, TrialStatus
from experiments.studies.store.entry import decode, encode
from experiments.studies.store.shard import SHARDS

FLOATS = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), FLOATS, st.text(), st.lists(FLOATS))
RECORDS = st.lists(st.dictionaries(st.text(min_size=1), VALUES, max_size=4), max_size=3)


def entry(key="a", attempt=1, status=TrialStatus.OK, records=({"gap": 0.1},), **measured):
    return Entry(key, "probe", {"x": 1}, 0, "code", attempt, status, tuple(records), measured=Measured(**measured))


def bits(value):
    """A value with floats as their bits; every NaN is one value."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("d", value)
    return [bits(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.fixture
def store(tmp_path):
    Plan({"name": "s", "trial": "floor"}, "code", {}, ("a", "b", "c")).save(tmp_path)
    return Store(tmp_path)


def put(store, *entries):
    with Shard(store.path) as shard:
        for one in entries:
            shard.append(one)
    return shard.path


@given(RECORDS)
def test_an_entry_comes_back_bit_for_bit(records):
    """Every kind of value that a record may hold."""
    back = decode(encode(entry(records=records)))
    assert [{k: bits(v) for k, v in record.items()} for record in back.records] == [
        {k: bits(v) for k, v in record.items()} for record in records
    ]
    assert back.content == entry(records=records).content


@given(st.data())
def test_any_damage_to_a_line_is_noticed(data):
    """Cut short anywhere, or any byte changed: sabotage of the checksum."""
    line = encode(entry(records=[{"gap": data.draw(FLOATS)}]))
    cut = data.draw(st.integers(0, len(line) - 1))
    with pytest.raises(ValueError, match="cut short or damaged"):
        decode(line[:cut])
    changed = bytearray(line)
    changed[cut] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="cut short or damaged"):
        decode(bytes(changed))


def test_entries_survive_compaction_and_the_shards_go(store):
    put(store, entry("a"), entry("b", status=TrialStatus.ERROR, records=()))
    before = store.entries()
    store.compact()
    assert store.entries() == before
    assert list((store.path / SHARDS).iterdir()) == []
    put(store, entry("c", records=[{"gap": math.inf}]))
    store.compact()
    assert [one.key for one in store.entries()] == ["a", "b", "c"]
    assert store.frame()["gap"].tolist() == [0.1, math.inf]
    assert store.trials()["status"].tolist() == ["ok", "error", "ok"]


def test_a_shard_being_written_is_read_but_not_removed(store):
    with Shard(store.path) as shard:
        shard.append(entry("a"))
        assert [one.key for one in store.entries()] == ["a"]
        store.compact()
        assert shard.path.exists()
        shard.append(entry("b"))
    assert [one.key for one in store.entries()] == ["a", "b"]
    store.compact()
    assert not shard.path.exists()


def test_a_shard_removed_between_open_and_lock_is_opened_anew(store, monkeypatch):
    """The window between opening and locking: what is written afterwards must not land in a removed file."""
    path, real, removed = put(store, entry("a")), os.open, []

    def open_then_lose(name, *rest):
        number = real(name, *rest)
        if name == path and not removed:
            removed.append(name)
            store.compact()
        return number

    monkeypatch.setattr("experiments.studies.store.shard.os.open", open_then_lose)
    put(store, entry("b"))
    assert removed
    assert [one.key for one in store.entries()] == ["a", "b"]


def test_a_half_written_line_is_counted_and_the_next_stands_alone(store):
    path = put(store, entry("a"), entry("b"))
    path.write_bytes(path.read_bytes()[:-20])
    contents = store.read()
    assert ([one.key for one in contents.entries], contents.damaged) == (["a"], 1)
    put(store, entry("c"))
    assert [one.key for one in store.entries()] == ["a", "c"]


def test_the_last_attempt_counts_a_finished_one_first_whatever_the_order(store):
    failed = entry("a", status=TrialStatus.ERROR, records=())
    again = entry("a", attempt=2, status=TrialStatus.TIMEOUT, records=())
    finished = entry("a", attempt=2)
    for order in ([failed, again, finished], [finished, again, failed]):
        path = put(store, *order)
        assert store.entries() == [finished]
        path.unlink()


def test_the_same_outcome_twice_is_one_and_another_outcome_is_a_contradiction(store):
    put(store, entry("a", seconds=1.0, finished="1"), entry("a", seconds=2.0, finished="2"))
    assert len(store.read().entries) == 1
    assert store.read().contradictions() == []
    put(store, entry("a", records=[{"gap": 0.2}]))
    store.compact()
    assert store.read().contradictions() == ["a"]
    assert len(store.entries()) == 1


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_whole_lines_only(store, monkeypatch, call):
    """Half of the line is written, then there is no space: the shard is cut back to what it was."""
    real = getattr(os, call)
    path = put(store, entry("a"))
    whole = path.read_bytes()

    def full(number, data=b""):
        if call == "write" and len(data) > 40:
            return real(number, data[:40])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"experiments.studies.store.shard.os.{call}", full)
    with pytest.raises(StoreFull, match=r"No space left on device.*make room and run"), Shard(store.path) as shard:
        shard.append(entry("b"))
    monkeypatch.undo()
    assert path.read_bytes() == whole
    put(store, entry("b"))
    assert [one.key for one in store.entries()] == ["a", "b"]


def test_one_sweep_at_a_time(store):
    with store.locked(), pytest.raises(ValueError, match="another sweep is writing"), Store(store.path).locked():
        pytest.fail("two sweeps hold one store")
    with store.locked():
        assert (store.path / "lock").exists()


def test_a_folder_that_is_no_store_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"is not a store .*give the folder"):
        Store(tmp_path).entries()
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ValueError, match=r"is damaged .*run the study again"):
        Store(tmp_path).frame()


def test_tables_outside_the_plan_are_read_when_asked_for(store):
    put(store, entry("z"), entry("a"))
    assert store.frame()["key"].tolist() == ["a"]
    assert store.frame(everything=True)["key"].tolist() == ["a", "z"]
    assert isinstance(Store(store.path).trials(everything=True), pd.DataFrame)


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(ValueError, match="cannot store"):
        encode(dataclasses.replace(entry(), records=({"gap": object()},)))
