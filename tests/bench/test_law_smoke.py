"""The long run of the law: it counts what it drew, goes on where it stopped, and stops where something breaks."""

from __future__ import annotations

import json

import pytest

from tests.bench import law
from tests.theory.targeted import DRAWS
from tests.theory.targeted_frozen import FrozenDraw
from theory import catalogue

FEW = {name: DRAWS[name] for name in ("two tokens", "nested supports")}


class Broken:
    """A draw whose check fails."""

    cases, bounds, side = FEW["two tokens"].cases, ("binary",), FEW["two tokens"].side

    def ask(self, case):
        raise AssertionError("broken")


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    store = tmp_path / "law.json"
    monkeypatch.setattr(law, "DRAWS", FEW)
    monkeypatch.setattr(law, "PART", 4)
    law.main(["--each", "6", "--store", str(store)])
    once = json.loads(store.read_text())
    assert {name: (spent["parts"], spent["drawn"]) for name, spent in once.items()} == dict.fromkeys(FEW, (2, 6))
    law.main(["--each", "6", "--store", str(store)])
    assert json.loads(store.read_text()) == once
    law.main(["--each", "8", "--store", str(store)])
    twice = json.loads(store.read_text())
    assert {spent["drawn"] for spent in twice.values()} == {8}
    assert {count["applied"] for spent in twice.values() for count in spent["bounds"].values()} == {8}
    printed = capsys.readouterr().out
    assert all(f"| {bound} | {draw.side(bound).value} | {name} | 8 | 8 |" in printed for name, draw in FEW.items()
               for bound in draw.bounds)  # fmt: skip


def test_a_part_that_breaks_is_not_counted(tmp_path, monkeypatch):
    store = tmp_path / "law.json"
    monkeypatch.setattr(law, "DRAWS", {"broken": Broken()})
    with pytest.raises(AssertionError, match="broken"):
        law.main(["--each", "6", "--store", str(store)])
    assert not store.exists()


def test_the_page_names_every_bound_of_both_catalogues():
    found = {
        name: {"drawn": 1, "seconds": 0.0, "bounds": {b: {"applied": 1, "positive": 1, "seconds": 0} for b in d.bounds}}
        for name, d in DRAWS.items()
    }
    text = law.page(found)
    assert text.startswith("**Stopped short of 100,000 problems a draw**")
    assert "\n14 problems, 32 answers of a bound that applies, 0 processor seconds, nothing broken; " in text
    assert law.page({name: {**spent, "drawn": law.TARGET} for name, spent in found.items()}).startswith("**Complete.**")
    assert "at least 1 times" in text
    names = [*(entry.name for entry in catalogue), *FrozenDraw.bounds]
    assert all(f"| {name} |" in text for name in names)


def test_problems_of_every_kind_are_counted(capsys):
    law.main(["--examples", "3"])
    assert "3 problems" in capsys.readouterr().out


def test_counts_are_put_between_the_marks_of_the_page(tmp_path):
    text, copy = law.PAGE.read_text(), tmp_path / "law.md"
    copy.write_text(text)
    law.put("anything", copy)
    once = copy.read_text()
    assert f"{law.BEGIN}\n\nanything\n\n{law.END}" in once
    assert (once.split(law.BEGIN)[0], once.split(law.END)[1]) == (text.split(law.BEGIN)[0], text.split(law.END)[1])
    law.put("anything", copy)
    assert copy.read_text() == once
