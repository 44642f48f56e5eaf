"""What is kept of a broken claim: one file that rebuilds the instance bit for bit, and one plain sentence.

The file is JSON: ``log_p`` (C, V) with ``null`` for a zero probability, ``weights`` (C,), the class of heads, the value
claimed, and the evidence (a head, or the certificate of a bound).  Python writes and reads floats exactly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth import ContextualDistribution
from synth._array import is_array, to_numpy
from synth.table import DenseTable
from theory.bound import Bound, Side
from theory.falsify.claim import Function, conjecture
from theory.falsify.oracle import Judgement
from theory.head import Head, HeadSpec
from theory.verify import Verdict, verify

FORMAT = "rankfloor counterexample 1"


@dataclass(frozen=True, eq=False)
class Counterexample:
    """An instance on which a claim is false: the distribution, the class, the value claimed, and what contradicts it.

    ``evidence`` is a ``Bound`` on the other side: a head of the class (``evidence.witness``), or a proved value.
    """

    name: str
    side: Side
    distribution: ContextualDistribution
    spec: HeadSpec
    claimed: float
    evidence: Bound

    @property
    def sentence(self) -> str:
        """What was claimed, where, and what is true instead."""
        sign = ">=" if self.side is Side.LOWER else "<="
        d = self.distribution
        floor = f"{'g_b' if self.spec.bias else 'g'}({self.spec.dim})"
        claim = f"{self.name} claims {floor} {sign} {self.claimed:.6g} {_place(d, self.spec)}"
        value = f"{self.evidence.value:.6g}"
        if self.side is Side.UPPER:
            proof = f"{self.evidence.name} proves at least {value}"
        elif self.evidence.witness is not None:
            proof = f"a head of the class has the gap {value}"
        else:
            proof = f"{self.evidence.name} proves {value}"
        return f"{claim}, but {proof}{_excess(self.side, self.claimed, self.evidence.value)}."

    def recheck(self, function: Function | None = None) -> Verdict:
        """Whether the evidence still holds and contradicts the claim; with ``function``, whether it claims the same."""
        verdict = verify(self.evidence, self.distribution, self.spec)
        if not verdict.ok:
            return verdict
        wrong = self.claimed > self.evidence.value if self.side is Side.LOWER else self.claimed < self.evidence.value
        if not wrong:
            return Verdict(False, f"{self.claimed:.12g} does not contradict {self.evidence.value:.12g}")
        if function is not None:
            again = conjecture(function, self.side).value(self.distribution, self.spec)
            if again is None or not math.isclose(again, self.claimed, rel_tol=1e-9):
                return Verdict(False, f"the function now claims {again}, not {self.claimed:.12g}", again)
        return Verdict(True, "the claim is contradicted", self.evidence.value)

    def save(self, path: Path | str) -> Path:
        """Write the file, folders included; returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in self._plain().items()]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        return path

    def _plain(self) -> dict[str, Any]:
        log_p = to_numpy(self.distribution.log_p).tolist()
        return {
            "format": FORMAT,
            "sentence": self.sentence,
            "name": self.name,
            "side": self.side.value,
            "claimed": self.claimed,
            "spec": _set(self.spec),
            "log_p": [[None if x == -math.inf else x for x in row] for row in log_p],
            "weights": to_numpy(self.distribution.weights).tolist(),
            "evidence": {
                "name": self.evidence.name,
                "value": self.evidence.value,
                "side": self.evidence.side.value,
                "witness": _plain(vars(self.evidence.witness)) if self.evidence.witness is not None else None,
                "certificate": _plain(self.evidence.certificate),
            },
        }


def counterexample(name: str, side: Side, judgement: Judgement) -> Counterexample:
    """The counterexample that a broken judgement holds."""
    problem = judgement.problem
    return Counterexample(name, side, problem.distribution, problem.spec, judgement.claimed, judgement.evidence)


def load_counterexample(path: Path | str) -> Counterexample:
    """The counterexample of a file; raises ``ValueError`` when the file is not one."""
    try:
        kept = json.loads(Path(path).read_text())
    except (OSError, json.JSONDecodeError) as why:
        raise ValueError(f"cannot read the counterexample {path}: {why}") from why
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise ValueError(f"{path} is not a counterexample file; its format must be {FORMAT!r}")
    log_p = np.array([[-math.inf if x is None else x for x in row] for row in kept["log_p"]])
    evidence = kept["evidence"]
    head = None if evidence["witness"] is None else Head(**_array_form(evidence["witness"]))
    side = Side(evidence["side"])
    return Counterexample(
        kept["name"],
        Side(kept["side"]),
        ContextualDistribution(DenseTable(log_p), np.array(kept["weights"])),
        HeadSpec(**kept["spec"]),
        kept["claimed"],
        Bound(
            evidence["value"], evidence["name"], side, witness=head, certificate=_array_form(evidence["certificate"])
        ),
    )


def _set(spec: HeadSpec) -> dict[str, Any]:
    """The fields of a class that are set: dimension, bias, and its limits."""
    return {name: value for name, value in asdict(spec).items() if value is not None}


def _place(distribution: ContextualDistribution, spec: HeadSpec) -> str:
    limits = [f"{name} = {limit}" for name, limit in _set(spec).items() if name not in ("dim", "bias")]
    c, v = distribution.contexts, distribution.vocab
    size = f"{c} context{'s' * (c > 1)} x {v} token{'s' * (v > 1)}"
    return f"on {size}" + (f" for heads with {' and '.join(limits)}" if limits else "")


def _excess(side: Side, claimed: float, true: float) -> str:
    """How far off, in percent, where that says something."""
    if not (0 < true < math.inf and 0 < claimed < math.inf):
        return ""
    share = claimed / true - 1 if side is Side.LOWER else true / claimed - 1
    how = "too high" if side is Side.LOWER else "too low"
    return f": {share:.2g} times {how}" if share > 10 else f": {100 * share:.3g} % {how}"


def _plain(value: Any) -> Any:
    """Arrays, numbers, strings and mappings of them as JSON; arrays keep their dtype."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if is_array(value):
        host = to_numpy(value)
        return {"array": host.tolist(), "dtype": host.dtype.name, "shape": list(host.shape)}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _array_form(value: Any) -> Any:
    """The inverse of ``_plain``."""
    if isinstance(value, dict) and set(value) == {"array", "dtype", "shape"}:
        return np.array(value["array"], dtype=value["dtype"]).reshape(value["shape"])
    if isinstance(value, dict):
        return {key: _array_form(part) for key, part in value.items()}
    return [_array_form(part) for part in value] if isinstance(value, list) else value
