"""The gallery: every claim is judged by numbers, no verdict is stored, and the page says what the checks say."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from tests.tolerances import ORDER
from theory.gallery import Comparison, Finding, PublishedClaim, Verdict, gallery
from theory.gallery.published import Gallery

ROOT = Path(__file__).parents[2]
NAMES = [claim.name for claim in gallery]
TURNED = {"<=": ">", ">=": "<", "<": ">=", ">": "<="}

EXPECTED = {
    "lemma-5.1-expansion": Verdict.CORRECTED,
    "lemma-5.1": Verdict.HOLDS,
    "lemma-5.2": Verdict.HOLDS,
    "theorem-5.3": Verdict.HOLDS,
    "theorem-5.3-rate": Verdict.CORRECTED,
    "high-rank-floor": Verdict.CORRECTED,
    "w-error-of-language": Verdict.CORRECTED,
    "normal-initialisation": Verdict.CORRECTED,
    "table-1-lambada": Verdict.CORRECTED,
    "saturating-sizes": Verdict.CORRECTED,
    "figure-6-wording": Verdict.CORRECTED,
    "figure-1-extrapolation": Verdict.HOLDS,
    "rank-of-log-p": Verdict.CORRECTED,
    "yang-corollary-1": Verdict.HOLDS,
    "conangla-planes-3.1": Verdict.HOLDS,
    "sign-rank-interval": Verdict.HOLDS,
    "gradient-rank": Verdict.HOLDS,
}


@cache
def finding(name: str) -> Finding:
    return gallery[name].check()


def found(name: str, place: int, corrected: bool = False) -> float:
    """The number on the left of one comparison."""
    return (finding(name).corrected if corrected else finding(name).as_written)[place].left


def test_every_claim_is_expected_and_none_is_missing():
    assert set(EXPECTED) == set(NAMES)
    assert len(gallery) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_verdict_is_the_expected_one_and_follows_the_numbers(name):
    judged = finding(name)
    assert judged.verdict is EXPECTED[name]
    assert all(math.isfinite(one.left) and math.isfinite(one.right) for one in judged.as_written + judged.corrected)
    turned = tuple(replace(one, relation=TURNED[one.relation]) for one in judged.as_written)
    assert replace(judged, as_written=turned).verdict is not judged.verdict or judged.verdict is Verdict.CORRECTED
    broken = tuple(replace(one, relation=TURNED[one.relation]) for one in judged.corrected)
    if judged.verdict is Verdict.CORRECTED:
        assert replace(judged, corrected=broken).verdict is Verdict.FAILS
        assert judged.correction.startswith("corrected")


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_says_what_it_claims_and_where(name):
    claim = gallery[name]
    assert re.search(r"20\d\d", claim.source)
    assert claim.check.__doc__
    text = claim.account()
    assert text.startswith(f"{name}: {EXPECTED[name]}\n")
    assert claim.statement in text


def test_no_verdict_is_written_in_a_check():
    """The word Verdict occurs in the file that derives it, and nowhere else."""
    for path in (ROOT / "theory" / "gallery").glob("*.py"):
        named = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert ("Verdict" in named) == (path.name == "published.py")


@given(st.lists(st.booleans(), min_size=1, max_size=4), st.lists(st.booleans(), max_size=4))
def test_verdicts_are_read_off_the_comparisons(written, corrected):
    def several(answers):
        return tuple(Comparison("", 1.0, "<=" if answer else ">", 1.0) for answer in answers)

    verdict = Finding(several(written), several(corrected)).verdict
    if all(written):
        assert verdict is Verdict.HOLDS
    else:
        assert verdict is (Verdict.CORRECTED if corrected and all(corrected) else Verdict.FAILS)


def test_nan_supports_nothing():
    for relation in TURNED:
        assert not Comparison("", math.nan, relation, 1.0).holds


def test_names_are_used_once_and_looked_up():
    mine = Gallery()
    claim = PublishedClaim("mine", "me 2026", "one is two", lambda: Finding((Comparison("one", 1.0, ">=", 2.0),)))
    mine.register(claim)
    assert mine["mine"].verdict is Verdict.FAILS
    with pytest.raises(ValueError, match="registered already"):
        mine.register(claim)
    with pytest.raises(ValueError, match="no published claim is named 'yours'"):
        mine["yours"]


# ---------------------------------------------------------------------- numbers by another route


def test_the_first_order_term_by_differences():
    """dL/d eps of -log softmax(z + eps m)_y is E_p[m] - m_y; without the weights it is another number."""
    rng = np.random.default_rng(0)
    z, m, y = rng.standard_normal(50), rng.standard_normal(50) / 7, 3
    p = np.exp(z - logsumexp(z))
    steps, right, wrong = np.array([1e-2, 1e-3, 1e-4]), [], []
    for eps in steps:
        change = (logsumexp(z + eps * m) - (z + eps * m)[y]) - (logsumexp(z) - z[y])
        right.append(abs(change - eps * (p @ m - m[y])))
        wrong.append(abs(change - eps * (m.mean() - m[y])))
    assert np.polyfit(np.log(steps), np.log(right), 1)[0] >= 2 - ORDER
    assert np.polyfit(np.log(steps), np.log(wrong), 1)[0] <= 1 + ORDER


def test_numbers_that_are_known_otherwise():
    assert found("high-rank-floor", 0) == pytest.approx(math.sqrt(498 / 500), rel=1e-12)
    assert found("high-rank-floor", 1) < 1e-3
    assert found("lemma-5.1", 1) == pytest.approx(1.0, rel=1e-3)
    assert found("theorem-5.3-rate", 0) == pytest.approx(2.0, rel=ORDER / 2)
    assert found("normal-initialisation", 0) == pytest.approx(math.sqrt(2048 * 512), rel=0.05)
    assert 1 / math.e <= found("conangla-planes-3.1", 0) < 0.5
    assert found("sign-rank-interval", 0) == pytest.approx(math.log(2) / 3 / math.comb(10, 3), rel=1e-9)
    assert found("figure-1-extrapolation", 0) == pytest.approx(8.0, rel=0.05)


def test_the_page_says_what_the_checks_say():
    page = (ROOT / "docs" / "gallery.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.-]+)` \|.*\| \*?\*?([a-z ,]+?)\*?\*? \|", page, flags=re.MULTILINE))
    assert rows == {name: str(verdict) for name, verdict in EXPECTED.items()}
