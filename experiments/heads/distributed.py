"""One fit over several processes: each holds some of the contexts and their hidden states, all hold the head W~.

The gap, the gradient of W~ and every curvature are sums over contexts.  ``DistributedObjective`` completes them with
the sums of the other processes (``experiments.heads.processes``), and its inner product counts W~ once; the solver of
``experiments.heads.fit`` then runs in every process on the same numbers and takes the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from experiments.heads import starts
from experiments.heads.cross_entropy import CHUNK_ENTRIES
from experiments.heads.descent import Options
from experiments.heads.fitted import Fit
from experiments.heads.objective import Objective
from experiments.heads.processes import Processes
from experiments.heads.solver import Search
from synth import ContextualDistribution
from synth._array import Array, device, epsilon, to_numpy
from theory import Head, HeadSpec


def fit_distributed(
    distribution: ContextualDistribution, spec: HeadSpec, options: Options | None = None, timeout: float = 600.0
) -> Fit:
    """The fit of ``experiments.heads.fit``, the contexts divided among the processes of a process group.

    Call it alike in every process, started by ``torchrun`` or with ``torch.distributed`` initialised; alone, it is
    ``fit``.  ``distribution`` is the whole one, of which each process takes its slice, or already this process's slice
    (``context_slice``).  Of the whole, process 0 computes the closed-form starts of ``fit``; slices start from the
    unigram law, grown.  ``options.memory`` is for each process.  ``timeout``, in seconds, is how long one process
    waits for another, where the group is initialised here.

    The fit returned is the same everywhere but for its head: whole on process 0, the process's own contexts elsewhere.
    Raises ``ValueError`` for bad input, or input that differs between processes; ``ProcessLostError``, a
    ``RuntimeError``, when another process has failed, died or not answered in time.
    """
    options = options or Options()
    with Processes(timeout) as processes:
        shape = {"vocab": distribution.vocab, "dim": spec.dim, "bias": spec.bias}
        _agree(shape | asdict(options), processes)
        spec.check_against(distribution)
        part, whole = _slice_of(distribution, processes)
        found = DistributedSearch(part, spec, options, None, whole).best(())
        head = Head(processes.gather(found.head.H, part.counts), found.head.W, found.head.b)
        return replace(found, head=head)


def context_slice(distribution: ContextualDistribution, rank: int, size: int) -> ContextualDistribution:
    """Contexts number ``rank`` of ``size`` nearly equal runs, their weights as they are (they sum to their share).

    Raises ``ValueError`` unless 0 <= rank < size <= C.
    """
    if not 0 <= rank < size:
        raise ValueError(f"rank must lie between 0 and size - 1 = {size - 1}, found {rank}")
    if size > distribution.contexts:
        raise ValueError(f"{distribution.contexts} contexts cannot be divided among {size} processes; start fewer")
    start, stop = (number * distribution.contexts // size for number in (rank, rank + 1))
    table = distribution.table.take(contexts=np.arange(start, stop))
    return ContextualDistribution(table, distribution.weights[start:stop])


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(ContextualDistribution):
    """The contexts of one process; entropy, unigram law and positivity are those of the whole distribution.

    ``counts``: contexts of each process, by rank.
    """

    processes: Processes
    counts: Sequence[int]

    @property
    def held(self) -> slice:
        """Where these contexts stand among all."""
        start = sum(self.counts[: self.processes.rank])
        return slice(start, start + self.contexts)

    @cached_property
    def entropy(self) -> float:
        """``H(P)`` of the whole, nats per token."""
        (total,) = self.processes.summed(float(self.weights @ self.table.entropies()))
        return total

    @cached_property
    def marginal(self) -> Array:
        """The unigram law of the whole, shape (V,)."""
        (total,) = self.processes.summed(self.table.token_mass(self.weights))
        return total

    @cached_property
    def is_positive(self) -> bool:
        """Whether every token has positive probability in every context of the whole."""
        (zeros,) = self.processes.largest(float(int(self.support_sizes.min()) < self.vocab))
        return zeros == 0


@dataclass(frozen=True, eq=False, kw_only=True)
class SlicedHead(Head):
    """The head on the contexts of one process; what it says of itself is said of all contexts."""

    processes: Processes

    def gap(self, distribution: ContextualDistribution) -> float:
        """The gap over all contexts, ``distribution`` being this process's ``Slice``; nats per token."""
        (total,) = self.processes.summed(super().gap(distribution))
        return total

    @cached_property
    def logit_range(self) -> float:
        """The largest difference of two logits of one context, over all contexts."""
        (widest,) = self.processes.largest(super().logit_range)
        return widest


