"""The page of a study in a real browser: tables fill, sort and filter, and nothing sticks out of a narrow window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pandas as pd
import pytest

from experiments.page.columns import columns, embedded
from experiments.page.command import report
from tests.experiments.test_page import study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed, in which the page could be opened")

PROBE = """
<pre id="probe"></pre>
<script>
const said = {};
const grid = (name) => document.querySelector(`[data-table="${name}"]`);
const cells = (name, column) => {
  const place = [...grid(name).querySelectorAll("button")].findIndex((one) => one.textContent.split(" ")[0] === column);
  return [...grid(name).querySelectorAll(".row")].map((row) => row.children[place].textContent);
};
const click = (name, column) =>
  [...grid(name).querySelectorAll("button")].find((one) => one.textContent.split(" ")[0] === column).click();
const type = (name, words) => {
  const filter = document.querySelector(`[data-filter="${name}"]`);
  filter.value = words;
  filter.dispatchEvent(new Event("input"));
};
const marks = (name) => [...grid(name).querySelectorAll("button")].map((one) => one.getAttribute("aria-sort"));
const count = (name) => document.querySelector(`[data-count="${name}"]`).textContent;
%s
document.getElementById("probe").textContent = JSON.stringify(said);
</script>
"""
"""What a user does, and what is in the page then."""


def opened(page, tmp_path, actions=""):
    """The page as the browser leaves it, and what ``actions`` wrote into ``said``."""
    probed = tmp_path / "probed.html"
    probed.write_text(page.replace("</body>", PROBE % actions + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *options, probed.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout, json.loads(re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, flags=re.DOTALL)[1])


@pytest.fixture
def page(tmp_path):
    """A page with four records of which two break the law, and two failed trials."""
    folder = study(tmp_path, "cases = [{ wrong = true }, { wrong = false }, { fails = true }]")
    assert report([str(folder)]) == 1
    return (folder / "report.html").read_text()


def test_a_browser_fills_the_tables(page, tmp_path):
    left, said = opened(page, tmp_path, 'said.count = count("records"); said.trials = count("trials");')
    assert "data-ready=" in left
    assert said == {"count": "8 rows", "trials": "6 rows"}
    assert left.count('class="row violated"') == 4


def test_a_click_sorts_and_a_second_one_turns_the_order(page, tmp_path):
    actions = """
    said.before = cells("records", "gap");
    click("records", "gap");
    said.up = cells("records", "gap");
    said.marks = marks("records");
    click("records", "gap");
    said.down = cells("records", "gap");
    click("records", "dim");
    said.other = cells("records", "dim");
    """
    _, said = opened(page, tmp_path, actions)
    assert said["up"] == sorted(said["before"], key=float)
    assert said["up"] != said["before"]
    assert said["down"] == said["up"][::-1]
    assert said["other"] == ["1"] * 4 + ["2"] * 4
    assert said["marks"].count("ascending") == 1


FILTERS = {
    ("records", "gap>0.4"): "6 rows",
    ("records", "gap>0.4 dim=1"): "4 rows",
    ("records", "gap<0.4 seed=1 wrong=no"): "1 row",
    ("records", "gap<inf"): "8 rows",
    ("records", "holds=no"): "4 rows",
    ("records", "gap<=0"): "0 rows",
    ("trials", "ok"): "4 rows",
    ("trials", "OK"): "4 rows",
    ("trials", "status=error"): "2 rows",
    ("trials", "nowhere"): "0 rows",
    ("trials", ""): "6 rows",
}
"""What is typed over a table, and how many rows are left."""


def test_a_word_in_the_filter_leaves_the_rows_that_have_it(page, tmp_path):
    actions = "said.found = [];"
    for table, words in FILTERS:
        actions += f"type({table!r}, {words!r}); said.found.push([count({table!r}), cells({table!r}, 'seed').length]);"
    _, said = opened(page, tmp_path, actions)
    assert [found for found, _ in said["found"]] == list(FILTERS.values())
    assert all(drawn == int(found.split()[0]) for found, drawn in said["found"])


def test_a_filtered_table_is_sorted_too_and_infinities_have_their_place(page, tmp_path):
    frame = pd.DataFrame({"x": [1.5, float("inf"), -2.0, None, float("-inf")], "name": list("abcab")})
    tables = {name: columns(frame) for name in ("records", "trials")}
    data = embedded({"tables": tables, "violated": []})
    made = re.sub(r'(?<=id="data">).*?(?=</script>)', lambda _: data, page, flags=re.DOTALL)
    actions = """
    click("records", "x");
    said.up = cells("records", "x");
    click("records", "x");
    said.down = cells("records", "x");
    type("records", "name=b");
    said.b = cells("records", "x");
    type("records", "x>-5");
    said.above = cells("records", "x");
    """
    _, said = opened(made, tmp_path, actions)
    assert said["up"] == ["-inf", "-2", "1.5", "inf", ""]
    assert said["down"] == ["inf", "1.5", "-2", "-inf", ""]
    assert said["b"] == ["inf", "-inf"]
    assert said["above"] == ["inf", "1.5", "-2"]


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_sticks_out_of_the_window(page, tmp_path, width):
    """Tables, tracebacks and keys scroll or break by themselves; the page never scrolls sideways."""
    within = html.escape(page, quote=True)
    frame = f'<!doctype html><body><iframe style="width:{width}px" srcdoc="{within}"></iframe></body>'
    actions = """
    addEventListener("load", () => {
      const inside = document.querySelector("iframe").contentDocument;
      inside.querySelectorAll("details").forEach((one) => one.open = true);
      said.widths = [inside.documentElement.scrollWidth, inside.documentElement.clientWidth];
      document.getElementById("probe").textContent = JSON.stringify(said);
    });
    """
    _, said = opened(frame, tmp_path, actions)
    assert width - 20 <= said["widths"][1] <= width
    assert said["widths"][0] == said["widths"][1]
