"""``rankfloor run``, ``status``, ``retry`` and ``export``: a study and its store from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.atomic import replacing
from experiments.studies.account import account
from experiments.studies.config import Workers, load_study
from experiments.studies.overrides import overridden
from experiments.studies.store import Store
from experiments.studies.sweep import Outcome
from experiments.studies.sweep import retry as retry_failed
from experiments.studies.sweep import run as sweep

RUN_HELP = """\
rankfloor run STUDY.toml [--small] [flags]: every trial of a study that its store does not have

  --small              the quick version that the file describes in [small]
  --jobs 2             processes on this machine; 1 works in this process
  --local-cluster 2    a Dask cluster on this machine
  --scheduler tcp://HOST:PORT   the workers of a running Dask cluster
  --grid.rank 10 20    other values of a parameter
  --seeds 0 1 2        other seeds
  --seconds 60         time limit of one trial
  --memory-mb 2000     memory limit of one trial
  --out runs           where the store is made, in a folder named after the study

examples
  rankfloor run configs/gap-exponent.toml --small
  rankfloor run configs/floor-by-family.toml --jobs 2 --seeds 0 1
  rankfloor run STUDY.toml --help   every flag of that study
"""


@dataclass(frozen=True)
class Retry:
    """Run the failed trials of a store again."""

    store: Annotated[Path, tyro.conf.Positional]
    """Folder of a study's results."""
    workers: Annotated[Workers, tyro.conf.arg(name="")]
    """Who does the work."""


@dataclass(frozen=True)
class Status:
    """What a store holds, and what to do next."""

    store: Annotated[Path, tyro.conf.Positional]
    """Folder of a study's results."""


@dataclass(frozen=True)
class Export:
    """Write a store as two tables, records and trials."""

    store: Annotated[Path, tyro.conf.Positional]
    """Folder of a study's results."""
    format: Literal["csv", "parquet"] = "parquet"
    """Format of both files."""
    out: Path | None = None
    """Folder for the files; by default the store itself."""


def run(arguments: list[str]) -> int:
    """``rankfloor run``; returns 1 when trials failed."""
    small = "--small" in arguments
    rest = [argument for argument in arguments if argument != "--small"]
    if not rest or rest[0] in ("-h", "--help"):
        print(RUN_HELP, end="")
        return 0
    if rest[0].startswith("-"):
        raise ValueError(f"the study's file comes first, found {rest[0]}; for instance configs/gap-exponent.toml")
    return _say(sweep(overridden(load_study(Path(rest[0]), small), rest[1:])))


def retry(arguments: list[str]) -> int:
    """``rankfloor retry``; returns 1 when trials failed again."""
    given = tyro.cli(Retry, args=arguments, prog="rankfloor retry")
    return _say(retry_failed(given.store, given.workers))


def status(arguments: list[str]) -> None:
    """``rankfloor status``."""
    print(account(Store(tyro.cli(Status, args=arguments, prog="rankfloor status").store)))


def export(arguments: list[str]) -> None:
    """``rankfloor export``: floats by ``repr`` in csv, lists as JSON."""
    given = tyro.cli(Export, args=arguments, prog="rankfloor export")
    store = Store(given.store)
    for name, table in (("records", store.frame()), ("trials-table", store.trials())):
        path = (given.out or given.store) / f"{name}.{given.format}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as stream:
                if given.format == "csv":
                    table.to_csv(stream, index=False)
                else:
                    table.to_parquet(stream, index=False)
        except OSError as why:
            raise ValueError(f"cannot write {path} ({why.strerror}); choose another --out") from why
        print(f"{path}  ({len(table):,} rows)")


def _say(outcome: Outcome) -> int:
    print(account(outcome.store))
    print(f"now     {outcome.run:,} trials run in {outcome.seconds:.1f} s")
    return int(outcome.failed > 0)
