"""The processes of a distributed fit: sums, maxima and rows carried by ``torch.distributed``, and what ends a fit.

Every sum is taken in float64 and every process gets the same bits, so processes that decide by sums decide alike.
Numbers and host arrays travel by gloo, arrays on a GPU by NCCL where the process group has it.  A process that fails
leaves a note in the group's store; one that dies leaves none, and that is how the others tell which it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from synth._array import Array, from_torch, is_array, to_torch

if TYPE_CHECKING:
    import torch

POLL = 1.0
"""Seconds between two looks at the notes of other processes while waiting for them."""

PATIENCE = 4.0
"""Seconds that a process which has lost another waits for the notes of the rest."""


class ProcessLostError(RuntimeError):
    """Another process of the fit failed, died or did not answer in time; the process group cannot be used again."""


class Processes:
    """The processes among which a fit is divided: this one is number ``rank`` of ``size``.

    Uses the process group that is initialised; else initialises one from the environment that ``torchrun`` sets, with
    ``timeout`` in seconds (gloo, and NCCL beside it where there is a GPU); else this process is alone.  The group is
    left initialised.  As a context it leaves a note for the others when its body raises.
    """

    def __init__(self, timeout: float = 600.0) -> None:
        import torch
        from torch import distributed

        if not timeout > 0:
            raise ValueError(f"timeout must be > 0 seconds, found {timeout}")
        grouped = distributed.is_available() and distributed.is_initialized()
        if not grouped and {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= set(os.environ):
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
            distributed.init_process_group(backend, timeout=timedelta(seconds=timeout))
            grouped = True
        self.rank, self.size, self.store, self.place = 0, 1, None, None
        if grouped and distributed.get_world_size() > 1:
            self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
            self.place = {"gloo": "cpu", "nccl": "cuda"}.get(distributed.get_backend())
            self.store = distributed.distributed_c10d._get_default_store()
            self.notes = f"rankfloor/{self.store.add(f'rankfloor/fits/{self.rank}', 1)}"

    # ------------------------------------------------------------------ what travels

    def summed(self, *parts: Any) -> tuple[Any, ...]:
        """Each number or array of ``parts``, added up over all processes in float64; kinds, shapes and dtypes stay."""
        return parts if self.size == 1 else self._reduced(parts, "SUM")

    def largest(self, *numbers: float) -> tuple[float, ...]:
        """The largest of each number over all processes."""
        return numbers if self.size == 1 else self._reduced(numbers, "MAX")

    def everyone(self, number: float) -> list[float]:
        """The ``number`` of every process, by rank."""
        return list(self.summed(*(number if rank == self.rank else 0.0 for rank in range(self.size))))

    def scatter(self, rows: Array | None, counts: Sequence[int], reference: Array) -> Array:
        """The rows of process 0 (sum of counts, k), ``counts[rank]`` to each process, like ``reference`` (., k)."""
        if self.size == 1:
            return rows
        import torch

        mine = self._placed(to_torch(reference)).new_zeros((max(counts), reference.shape[1]))
        parts = None
        if self.rank == 0:
            whole = self._placed(to_torch(rows))
            parts = [_padded(part, max(counts)) for part in torch.split(whole, list(counts))]
        self._wait("scatter", mine, parts, src=0)
        return from_torch(mine[: counts[self.rank], :], reference)

    def gather(self, rows: Array, counts: Sequence[int]) -> Array:
        """On process 0 the rows (counts[rank], k) of all processes below each other; elsewhere ``rows``."""
        if self.size == 1:
            return rows
        import torch

        mine = _padded(self._placed(to_torch(rows)), max(counts))
        parts = [torch.empty_like(mine) for _ in counts] if self.rank == 0 else None
        self._wait("gather", mine, parts, dst=0)
        if parts is None:
            return rows
        return from_torch(torch.cat([part[:count, :] for part, count in zip(parts, counts, strict=True)]), rows)

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor where the group's only backend can reach it; as it is where there are several."""
        return tensor if self.place is None else tensor.to(self.place)

    def _reduced(self, parts: Sequence[Any], operation: str) -> tuple[Any, ...]:
        """All-reduce of numbers and arrays in one message."""
        import torch
        from torch import distributed

        arrays = [part for part in parts if is_array(part)]
        device = to_torch(arrays[0]).device if arrays else torch.device("cpu")
        flat = [
            to_torch(part).reshape(-1) if is_array(part) else torch.tensor([part], dtype=torch.float64, device=device)
            for part in parts
        ]
        message = self._placed(torch.cat(flat))
        self._wait("all_reduce", message, op=getattr(distributed.ReduceOp, operation))
        pieces = torch.split(message, [len(piece) for piece in flat])
        return tuple(
            from_torch(piece.reshape(tuple(part.shape)), part) if is_array(part) else float(piece)
            for piece, part in zip(pieces, parts, strict=True)
        )

    def _wait(self, operation: str, *tensors: Any, **how: Any) -> None:
        """Run a collective operation; ``ProcessLostError`` when another process is gone."""
        from torch import distributed

        try:
            work = getattr(distributed, operation)(*tensors, async_op=True, **how)
        except RuntimeError as error:
            raise self._lost(error) from error
        if tensors[0].is_cuda:  # NCCL: the stream waits, and its watchdog ends the process after the timeout
            work.wait()
            return
        while True:
            try:
                work.wait(timedelta(seconds=POLL))
                return
            except RuntimeError as error:
                if work.is_completed() or self._read() != {}:
                    raise self._lost(error) from error

    # ------------------------------------------------------------------ when one fails

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.size > 1 and error is not None and not isinstance(error, ProcessLostError):
            self._note(f"{type(error).__name__}: {error}")

    def _note(self, text: str) -> None:
        """Leave a note for the other processes; nothing is left where the store has gone."""
        assert self.store is not None
        try:
            self.store.set(f"{self.notes}/{self.rank}", text)
        except RuntimeError:  # it lived in the process that is lost
            return

    def _read(self) -> dict[int, str] | None:
        """The notes of the other processes, by rank; ``None`` when the store has gone."""
        assert self.store is not None
        names = {rank: f"{self.notes}/{rank}" for rank in range(self.size) if rank != self.rank}
        try:
            return {rank: self.store.get(name).decode() for rank, name in names.items() if self.store.check([name])}
        except RuntimeError:
            return None

    def _lost(self, error: RuntimeError) -> ProcessLostError:
        """The error to raise: which process is lost, and what to do."""
        self._note("")
        notes, until = self._read(), time.monotonic() + PATIENCE
        while notes is not None and len(notes) < self.size - 1 and time.monotonic() < until:
            time.sleep(0.1)
            latest = self._read()
            if latest is None:  # the store went after its process had left a note or the others had
                break
            notes = latest
        if notes is None:
            blame = "process 0, which kept the notes, is gone"
        else:
            silent = [str(rank) for rank in range(self.size) if rank != self.rank and rank not in notes]
            failed = [f"process {rank} failed ({text})" for rank, text in notes.items() if text]
            died = [f"no sign of life from process {', '.join(silent)}: killed, or late by more than the timeout"]
            blame = "; ".join(failed + (died if silent else [])) or "the connection between processes broke"
        return ProcessLostError(
            f"process {self.rank} of {self.size} had to give up: {blame}. Read the output of the process named, then "
            f"start all {self.size} again; a larger timeout if it was only late ({str(error).split('. ')[0]})"
        )


def _padded(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Rows of zeros below, up to ``count``."""
    padded = rows.new_zeros((count, rows.shape[1]))
    padded[: rows.shape[0], :] = rows
    return padded
