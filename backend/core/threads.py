"""Threads that do not burn the processor while they wait for each other.

PyTorch's threads spin between two small operations. Where other work shares the cores the spinning
thread keeps away the very one it waits for: a search of one second was measured to take 45 s. The
OpenMP runtime reads how to wait once, when PyTorch is loaded; ``backend`` asks for sleeping then. A
program that loaded PyTorch earlier keeps its spinning threads, and gets one thread instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
