"""Tests of the tests and of the prose: each test can fail, each page runs, each file keeps to its budget."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
SOURCES = sorted(path for package in ("synth", "theory", "experiments") for path in (ROOT / package).rglob("*.py"))
LINES, FUNCTION_LINES = 300, 60


def functions(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def names(path):
    return str(path.relative_to(ROOT))


def called(node):
    """Dotted names of everything called below a node."""
    return {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}


def can_fail(function, helpers):
    """Whether a test asserts something: itself, by ``pytest.raises``, ``numpy.testing``, or a helper that does."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    calls = called(function)
    known = {"pytest.raises", "np.testing.assert_array_equal", "np.testing.assert_allclose"}
    return bool(calls & known) or any(can_fail(helpers[name], {}) for name in calls & set(helpers))


def tolerances(call, tree):
    """Names of the keywords of a call, those of a ``**NAME`` defined in the file included."""
    explicit = {keyword.arg for keyword in call.keywords}
    spread = {ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg is None}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in spread and isinstance(node.value, ast.Dict):
            explicit |= {ast.literal_eval(key) for key in node.value.keys}
    return explicit


def vacuous(source):
    """What is wrong with the tests in ``source``: a list of complaints."""
    tree, complaints = ast.parse(source), []
    helpers = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not can_fail(node, helpers):
            complaints.append(f"{node.name} asserts nothing")
        if isinstance(node, ast.ExceptHandler) and any(isinstance(inner, ast.Assert) for inner in ast.walk(node)):
            complaints.append("an assertion inside except is skipped when nothing is raised")
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name.endswith("allclose") and not {"rtol", "atol"} <= tolerances(node, tree):
            complaints.append(f"line {node.lineno}: allclose without explicit rtol and atol")
        if name in ("pytest.mark.skip", "pytest.skip"):
            reasons = node.args or [keyword for keyword in node.keywords if keyword.arg == "reason"]
            complaints += [] if reasons else [f"line {node.lineno}: a skip that gives no reason"]
    return complaints


@pytest.mark.parametrize("path", TESTS, ids=names)
def test_every_test_can_fail(path):
    assert vacuous(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def test_a():\n    print(1)\n", "test_a asserts nothing"),
        ("def test_a():\n    assert np.allclose(1, 2)\n", "line 2: allclose without explicit rtol and atol"),
        ("def test_a():\n    assert 1\n    pytest.skip()\n", "line 3: a skip that gives no reason"),
        ("def test_a():\n    try:\n        f()\n    except E:\n        assert 1\n", "an assertion inside except"),
    ],
)
def test_a_vacuous_test_is_caught(source, complaint):
    assert any(found.startswith(complaint) for found in vacuous(source))


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=names)
def test_files_and_functions_keep_to_their_budget(path):
    assert len(path.read_text().splitlines()) <= LINES
    long = [node.name for node in functions(path) if node.end_lineno - node.lineno + 1 > FUNCTION_LINES]
    assert long == []


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_no_constant_inside_a_logarithm(path):
    """``log(p + 1e-16)`` hides infinities."""
    assert re.findall(r"log\w*\([^)]*\+ *1e-\d+", path.read_text()) == []


def test_imports_run_one_way():
    """From synth to theory to experiments, and none of them sees the tests."""
    later = {"synth": {"theory", "experiments", "tests"}, "theory": {"experiments", "tests"}, "experiments": {"tests"}}
    found = []
    for path in SOURCES:
        forbidden = later[path.relative_to(ROOT).parts[0]]
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            plain = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            tops = {name.split(".")[0] for name in [module or "", *plain]}
            found += [f"{names(path)}: {top}" for top in tops & forbidden]
    assert found == []


def test_array_libraries_are_told_apart_in_one_file():
    tell = re.compile(r"is_torch_array|is_cupy_array|is_numpy_array|isinstance\([^)]*(torch\.Tensor|np\.ndarray)")
    assert [names(path) for path in SOURCES if tell.search(path.read_text())] == ["synth/_array.py"]


def test_transformers_is_known_to_one_file():
    uses = re.compile(r"^\s*(import|from) transformers\b", flags=re.MULTILINE)
    assert [names(path) for path in SOURCES if uses.search(path.read_text())] == ["experiments/lm/load.py"]


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=names)
def test_python_on_the_page_runs(page, capsys):
    """Every python block, top to bottom, in one namespace; pages without any must at least have a title."""
    text = page.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), namespace)
    assert text.startswith("# ")
    assert not blocks or namespace


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=names)
def test_links_on_the_page_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    missing = [t for t in targets if not t.startswith("http") and not (page.parent / t).exists()]
    assert missing == []


def test_commands_in_the_readme_exist():
    """Every ``make`` target and ``rankfloor`` sub-command shown is real."""
    from experiments.cli import COMMANDS

    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (\w+)", text)):
        assert f"\n{target}:" in makefile
    shown = set(re.findall(r"^rankfloor (\w+)", text, flags=re.MULTILINE))
    assert shown
    assert shown <= set(COMMANDS)
