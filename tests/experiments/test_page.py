"""The page of a study: self-contained, complete, loud when the law is broken; figures drawn from records alone."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.cli import main
from experiments.figures.studies import figure_names, figure_of
from experiments.page import page_of
from experiments.page.columns import columns, embedded, told_apart
from experiments.page.verdict import verdict
from experiments.studies import Store
from experiments.trials import trial

CONFIGS = Path(__file__).parents[2] / "configs"


@dataclass(frozen=True)
class Lines:
    """How a made-up trial behaves."""

    wrong: bool = False
    fails: bool = False


@trial("lines")
def lines(parameters: Lines, seed: int):
    """Records made up for the page."""
    if parameters.fails:
        raise ValueError("nothing to <see> here")
    for dim in (1, 2):
        yield {"dim": dim, "gap": 1 / (dim + seed), "lower": float("inf"), "holds": not parameters.wrong}


def study(tmp_path, text, name="made-up"):
    """The store of a study of the made-up trial."""
    (tmp_path / f"{name}.toml").write_text(f'trial = "{__name__}:lines"\nseeds = [0, 1]\n{text}')
    main(["run", str(tmp_path / f"{name}.toml"), "--jobs", "1", "--out", str(tmp_path)])
    return tmp_path / name


def content(page):
    """What a browser would read from the page."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])


def test_the_page_holds_every_record_and_nothing_from_elsewhere(tmp_path, capsys):
    folder = study(tmp_path, "")
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    records = {column["name"]: column for column in content(page)["tables"]["records"]}
    assert records["gap"]["values"] == [1.0, 0.5, 0.5, pytest.approx(1 / 3, rel=1e-6)]
    assert "lower = inf" in page  # the same in all records
    assert "{{" not in page.split('id="data">')[0]
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', page) == []
    assert "all 4 records" in capsys.readouterr().out


def test_a_violated_bound_is_shouted_and_marked(tmp_path, capsys):
    folder = study(tmp_path, "[grid]\nwrong = [false, true]")
    assert main(["report", str(folder)]) == 1
    page = (folder / "report.html").read_text()
    assert "A BOUND IS VIOLATED on 4 of 8 records" in capsys.readouterr().out
    assert 'role="alert"' in page
    assert content(page)["violated"] == [int(row) for row in np.flatnonzero(~Store(folder).frame()["holds"])]


def test_failures_are_shown_with_their_traceback_escaped(tmp_path):
    folder = study(tmp_path, "[grid]\nfails = [false, true]")
    page = page_of(Store(folder)).text
    assert "nothing to &lt;see&gt; here" in page
    assert "Traceback" in page
    assert "<b>2</b><span>failed" in page


def test_bad_input_is_said(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "is not a store" in capsys.readouterr().err


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=5), st.booleans()), min_size=1, max_size=6))
def test_any_column_survives_the_way_to_the_page(values):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "row": range(len(values))})
    there = {column["name"]: column for column in json.loads(embedded(columns(frame)))}
    assert there["row"]["values"] == list(range(len(values)))
    assert "x" in there or frame["x"].isna().all()
    assert "<" not in embedded(columns(frame))


@settings(max_examples=50)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_numbers_keep_seven_digits(values):
    (there,) = json.loads(embedded(columns(pd.DataFrame({"x": values}))))
    assert there["values"] == pytest.approx(values, rel=1e-6, abs=0)


def test_what_rows_share_is_told_apart():
    varied, same = told_apart(pd.DataFrame({"a": [1, 2], "b": [3, 3], "c": [None, None]}))
    assert (list(varied), same) == (["a"], {"b": "3"})


def test_the_verdict_counts_only_records_that_compare():
    assert verdict(pd.DataFrame({"holds": [True, None, False]}, dtype=object)).violated == (2,)
    assert verdict(pd.DataFrame({"holds": [True, None, False]}, dtype=object)).checked == 2
    assert verdict(pd.DataFrame({"gap": [1.0]})).state == "none"


@pytest.mark.parametrize("name", figure_names())
def test_every_study_runs_small_and_draws_its_figure(name, tmp_path, capsys):
    assert main(["run", str(CONFIGS / f"{name}.toml"), "--small", "--jobs", "1", "--out", str(tmp_path)]) == 0
    store = tmp_path / f"{name}-small"
    assert main(["figure", str(store), "--out", str(tmp_path / "drawn")]) == 0
    assert verdict(Store(store).frame()).violated == ()
    assert (tmp_path / "drawn.png").stat().st_size > 5_000
    assert len(pd.read_csv(tmp_path / "drawn.csv")) > 1
    assert "data:image/svg+xml" in page_of(Store(store)).text


def test_a_study_without_a_figure_is_said():
    assert figure_of("no-such-study") is None
    assert figure_of("parts") is None
