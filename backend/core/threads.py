"""Threads that do not burn the processor while they wait for each other.

PyTorch's threads spin between two small operations. Where other work shares the cores the spinning
thread keeps away the very one it waits for: a search of one second was measured to take 45 s. The
OpenMP runtime reads how to wait once, when PyTorch is loaded; ``backend`` asks for sleeping then. A
program that loaded PyTorch earlier keeps its spinning threads, and gets one thread instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

POLICY = "OMP_WAIT_POLICY"
_loaded_before = "torch" in sys.modules
if not _loaded_before:
    os.environ.setdefault(POLICY, "PASSIVE")
SLEEPS = os.environ.get(POLICY, "").upper() == "PASSIVE"


@contextmanager
def calm_threads() -> Iterator[None]:
    """Within, many small operations of PyTorch run well on busy cores too."""
    import torch

    if SLEEPS:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(tasks: Sequence[Callable[[], T]], device: torch.device) -> Iterator[T]:
    """The result of each task, in their order, as many at a time as PyTorch has threads.

    Many small operations leave all but one core idle, however many threads each may take. Here every
    task has one thread of PyTorch, so that no result depends on how many cores there are. On an
    accelerator tasks follow one another. Closing the iterator starts none that waits.
    """
    import torch

    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or len(tasks) == 1:
        for task in tasks:
            yield task()
        return
    # What a thread sets counts for itself, and for threads that come later.
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(lambda task: task(), tasks)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
