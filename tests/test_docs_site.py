"""The documentation site builds strictly: every link leads somewhere, every theorem has its example and its code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from theory import catalogue

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", [entry.name for entry in catalogue])
def test_a_theorem_page_shows_formulas_example_and_code(site, name):
    html = (site / "theorems" / f"{name}.html").read_text()
    assert "<math" in html
    assert "$$" not in html
    assert "Example." in html
    sources = re.findall(r'href="(\.\./source/[^"#]+)', html)
    assert sources
    assert all((site / "theorems" / source).exists() for source in sources)


def test_nothing_is_fetched_from_elsewhere(site):
    page = (site / "index.html").read_text()
    fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)', page)
    assert fetched == []


def test_every_figure_is_in_the_gallery(site):
    page = (site / "figures" / "index.html").read_text()
    figures = sorted(path.name for path in (ROOT / "docs" / "figures").glob("*.png"))
    assert figures
    assert all(f'src="{name}"' in page for name in figures)
