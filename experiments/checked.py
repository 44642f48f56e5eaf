"""From plain values, as a TOML file holds them, to frozen dataclasses: each key and each type checked.

A mistake is a ``ValueError`` that says where it is, what was found and what is allowed, the nearest valid key first.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def read_toml(path: Path) -> dict[str, Any]:
    """The document of a TOML file; ``ValueError`` when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the config {path} ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML ({error}); correct that line") from error


def known(key: str, keys: Iterable[str], where: str) -> str:
    """``key`` if it is one of ``keys``; otherwise a ``ValueError`` that names the nearest of them."""
    names = list(keys)
    if key not in names:
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)[0]
        raise ValueError(f"{where}: unknown key {key!r}; did you mean {near!r}? Keys here are {', '.join(names)}")
    return key


@cache
def type_hints(cls: type) -> dict[str, Any]:
    """The resolved types of a class's fields, looked up once."""
    return get_type_hints(cls)


def checked(cls: type, values: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass ``cls`` from plain values; sections become nested dataclasses."""
    hints = type_hints(cls)
    arguments = {}
    for key, value in values.items():
        kind = hints[known(key, hints, where)]
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, dict):
                raise ValueError(f"{where}: {key} must be a section [{key}], found {value!r}")
            arguments[key] = checked(kind, value, f"{where} [{key}]")  # type: ignore[arg-type]
        else:
            arguments[key] = convert(kind, value, f"{where}: {key}")
    return cls(**arguments)


def convert(kind: Any, value: Any, where: str) -> Any:
    """``value`` if it has type ``kind`` (integers pass as floats, lists as tuples, strings as paths)."""
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for option in options:
        if get_origin(option) is tuple and isinstance(value, list | tuple):
            try:
                return tuple(convert(get_args(option)[0], item, where) for item in value)
            except ValueError:
                continue
        if get_origin(option) is Literal and value in get_args(option):
            return value
        if option is Path and isinstance(value, str | Path):
            return Path(value)
        if option is float and type(value) in (int, float):
            return float(value)
        if option in (int, bool, str) and type(value) is option:
            return value
        if option is type(None) and value is None:
            return None
    wanted = " or ".join(getattr(option, "__name__", str(option)) for option in options if option is not type(None))
    raise ValueError(f"{where} must be {wanted}, found {value!r}; change it")
