"""Several processes that search together, each with rows of its own.

Every step of a search is a sum over rows, so a process needs no rows but its own: sums are added
over all processes, and single numbers per example (losses, weights) are gathered. Each process
takes the same decisions from the same sums; where rounding could make them differ, the first
process's numbers are taken. ``torchrun`` starts the processes and tells each who it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from backend.core.device import choose_device
from backend.core.errors import BackendError, InputError, RankError
from backend.core.progress import Progress
from backend.spotlight.solver.blocks import Sum

PATIENCE = 300.0
"""Seconds that a process waits for the others, unless told otherwise."""
_HEARTBEAT = 2.0

Done = TypeVar("Done")


class Processes(Protocol):
    """What a search asks of the processes that share it."""

    rank: int
    world: int

    def place(self, own: int) -> tuple[int, int, int]:
        """First row of this process, number of all rows, and most rows of one process."""

    def total(self, part: Tensor) -> Tensor:
        """float64 sums over all processes of what each has summed over its own rows."""

    def merged(self, part: Sum) -> Tensor:
        """The same, where the last digit must not depend on which process holds which rows."""

    def lead(self, value: Tensor) -> Tensor:
        """The first process's tensor, on every process; all have the same shape and type."""

    def gathered(self, own: NDArray[Any]) -> NDArray[Any]:
        """All rows, from those of each process, in the order of the processes."""


class Alone:
    """The only process: it has all rows."""

    rank, world = 0, 1

    def place(self, own: int) -> tuple[int, int, int]:
        return 0, own, own

    def total(self, part: Tensor) -> Tensor:
        return part

    def merged(self, part: Sum) -> Tensor:
        return part.value()

    def lead(self, value: Tensor) -> Tensor:
        return value

    def gathered(self, own: NDArray[Any]) -> NDArray[Any]:
        return own


ALONE = Alone()


class Together:
    """This process among those that ``torch.distributed`` has brought together.

    Parameters
    ----------
    rows : sequence of int
        Rows of each process, in their order.
    patience : float
        Seconds to wait for the others.
    control : process group
        On the CPU: for numbers per example, and for agreeing.
    """

    def __init__(self, rows: Sequence[int], patience: float, control: Any):
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.rows, self._patience, self._control = tuple(rows), patience, control

    def with_rows(self, rows: Sequence[int]) -> Together:
        """The same processes, each with so many rows."""
        return Together(rows, self._patience, self._control)

    def place(self, own: int) -> tuple[int, int, int]:
        return sum(self.rows[: self.rank]), sum(self.rows), max(self.rows)

    def total(self, part: Tensor) -> Tensor:
        # Rings and trees add in one place and send the sum round: the same bits everywhere.
        summed = part.double().contiguous().clone()
        with _answered(self._patience):
            dist.all_reduce(summed)
        return summed

    def merged(self, part: Sum) -> Tensor:
        own = part.both()
        came = [torch.empty_like(own) for _ in range(self.world)]
        with _answered(self._patience):
            dist.all_gather(came, own)
        whole = Sum()
        for both in came:
            for half in both:
                whole.add(half)
        return whole.value()

    def lead(self, value: Tensor) -> Tensor:
        plain = value.to(torch.uint8) if value.dtype == torch.bool else value
        sent = plain.contiguous().clone()
        with _answered(self._patience):
            dist.broadcast(sent, 0)
        return sent.to(value.dtype)

    def gathered(self, own: NDArray[Any]) -> NDArray[Any]:
        with _answered(self._patience):
            return _gathered(own, self._control, self.world)

    def same(self, value: Any) -> Any:
        """What the first process has, on every process."""
        held = [value]
        with _answered(self._patience):
            dist.broadcast_object_list(held, 0, group=self._control)
        return held[0]


def own_device(device: str | torch.device = "auto") -> torch.device:
    """The device of this process: with "auto" or "cuda", each on a machine gets its own GPU."""
    chosen = choose_device(device)
    if chosen.type == "cuda" and chosen.index is None:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device("cuda", local % torch.cuda.device_count())
    return chosen


@contextmanager
def meeting(device: torch.device, patience: float = PATIENCE) -> Iterator[Any]:
    """Join the other processes, and leave them at the end; yields the control group.

    Raises
    ------
    RankError
        If not all of them come in time; those that are missing are named where that is known.
    """
    if not patience > 0:
        raise InputError(f"the time to wait for other processes must be above 0 s: got {patience}.")
    wait = timedelta(seconds=patience)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with _answered(patience):
        dist.init_process_group(backend, timeout=wait)
        control = dist.group.WORLD if backend == "gloo" else dist.new_group(None, wait, "gloo")
        dist.monitored_barrier(control, timeout=wait, wait_all_ranks=True)
    yield control
    # Reached only without an error: where a process has failed, taking leave could wait for it.
    dist.destroy_process_group()


def agree(own: dict[str, Any], control: Any, patience: float) -> list[dict[str, Any]]:
    """What every process says, in their order, on every process."""
    said: list[Any] = [None] * dist.get_world_size()
    with _answered(patience):
        dist.all_gather_object(said, own, group=control)
    return said


def first_does(
    work: Callable[[Progress], Done], control: Any, patience: float, progress: Progress
) -> Done:
    """What the first process's ``work(progress)`` returns, on every process; its error likewise.

    The others hear how far it is every few seconds if the work tells its progress, so that it may
    take longer than anybody's patience.
    """
    if dist.get_rank() > 0:
        while True:
            heard = agree({}, control, patience)[0]
            if "fault" in heard:
                raise InputError(f"process 0: {heard['fault']}")
            if "done" in heard:
                return heard["done"]
            progress(*heard["told"])
    last = time.monotonic()

    def tell(fraction: float, message: str) -> None:
        nonlocal last
        progress(fraction, message)
        if time.monotonic() - last > min(_HEARTBEAT, patience / 4):
            agree({"told": (fraction, message)}, control, patience)
            last = time.monotonic()

    try:
        done = work(tell)
    except RankError:
        raise
    except BackendError as error:
        agree({"fault": str(error)}, control, patience)
        raise
    agree({"done": done}, control, patience)
    return done


def _gathered(own: NDArray[Any], control: Any, world: int) -> NDArray[Any]:
    """Rows of every process one after the other, sent as bytes: any type of number goes."""
    own = np.ascontiguousarray(own)
    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([len(own)]), group=control)
    width = int(own.dtype.itemsize * np.prod(own.shape[1:], dtype=np.int64))
    most = max(int(count) for count in counts)
    sent = torch.zeros(most * width, dtype=torch.uint8)
    raw = np.frombuffer(own.tobytes(), dtype=np.uint8)
    sent[: len(raw)] = torch.from_numpy(raw.copy())
    came = [torch.empty_like(sent) for _ in range(world)]
    dist.all_gather(came, sent, group=control)
    parts = [
        np.frombuffer(part.numpy()[: int(count) * width].tobytes(), own.dtype)
        for part, count in zip(came, counts, strict=True)
    ]
    return np.concatenate(parts).reshape(-1, *own.shape[1:])


@contextmanager
def _answered(patience: float) -> Iterator[None]:
    """Turn a process that stopped or stays silent into an error about it."""
    try:
        yield
    except (RuntimeError, ValueError) as error:  # what torch.distributed raises, by its version
        told = " ".join(str(error).split())[:300]
        raise RankError(
            f"another process of this search stopped, or did not answer within {patience:g} s. "
            f"See what it said, and start all of them again. (torch.distributed: {told})"
        ) from error
