"""What the site adds to the pages: mathematics as MathML, the source behind every code link, indexes, examples.

Pages are written to be read in the repository too, so they link to files of the packages and write mathematics between
dollar signs; both are turned into what a browser shows without a network.
"""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", flags=re.DOTALL)
MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$]+?)\$", flags=re.DOTALL)
formulas: list[str] = []

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


# ---------------------------------------------------------------------- generated pages


def on_files(files: Files, config: Any) -> Files:
    """Add a page for every source file linked to, and the indexes of theorems, figures and benchmarks."""
    generated = {"theorems/index.md": theorems(), "figures/index.md": figures(), "benchmarks/index.md": benchmarks()}
    for page in sorted(DOCS.rglob("*.md")):
        for target in linked_sources(page):
            generated[source_page(target)] = listing(target)
    for name, text in generated.items():
        files.append(File.generated(config, name, content=text))
    return files


def linked_sources(page: Path) -> list[Path]:
    """Files and folders outside ``docs`` that a page links to."""
    targets = (page.parent / match[1] for match in LINK.finditer(page.read_text()) if ":" not in match[1])
    outside = [target.resolve() for target in targets if not target.resolve().is_relative_to(DOCS)]
    return [target for target in outside if target.is_relative_to(ROOT) and target.exists()]


def source_page(target: Path) -> str:
    """Name of the page that shows a source file or folder."""
    return f"source/{target.relative_to(ROOT).as_posix()}.md"


def listing(target: Path) -> str:
    """A source file as a page, or the modules of a package with their first lines."""
    name = target.relative_to(ROOT).as_posix()
    if target.is_file():
        return f"# {name}\n\n````python\n{target.read_text()}````\n"
    lines = [f"| `{path.name}` | {first_line(path)} |" for path in sorted(target.glob("*.py"))]
    return "\n".join([f"# {name}", "", "| module | |", "|---|---|", *lines, ""])


def first_line(path: Path) -> str:
    """First line of a module's docstring."""
    match = re.match(r'"""(.+)', path.read_text())
    return match[1].removesuffix('"""') if match else ""


def theorems() -> str:
    """One line per bound of either catalogue, with its side."""
    from theory import catalogue
    from theory.frozen import frozen_catalogue

    lines = ["# Theorems", "", "Every bound of the catalogue: statement, proof, when it is tight, and its code.", ""]
    for title, entries in (("Any hidden states", catalogue), ("Frozen features", frozen_catalogue)):
        lines += [f"## {title}", "", "| bound | side | what it is |", "|---|---|---|"]
        for entry in entries:
            summary = (entry.function.__doc__ or "").strip().splitlines()[0]
            lines.append(f"| [{entry.name}]({entry.name}.md) | {entry.side.value} | {summary} |")
        lines.append("")
    return "\n".join(lines)


def figures() -> str:
    """Every figure kept in the repository, with the page that explains it."""
    lines = ["# Figures", ""]
    for image in sorted((DOCS / "figures").glob("*.png")):
        pages = [page for page in sorted(DOCS.rglob("*.md")) if f"figures/{image.name}" in page.read_text()]
        place = pages[0].relative_to(DOCS).as_posix() if pages else ""
        origin = f"From [{title(pages[0])}](../{place})." if pages else "Made by `make demo`."
        lines += [f"[![{image.stem}]({image.name})]({image.name})", "", origin, ""]
    return "\n".join(lines)


def benchmarks() -> str:
    """The pages of measurements."""
    pages = sorted((DOCS / "benchmarks").glob("*.md"))
    return "\n".join(["# Benchmarks", "", *(f"- [{title(page)}]({page.name})" for page in pages), ""])


def title(page: Path) -> str:
    """The heading of a page."""
    return page.read_text().splitlines()[0].lstrip("# ")


# ---------------------------------------------------------------------- what changes on a page


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links to sources into links to their pages, add a theorem's example, set formulas aside."""
    source = page.file.src_uri
    if source.startswith("source/"):
        return markdown
    if source.startswith("theorems/") and source != "theorems/index.md":
        markdown += example(Path(source).stem)
    folder = DOCS / Path(source).parent
    up = "../" * source.count("/")

    def relink(match: re.Match[str]) -> str:
        target = (folder / match[1]).resolve()
        if target.is_dir() and target.is_relative_to(DOCS):
            return f"]({match[1].rstrip('/')}/index.md)"
        if ":" in match[1] or target.is_relative_to(DOCS) or not target.is_relative_to(ROOT):
            return match[0]
        return f"]({up}{source_page(target)}{match[2] or ''})"

    markdown = LINK.sub(relink, markdown)
    parts = CODE.split(markdown)
    return "".join(part if place % 2 else MATH.sub(set_aside, part) for place, part in enumerate(parts))


def example(name: str) -> str:
    """The example of a bound's docstring, which the tests execute."""
    from theory import catalogue
    from theory.frozen import frozen_catalogue

    entry = next((entry for entries in (catalogue, frozen_catalogue) for entry in entries if entry.name == name), None)
    if entry is None:
        return ""
    found = doctest.DocTestParser().get_examples(entry.function.__doc__ or "")
    lines = "".join(f">>> {one.source}".rstrip().replace("\n", "\n... ") + f"\n{one.want}" for one in found)
    return f"\n\n**Example.**\n\n```pycon\n{lines}```\n" if found else ""


def set_aside(match: re.Match[str]) -> str:
    """Replace a formula by a token that Markdown leaves alone."""
    display = match[1] is not None
    formulas.append(convert((match[1] or match[2]).strip(), display="block" if display else "inline"))
    token = f"FORMULA{len(formulas) - 1}END"
    return f"\n\n{token}\n\n" if display else token


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Put the formulas back, as MathML."""
    return re.sub(r"FORMULA(\d+)END", lambda match: formulas[int(match[1])], html)
