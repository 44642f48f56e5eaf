"""Sweeps: the same bits whoever does the work, failures kept, limits enforced, workers that die, full disks."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.studies import sweep
from experiments.studies.batch import Report
from experiments.studies.code import _reached, code_version
from experiments.studies.config import Workers
from experiments.studies.grid import expand
from experiments.studies.limits import Limits
from experiments.studies.store import Store
from experiments.studies.sweep import Dealer, retry, run
from tests.experiments.studies.sweeps import outcomes, probes
from tests.experiments.studies.trials import FLAGS, NAME

ALONE, JOBLIB, DASK = Workers(jobs=1), Workers(jobs=2), Workers(local_cluster=2)


@pytest.fixture
def flags(tmp_path, monkeypatch):
    """Where probes note that they have misbehaved once, for worker processes too."""
    folder = tmp_path / "flags"
    folder.mkdir()
    monkeypatch.setenv(FLAGS, str(folder))
    return folder / "done"


def failure(study):
    """The only failed trial of a study, run alone or by joblib."""
    outcome = run(study)
    (failed,) = [entry for entry in outcome.store.entries() if not entry.ok]
    assert (outcome.failed, outcome.planned) == (1, len(outcome.store.entries()))
    return failed


def test_joblib_dask_and_a_killed_worker_give_the_same_bits(tmp_path, flags):
    """The same parameters throughout; a worker of each pool is killed midway by the trial it runs."""
    flags.touch()
    calm = run(probes(tmp_path / "alone", ALONE, act="die once", bad=5))
    expected = outcomes(calm.store)
    assert len(expected) == 24
    for name, workers in (("joblib", JOBLIB), ("dask", DASK)):
        flags.unlink()
        there = run(probes(tmp_path / name, workers, act="die once", bad=5))
        assert flags.exists()  # a worker did die
        assert there.failed == 0
        assert outcomes(there.store) == expected
        assert there.store.frame().equals(calm.store.frame())


def test_what_the_store_has_is_not_run_again(tmp_path, monkeypatch):
    study = probes(tmp_path, size=3)
    assert run(study).run == 6
    more = dataclasses.replace(study, seeds=(0, 1, 2))
    assert run(more).run == 3
    monkeypatch.setattr(sweep, "pool", lambda *_: pytest.fail("something was run again"))
    assert run(study).run == 0
    assert len(Store(study.folder).frame(everything=True)) == 2 * 9


@pytest.mark.parametrize("workers", [ALONE, JOBLIB], ids=["alone", "joblib"])
def test_a_failure_is_kept_with_its_traceback_and_stops_nothing(tmp_path, workers):
    failed = failure(probes(tmp_path, workers, size=4, seeds=(0,), act="raise", bad=2))
    assert (failed.params["x"], str(failed.status)) == (2, "error")
    assert failed.error == "ArithmeticError: three is a crowd"
    assert 'raise ArithmeticError("three is a crowd")' in failed.traceback


@pytest.mark.parametrize("act", ["loop", "swallow"])
def test_time_is_limited_between_two_steps(tmp_path, act):
    """Also where the trial catches every Exception; no watchdog is needed."""
    study = probes(tmp_path, size=3, seeds=(0,), act=act, bad=1, limits=Limits(seconds=0.3))
    failed = failure(study)
    assert (str(failed.status), failed.error) == ("timeout", "took longer than 0.3 s")
    assert "misbehave" in failed.traceback


def test_time_is_limited_inside_a_compiled_call(tmp_path):
    """The watchdog ends the worker and says where it was; the trials beside it are done all the same."""
    failed = failure(probes(tmp_path, JOBLIB, size=6, act="stuck", bad=3, seeds=(0,), limits=Limits(seconds=0.4)))
    assert (str(failed.status), failed.error) == ("timeout", "took longer than 0.4 s inside one compiled call")
    assert "misbehave" in failed.traceback


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited on Linux only")
def test_memory_is_limited(tmp_path):
    """One array of 8 GiB against 500 MiB; without the limit the allocation would be granted lazily."""
    failed = failure(probes(tmp_path, size=3, seeds=(0,), act="hog", bad=1, limits=Limits(memory_mb=500)))
    assert str(failed.status) == "memory"
    assert "Unable to allocate 8.00 GiB" in failed.error


def test_a_trial_that_kills_its_workers_is_found(tmp_path):
    """Its neighbours, killed with it, are not blamed."""
    failed = failure(probes(tmp_path, JOBLIB, size=6, seeds=(0,), act="die", bad=3, pause=0.01))
    assert (failed.params["x"], str(failed.status)) == (3, "lost")


def test_failed_trials_are_run_again_on_request_only(tmp_path, flags, capsys):
    study = probes(tmp_path, size=4, seeds=(0,), act="raise once", bad=2)
    assert run(study).failed == 1
    assert run(study).run == 0
    assert main(["status", str(study.folder)]) == 0
    said = capsys.readouterr().out
    assert "4 planned: 3 done, 1 failed, 0 missing" in said
    assert "error: ArithmeticError: three is a crowd (x 2" in said
    assert f"rankfloor retry {study.folder}" in said
    again = retry(study.folder, ALONE)
    assert (again.planned, again.run, again.failed) == (4, 1, 0)
    assert [entry.attempt for entry in again.store.entries()] == [1, 1, 2, 1]
    assert retry(study.folder, ALONE).run == 0


def test_a_failure_of_older_code_is_replaced_in_the_plan(tmp_path, flags, monkeypatch):
    study = probes(tmp_path, size=3, seeds=(0,), act="raise once", bad=2)
    run(study)
    for module in ("sweep", "batch", "account"):
        monkeypatch.setattr(f"experiments.studies.{module}.code_version", lambda _: "newer")
    again = retry(study.folder, ALONE)
    assert (again.planned, again.run, again.failed) == (3, 1, 0)
    assert [entry.code == "newer" for entry in again.store.entries()] == [False, False, True]
    assert run(study).run == 2  # the others are of older code
    assert {entry.code for entry in again.store.entries()} == {"newer"}


@pytest.mark.parametrize(("kind", "message"), [("contradicting", "rename it"), ("nested", "is nested")])
def test_records_that_cannot_stand_in_a_table_are_failures(tmp_path, kind, message):
    study = dataclasses.replace(probes(tmp_path, size=1, seeds=(0,)), trial=NAME.replace("probe", kind))
    assert message in failure(study).error


def test_a_full_disk_stops_the_sweep_and_the_rerun_completes_it(tmp_path, monkeypatch, capsys):
    from experiments.studies.store.shard import Shard

    whole = outcomes(run(probes(tmp_path / "whole", size=6)).store)
    real, written = Shard._write, []

    def fills_up(self, data):
        written.append(data)
        if len(written) > 7:
            real(self, data[:30])
            raise OSError(28, "No space left on device")
        real(self, data)

    monkeypatch.setattr(Shard, "_write", fills_up)
    with pytest.raises(ValueError, match=r"No space left on device.*make room and run the same command again"):
        run(probes(tmp_path / "full", size=6))
    monkeypatch.undo()
    store = Store(tmp_path / "full" / "probes")
    assert (len(store.entries()), store.read().damaged) == (3, 0)
    assert run(probes(tmp_path / "full", size=6)).run == 9
    assert outcomes(store) == whole


def test_other_code_on_a_worker_stops_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.studies.batch.code_version", lambda _: "other")
    with pytest.raises(ValueError, match="the code changed while the sweep ran, or differs on a worker"):
        run(probes(tmp_path))


def test_without_joblib_or_dask_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    monkeypatch.setitem(sys.modules, "distributed", None)
    for workers, package in ((JOBLIB, "joblib"), (DASK, "distributed")):
        with pytest.raises(ValueError, match=rf"{package} is not installed; pip install 'rankfloor\[cluster\]'"):
            run(probes(tmp_path, workers))
    assert run(probes(tmp_path, ALONE)).failed == 0


def test_batches_hold_every_trial_once_and_grow_with_speed(tmp_path):
    study = probes(tmp_path, size=500)
    trials = expand(study, "code")
    dealer = Dealer(None, trials, workers=2)
    sizes, dealt = [], []
    for batch in dealer:
        sizes.append(len(batch.trials))
        dealt += batch.trials
        dealer.learn(Report(Counter(ok=len(batch.trials)), 0.001 * len(batch.trials)))
    assert dealt == trials
    assert sizes[0] == sizes[-1] == 1
    assert max(sizes) > 100


def test_the_code_version_follows_imports(tmp_path, monkeypatch):
    """A file that the trial imports, however indirectly, changes it; a file beside it that it does not import, not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom experiments.trials import trial\n"
        "@dataclass(frozen=True)\nclass P:\n    x: int = 0\n"
        "@trial('mine')\ndef mine(parameters: P, seed: int):\n    import helper\n    yield {'y': helper.y}\n"
    )
    (tmp_path / "helper.py").write_text("import deeper\ny = deeper.y\n")
    (tmp_path / "deeper.py").write_text("y = 1\n")
    (tmp_path / "other.py").write_text("y = 1\n")
    versions = [code_version.__wrapped__("mine:mine")]
    for name in ("other", "deeper"):
        (tmp_path / f"{name}.py").write_text("y = 2\n")
        versions.append(code_version.__wrapped__("mine:mine"))
    assert versions[0] == versions[1] != versions[2]


def test_the_code_behind_a_floor_is_the_solver_but_no_figure():

    reached = set(_reached(Path(__file__).parents[3] / "experiments/trials/floor.py"))
    assert {"experiments/heads/solver.py", "theory/bounds/majorization.py", "synth/families/zipf.py"} <= reached
    assert not [name for name in reached if "figures" in name or "studies" in name]
