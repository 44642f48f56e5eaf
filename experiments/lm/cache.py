"""Where downloaded models, texts and collected states are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """``$RANKFLOOR_CACHE`` if set, else the folder ``rankfloor`` in the platform's place for caches."""
    if chosen := os.environ.get("RANKFLOOR_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "rankfloor"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rankfloor"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rankfloor"
