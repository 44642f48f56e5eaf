"""Typed configuration of a floor curve: one definition gives the TOML file, the command line and its help.

A file has the sections ``[source]``, ``[heads]``, ``[solver]``; an unknown key or a wrong type is a ``ValueError``
that names the nearest valid key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from experiments.checked import checked, read_toml

EMBEDDED = "moby-dick"
"""The name that stands for the text shipped with the package."""


@dataclass(frozen=True)
class World:
    """A synthetic family with its parameters, or a text and its n-grams: a distribution up to the seed of its draw."""

    family: str | None = None
    """Synthetic family: zipf, low_rank, topics, mixture, sparse, all_k_subsets, one_hot, markov, near_unigram, ..."""
    corpus: str | None = None
    """A text file (.txt or .gz), or moby-dick for the embedded one."""
    order: int = 3
    """Corpus: n of the n-grams, 1 to 5; contexts are the n - 1 tokens before."""
    min_count: int | None = None
    """Corpus: keep the contexts seen at least this often; by default, often enough that max_contexts remain."""
    max_contexts: int = 500
    """Corpus: how many contexts to keep at most when min_count is not given."""
    contexts: int | None = None
    """Family: number of contexts C."""
    vocab: int | None = None
    """Number of tokens V (corpus: size of the byte-pair vocabulary trained on it, 2048 unless given)."""
    rank: int | None = None
    """Family: rank of the logits (low_rank, zipf), or of each component (mixture)."""
    k: int | None = None
    """Family: tokens in each support (sparse, all_k_subsets)."""
    scale: float | None = None
    """Family: size of the logits."""
    exponent: float | None = None
    """Family: exponent of the unigram power law (zipf, near_unigram, staircase)."""
    spectrum: str | None = None
    """Family: singular-value profile (low_rank): flat, power_law, exponential, step, spiked."""
    eps: float | None = None
    """Family: size of the perturbation (near_unigram)."""
    topics: int | None = None
    """Family: number of topics (topics)."""
    components: int | None = None
    """Family: number of softmaxes mixed (mixture)."""
    states: int | None = None
    """Family: hidden states (markov)."""
    history: int | None = None
    """Family: length of the histories (markov)."""
    concentration: float | None = None
    """Family: Dirichlet concentration (topics, sparse, markov)."""


@dataclass(frozen=True)
class Source(World):
    """Where the distribution comes from: a synthetic family with its parameters, or a text and its n-grams."""

    seed: int | None = None
    """Family: seed of the draw."""


@dataclass(frozen=True)
class Heads:
    """Which heads are fitted."""

    dims: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Dimensions, increasing; 0 is the closed form without hidden states."""
    bias: bool = False
    """Whether the head has a bias."""
    max_underestimate: float | None = None
    """M: also fit and bound heads limited to q >= e^-M p, where certificates are worth having."""


@dataclass(frozen=True)
class Solver:
    """How hard each fit works."""

    tolerance: float = 1e-7
    """Certified local excess aimed at, nats per token."""
    max_evaluations: int = 2000
    """Gradient evaluations allowed per starting point."""
    random_starts: int = 0
    """Further random starting points per dimension."""
    start_seed: int = 0
    """Seed of the random starting points."""
    memory_mb: int = 512
    """Workspace of the solver beyond the data: decides between exact blocks and the averaged metric."""
    chunk_entries: int = 2**27
    """Logits formed at once at most: on a GPU so many, on the host what suits its cache."""
    array: Literal["numpy", "torch"] = "numpy"
    """Array library that does the work."""
    certificate_evaluations: int = 150
    """Limited heads: evaluations of the search for a certificate, and as many again where it takes several metrics."""
    certificate_metrics: int = 1
    """Limited heads: metrics of the certificate; each costs a decomposition per evaluation."""


@dataclass(frozen=True)
class FloorConfig:
    """Everything a floor curve depends on, and where its results go."""

    source: Source = field(default_factory=Source)
    heads: Heads = field(default_factory=Heads)
    solver: Solver = field(default_factory=Solver)
    out: Path = Path("runs")
    """Folder under which the results are written, in a folder named after the run."""
    name: str | None = None
    """Name of the run; by default the family or the text."""

    @property
    def title(self) -> str:
        """The name given, or the family or text."""
        return self.name or self.source.family or Path(self.source.corpus or "run").stem

    @property
    def key(self) -> str:
        """Hash of everything the numbers depend on (not of where they are written)."""
        numbers = {part: dataclasses.asdict(getattr(self, part)) for part in ("source", "heads", "solver")}
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def folder(self) -> Path:
        """Where this run writes."""
        return self.out / f"{self.title}-{self.key}"


def load_config(path: Path) -> FloorConfig:
    """A ``FloorConfig`` from a TOML file; ``ValueError`` for an unreadable file, unknown keys or wrong types."""
    return checked(FloorConfig, read_toml(path), str(path))
