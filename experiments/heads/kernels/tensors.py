"""The torch kernel: one library call for the softmax, the rest in place."""

from __future__ import annotations

from typing import Any

from experiments.heads.kernels.host import HostKernel
from experiments.heads.kernels.plain import Kernel
from synth.table import Table


class TensorKernel(Kernel):
    """Chunks of logits in torch, on any of its devices."""

    name = "torch"

    def __init__(self, on_host: bool) -> None:
        self.on_host = on_host

    def rows(self, vocab: int, entries: int) -> int:
        """What the NumPy kernel takes on the host; all ``entries`` allow on a device."""
        return HostKernel().rows(vocab, entries) if self.on_host else super().rows(vocab, entries)

    def product(self, left: Any, right: Any, room: Any | None) -> Any:
        """``left @ right``, in ``room`` where there is one."""
        import torch

        return torch.matmul(left, right, out=None if room is None else room[: left.shape[0], :])

    def softmax(self, logits: Any) -> Any:
        """``Q`` (rows, V)."""
        return logits.softmax(dim=1)

    def residual(self, logits: Any, table: Table, start: int, stop: int, constants: Any) -> tuple[Any, Any]:
        """``KL(p_c || q_c)`` (rows,) in float64, and ``Q - P`` (rows, V)."""
        log_q = self._log_q(logits)
        costs = -table.inner(log_q, start, stop) - constants[start:stop]
        return costs, table.residual(log_q.exp_(), start, stop).to(logits.dtype)

    def _log_q(self, logits: Any) -> Any:
        """``log Q`` (rows, V) in float64, a new tensor."""
        import torch

        return logits.log_softmax(dim=1, dtype=torch.float64)
