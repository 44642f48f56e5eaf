"""The page on families runs as written, and names every family."""

from __future__ import annotations

import re
from pathlib import Path

from synth import families

PAGE = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8")


def test_code_blocks_run_in_order():
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    for block in blocks:
        exec(compile(block, "families.md", "exec"), names)
    assert len(blocks) >= 5
    assert "world" in names


def test_every_family_has_a_row_and_a_paragraph():
    for name in [*families.catalogue, "ngram"]:
        assert f"| `{name}` |" in PAGE
        assert f"**`{name}`**" in PAGE
