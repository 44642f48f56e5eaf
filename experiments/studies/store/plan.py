"""What a store was last asked for: the resolved study, where it ran, and the keys of its trials in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.atomic import write
from experiments.studies.store.entry import plain

PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """The study as resolved, the version of its code, its provenance, and the keys of its trials in order."""

    study: Mapping[str, Any]
    code: str
    provenance: Mapping[str, Any]
    keys: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write the plan into the store at ``folder``.  ``ValueError`` where that is impossible."""
        facts = {"study": self.study, "code": self.code, "provenance": self.provenance, "keys": self.keys}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / PLAN, json.dumps(plain(facts), indent=1).encode())
        except OSError as why:
            raise ValueError(f"cannot write to {folder} ({why.strerror}); make room or choose another --out") from why


def load_plan(folder: Path) -> Plan:
    """The plan of the store at ``folder``.  ``ValueError`` when there is none."""
    try:
        facts = json.loads((folder / PLAN).read_text())
        return Plan(facts["study"], facts["code"], facts["provenance"], tuple(facts["keys"]))
    except OSError as why:
        raise ValueError(
            f"{folder} is not a store ({PLAN}: {why.strerror}); give the folder of a rankfloor run"
        ) from why
    except (ValueError, KeyError) as why:
        raise ValueError(f"{folder / PLAN} is damaged ({why}); run the study again: finished trials are kept") from why
