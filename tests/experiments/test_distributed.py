"""One fit over several processes: the floor of one process, and a clear word when a process is lost."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from datetime import timedelta

import numpy as np
import pytest
import torch
from torch import distributed

from experiments.heads import FitStatus, Options, fit, processes
from experiments.heads.distributed import DistributedObjective, context_slice, fit_distributed
from experiments.heads.processes import PATIENCE, ProcessLostError
from synth import families, moves
from theory import HeadSpec

TOKENS = np.random.default_rng(1).integers(0, 12, 400)
WORLDS = {
    "zipf": families.zipf(contexts=41, vocab=20, rank=12, scale=1.5, seed=3),
    "ngram": families.ngram(TOKENS, order=2, vocab=12),  # sparse, with zeros: led by a ridge homotopy
}
EXACT = Options(tolerance=1e-13)
CASES = {
    "dense": ("zipf", HeadSpec(2), Options(max_evaluations=15)),
    "dense, bias": ("zipf", HeadSpec(1, bias=True), EXACT),
    "sparse": ("ngram", HeadSpec(2), Options(max_evaluations=18)),
    "sparse, bias": ("ngram", HeadSpec(2, bias=True), Options(max_evaluations=18)),
    "closed form": ("ngram", HeadSpec(0, bias=True), EXACT),
    "averaged metric, random start": ("zipf", HeadSpec(1), Options(max_evaluations=12, memory=1, random_starts=1)),
}
SILENCE = 2.0


def join(rank, size, path, timeout):
    method = f"file://{path}"
    distributed.init_process_group("gloo", method, timedelta(seconds=timeout), rank=rank, world_size=size)


def fits(rank, size):
    """Every case, each with the account of how it went; then the cases of a slice and of another array library."""
    cases = CASES if size == 2 else {name: CASES[name] for name in list(CASES)[:4]}
    done = {name: fit_distributed(WORLDS[world], spec, options) for name, (world, spec, options) in cases.items()}
    world, spec, options = CASES["dense, bias"]
    if size == 2:
        done["slice"] = fit_distributed(context_slice(WORLDS[world], rank, size), spec, options)
        done["torch"] = fit_distributed(WORLDS[world].on(torch.zeros(1, dtype=torch.float64)), spec, options)
    return done


def refusal(distribution, options=None):
    """What a fit of bad input says."""
    with pytest.raises(ValueError, match=r"; (give|start)") as caught:
        fit_distributed(distribution, HeadSpec(1), options)
    return str(caught.value)


def lose(rank, how):
    """A fit in which process 1 is lost ``how`` after a few evaluations; what the process says and after how long."""
    evaluate, left = DistributedObjective.evaluate, [3]

    def losing(self, x):
        left[0] -= 1
        if rank == 1 and left[0] == 0:
            how()
        return evaluate(self, x)

    DistributedObjective.evaluate, began = losing, time.monotonic()
    try:
        fit_distributed(WORLDS["zipf"], HeadSpec(2))
    except (ProcessLostError, MemoryError) as error:
        return f"{type(error).__name__}: {error}", time.monotonic() - began
    finally:
        DistributedObjective.evaluate = evaluate
    return "nothing", time.monotonic() - began


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    raise MemoryError("out of it")


def fall_silent():
    time.sleep(4 * SILENCE)


def phase(rank, size, folder):
    """All that a process does in a group of 2 or 4: fits, refusals, and losses at last."""
    join(rank, size, folder / f"fits{size}", 120)
    said, zipf = {"fits": fits(rank, size)}, WORLDS["zipf"]
    said["few"] = refusal(moves.restrict_contexts(zipf, [0]))
    said["differ"] = refusal(zipf, Options(seed=rank))
    said["shares"] = refusal(context_slice(zipf, 0, size + 1))
    distributed.destroy_process_group()
    losses = {"killed": (die, 120)} if size == 4 else {"failed": (fail, 120), "silent": (fall_silent, SILENCE)}
    for name, (how, timeout) in losses.items():
        join(rank, size, folder / name, timeout)
        processes.PATIENCE = min(timeout, PATIENCE)
        said[name] = lose(rank, how)
        distributed.destroy_process_group()
    processes.PATIENCE = PATIENCE
    return said


def work(rank, folder):
    """One of four processes; the first two are a group of their own before."""
    torch.set_num_threads(1)
    for size in (2, 4):
        if rank < size:
            said = phase(rank, size, folder)
            (folder / f"{size}-{rank}.pickle").write_bytes(pickle.dumps(said))


def test_groups_of_processes(tmp_path):
    """One test for all that groups of two and four have to say, so that the processes are started once."""
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=work, args=(rank, tmp_path)) for rank in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join(240)
        if process.is_alive():
            process.kill()
    for size, speaking in ((2, [0, 1]), (4, [0, 2, 3])):  # process 1 of four is killed and says nothing
        said = {rank: pickle.loads((tmp_path / f"{size}-{rank}.pickle").read_bytes()) for rank in speaking}
        assert not (tmp_path / "4-1.pickle").exists()
        same_floor(size, said)
        other_input(size, said)
        lost_process(size, said)


def same_floor(size, said):
    """Same gap, status and number of evaluations everywhere; the whole head on process 0, its rows elsewhere."""
    for name in [name for name in said[0]["fits"] if name in CASES]:
        world, spec, options = CASES[name]
        alone = fit(WORLDS[world], spec, options)
        parts = [words["fits"][name] for words in said.values()]
        assert {part.gap for part in parts} == {parts[0].gap}
        assert abs(parts[0].gap - alone.gap) <= 1e-10
        assert abs(parts[0].head.gap(WORLDS[world]) - alone.gap) <= 1e-10
        assert [parts[0].status, parts[0].evaluations] == [alone.status, pytest.approx(alone.evaluations)]
        assert [parts[0].start, parts[0].metric] == [alone.start, alone.metric]
        rows = {rank: words["fits"][name].head.H.shape[0] for rank, words in said.items() if rank > 0}
        assert rows == {rank: context_slice(WORLDS[world], rank, size).contexts for rank in rows}
        assert spec.dim == 0 or abs(fit(context_of_one(WORLDS[world], size), spec, options).gap - alone.gap) > 1e-3


def context_of_one(distribution, size):
    """The first slice as a distribution of its own: what a fit that forgot the other processes would see."""
    return moves.restrict_contexts(distribution, range(distribution.contexts // size))


def other_input(size, said):
    """Local slices start elsewhere (from the unigram law, grown) and end in the same minimum here; torch; bad input."""
    if size == 2:
        done, alone = said[0]["fits"], fit(WORLDS["zipf"], HeadSpec(1, bias=True), EXACT)
        assert alone.status is done["slice"].status is done["torch"].status is FitStatus.CONVERGED
        assert abs(done["slice"].gap - alone.gap) <= 1e-10
        assert done["slice"].start == "unigram"
        assert abs(done["torch"].gap - alone.gap) <= 1e-10
        assert isinstance(done["torch"].head.H, torch.Tensor)
    assert said[0]["few"] == f"1 contexts cannot be divided among {size} processes; start fewer"
    assert said[0]["differ"] == f"seed is 0 in one process and {size - 1} in another; give all the same"
    assert said[0]["shares"].startswith("the weights of the processes sum to 0.")


def lost_process(size, said):
    """Killed, failed by itself, or silent: within the timeout, not a hang."""
    if size == 4:
        for rank, words in said.items():
            text, seconds = words["killed"]
            assert text.startswith(
                f"ProcessLostError: process {rank} of 4 had to give up: no sign of life from process 1:"
            )
            assert "start all 4 again" in text
            assert seconds < 60
    else:
        text, seconds = said[0]["failed"]
        assert "process 1 failed (MemoryError: out of it)" in text
        assert said[1]["failed"][0] == "MemoryError: out of it"
        text, seconds = said[0]["silent"]
        assert "no sign of life from process 1: killed, or late by more than the timeout" in text
        assert seconds < 60


def test_alone_it_is_an_ordinary_fit():
    world, spec, options = CASES["dense, bias"]
    alone, here = fit(WORLDS[world], spec, options), fit_distributed(WORLDS[world], spec, options)
    assert abs(alone.gap - here.gap) <= 1e-10
    assert here.head.H.shape == (41, 1)
    with pytest.raises(ValueError, match="timeout must be > 0 seconds, found 0"):
        fit_distributed(WORLDS[world], spec, options, timeout=0)
    with pytest.raises(ValueError, match="rank must lie between 0 and size - 1 = 1, found 2"):
        context_slice(WORLDS[world], 2, 2)
    with pytest.raises(ValueError, match="dim = 21 exceeds the vocabulary"):
        fit_distributed(WORLDS[world], HeadSpec(21))
