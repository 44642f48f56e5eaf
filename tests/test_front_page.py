"""What the front pages say is so: the demo's three panels, versions, and the files that contributors are sent to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from experiments.demo import NAMES, configurations
from experiments.source import build
from tests.tolerances import rounding
from theory import HeadSpec, sandwich

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def panels():
    """The configurations of the demo by name."""
    return dict(zip(NAMES, configurations(Path("runs")), strict=True))


def test_the_demo_shows_what_the_readme_says(panels):
    assert "a Zipfian law of logit rank 200" in README
    assert (panels["zipf"].source.family, panels["zipf"].source.rank) == ("zipf", 200)
    assert "every uniform choice among two of twelve tokens" in README
    subsets = panels["two-subsets"].source
    assert (subsets.family, subsets.k, subsets.vocab) == ("all_k_subsets", 2, 12)
    assert "Moby Dick trigrams" in README
    assert (panels["moby-dick"].source.corpus, panels["moby-dick"].source.order) == ("moby-dick", 3)
    assert "docs/figures/demo.png" in README


def test_two_subsets_are_exact_from_four_dimensions_on(panels):
    """The floor is exactly zero from d = 4 = 2k on, and not before: a proved positive lower bound at d = 3."""
    law = build(panels["two-subsets"].source).distribution
    assert [law.known_floor(HeadSpec(dim)) for dim in (4, 5)] == [0.0, 0.0]
    assert sandwich(law, HeadSpec(3)).lower.value > 0


def test_numbers_in_the_headers_of_the_demo(panels):
    """The exact ones: the mutual information at d = 0 with a bias, and zero at the rank of the logits."""
    header = (ROOT / "configs" / "demo" / "zipf.toml").read_text()
    law = build(panels["zipf"].source).distribution
    said = float(re.search(r"([\d.]+) nats \(exact\) at d = 0", header)[1])
    assert abs(law.mutual_information - said) <= 5e-5 + rounding(law.contexts, law.vocab)
    assert "exactly 0 at d = 200" in header
    assert law.known_floor(HeadSpec(200, bias=True)) == 0.0


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]


def test_contributors_are_sent_to_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {path for path in re.findall(r"`([\w./-]+/[\w./-]*)`", text) if "NAME" not in path}
    assert len(named) > 10
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_a_study_has_every_piece_that_contributors_are_asked_for():
    names = [path.stem for path in sorted((ROOT / "configs").glob("*.toml"))]
    listed, nav = (ROOT / "docs" / "studies.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    assert names
    for name in names:
        header = (ROOT / "configs" / f"{name}.toml").read_text()
        assert all(f"# {word}:" in header for word in ("Question", "Command", "Cost", "Expected")), name
        assert "[small]" in header, name
        assert (ROOT / "experiments" / "figures" / "studies" / f"{name.replace('-', '_')}.py").exists(), name
        assert (ROOT / "docs" / "figures" / f"study-{name}.png").exists(), name
        assert f"figures/study-{name}.png" in (ROOT / "docs" / "studies" / f"{name}.md").read_text(), name
        assert f"studies/{name}.md" in listed, name
        assert f"studies/{name}.md" in nav, name