class DistributedObjective(Objective):
    """The gap over the contexts of all processes, as a function of the hidden states held here and of W~.

    Every method must be called by all processes alike.  ``work`` counts as if one process did it all.
    """

    distribution: Slice

    def __init__(
        self, distribution: Slice, spec: HeadSpec, ridge: float = 0.0, chunk_entries: int = CHUNK_ENTRIES
    ) -> None:
        super().__init__(distribution, spec, ridge, chunk_entries)
        self.all_contexts, self.held = sum(distribution.counts), distribution.held
        self.processes = distribution.processes

    @property
    def size(self) -> int:
        """Number of unknowns of the process that holds most."""
        return max(self.distribution.counts) * self.dim + self.vocab * self.columns

    def summed(self, *sums: Array) -> tuple[Array, ...]:
        """Sums over the contexts held here, completed by those held elsewhere."""
        return self.processes.summed(*sums)

    def dot(self, a: Array, b: Array) -> float:
        """Inner product of two packed vectors, W~ counted once: as process 0 has it."""
        cut = self.contexts * self.dim
        here = super().dot(a[:cut], b[:cut])
        if self.processes.rank == 0:
            here += super().dot(a[cut:], b[cut:])
        (total,) = self.summed(here)
        return total

    def orthonormal(self, X: Array) -> Array:
        """The rows held here of an orthonormal basis of the columns of ``X``: the tall-skinny QR of Demmel et al."""
        xp, width = self.xp, X.shape[1]
        short = xp.zeros((width, width), dtype=X.dtype, device=device(X))  # a slice may hold fewer rows than columns
        basis, triangle = xp.linalg.qr(xp.concat([X, short], axis=0))
        rank, zeros = self.processes.rank, xp.zeros_like(triangle)
        blocks = [triangle if other == rank else zeros for other in range(self.processes.size)]
        (stacked,) = self.summed(xp.concat(blocks, axis=0))
        mixing, _ = xp.linalg.qr(stacked)
        return basis[: self.contexts, :] @ mixing[rank * width : (rank + 1) * width, :]

    def head(self, x: Array) -> SlicedHead:
        """The head that a packed vector stands for, on the contexts held here."""
        head = super().head(x)
        return SlicedHead(head.H, head.W, head.b, processes=self.processes)


@dataclass(frozen=True)
class DistributedSearch(Search):
    """The descents of a distributed fit; ``whole`` is the distribution that process 0 computes closed forms of."""

    distribution: Slice
    whole: ContextualDistribution | None = None

    def objective(self) -> DistributedObjective:
        """A fresh objective, its evaluations counted from zero."""
        return DistributedObjective(self.distribution, self.spec, 0.0, self.options.chunk_entries)

    def closed_form(self) -> tuple[str, Array]:
        """The lowest of the closed forms of the whole distribution, from process 0; the unigram law without it."""
        objective, processes = self.objective(), self.distribution.processes
        xp, pi, vocab = objective.xp, objective.pi, objective.vocab
        if self.whole is None:
            bias = self.distribution.log_marginal if self.spec.bias else None
            none = self.distribution.marginal[:, None][:, :0]
            return "unigram", starts.appended(objective, Head(pi[:, None][:, :0], none, bias))
        number, rows = 0.0, None
        Wt = xp.zeros((vocab, objective.columns), dtype=pi.dtype, device=device(pi))
        if processes.rank == 0:
            search = Search(self.whole, self.spec, self.options, None)
            name, x = search.closed_form()
            number = float(starts.WITNESSES.index(name))
            rows, Wt = search.objective().split(x)
        number, Wt = processes.summed(number, Wt)
        H = processes.scatter(rows, self.distribution.counts, Wt[:, : objective.dim])
        return starts.WITNESSES[int(number)], objective.join(H, Wt)


def _slice_of(
    distribution: ContextualDistribution, processes: Processes
) -> tuple[Slice, ContextualDistribution | None]:
    """The slice held here, and the whole distribution where it was given: its weights sum to 1."""
    here = float(to_numpy(distribution.weights).astype(np.float64).sum())
    shares = processes.everyone(here)
    (slack,) = processes.largest(1e-9 + 16 * epsilon(distribution.weights) * math.sqrt(distribution.contexts))
    if all(abs(share - 1) <= slack for share in shares):
        _agree({"number of contexts": distribution.contexts}, processes)
        whole, part = distribution, distribution
        if processes.size > 1:
            part = context_slice(whole, processes.rank, processes.size)
    elif abs(sum(shares) - 1) <= slack * processes.size:
        whole, part = None, distribution
    else:
        found = ", ".join(f"{share:.6g}" for share in shares)
        raise ValueError(
            f"the weights of the processes sum to {found}; give each process the whole distribution (weights sum to 1) "
            "or its slice by context_slice (the weights of all slices sum to 1)"
        )
    counts = tuple(int(count) for count in processes.everyone(part.contexts))
    return Slice(part.table, part.weights, processes=processes, counts=counts), whole


def _agree(numbers: Mapping[str, float], processes: Processes) -> None:
    """Raise ``ValueError`` unless each of ``numbers`` is the same in all processes."""
    values = [float(value) for value in numbers.values()]
    extremes = processes.largest(*values, *(-value for value in values))
    for name, high, low in zip(numbers, extremes, extremes[len(values) :], strict=False):
        if high != -low:
            raise ValueError(f"{name} is {-low:g} in one process and {high:g} in another; give all the same")
