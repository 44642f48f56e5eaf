"""The version of the code that a trial's numbers depend on: the package's version and a hash of the files it imports.

The files are found by following imports, those inside functions included, from the file of the trial kind through
everything that lies in this project or beside the trial.  A change to a figure or a page of documentation therefore
leaves the version of a floor fit as it was; a change to the solver does not.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from experiments.trials import find_trial

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("synth", "theory", "experiments")
SOURCES = (".py", ".cu")
"""Endings of files that computations are written in."""


@cache
def code_version(trial: str) -> str:
    """``VERSION-HASH`` of the code behind the trial kind named ``trial``; the same in a checkout and installed."""
    start = Path(inspect.getfile(find_trial(trial).function)).resolve()
    digest = hashlib.sha256()
    for name, path in sorted(_reached(start).items()):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return f"{_package_version()}-{digest.hexdigest()[:10]}"


def _package_version() -> str:
    try:
        return importlib.metadata.version("rankfloor")
    except importlib.metadata.PackageNotFoundError:
        return "unreleased"


def _reached(start: Path) -> dict[str, Path]:
    """Every source file that ``start`` imports, directly or not, by its place under a root."""
    inside = start.is_relative_to(PROJECT) and start.relative_to(PROJECT).parts[0] in PACKAGES
    roots = (PROJECT,) if inside else (PROJECT, start.parent)
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        root = PROJECT if path.is_relative_to(PROJECT) else start.parent
        name = path.relative_to(root).as_posix()
        if name not in found:
            found[name] = path
            waiting += [source for root in roots for module in _imports(path) for source in _files(root, module)]
    return found


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a file may import; the names of ``from a import b`` are tried as modules too."""
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(root: Path, module: str) -> Iterator[Path]:
    """The files of a module under ``root``: its own, the pages of the packages above it, kernels beside it."""
    parts = module.split(".")
    if root == PROJECT and parts[0] not in PACKAGES:
        return
    for depth in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:depth])
        candidates = [place.with_suffix(".py"), place / "__init__.py"]
        if place.is_dir():
            candidates += [path for path in place.iterdir() if path.suffix in SOURCES[1:]]
        yield from (path for path in candidates if path.is_file())
