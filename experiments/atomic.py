"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any


def write(path: Path, data: bytes) -> None:
    """Make ``data`` the content of ``path``, on disk before the old content goes."""
    with replacing(path) as stream:
        stream.write(data)


class replacing:
    """A binary stream that becomes ``path`` only when it is complete and on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        number, self.name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
        self.stream = os.fdopen(number, "wb")
        return self.stream

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            if kind is None:
                self.stream.flush()
                os.fsync(self.stream.fileno())
            self.stream.close()
            if kind is None:
                os.replace(self.name, self.path)
        finally:
            if os.path.exists(self.name):
                os.unlink(self.name)
