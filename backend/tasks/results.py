"""What the results of several tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.tasks.task import Meta, Options, Task


def searched_with(task: Task, options: Options, device: Any) -> Meta:
    """What a search says of itself: its version, options, device, and the libraries it ran on."""
    import torch

    return {
        "version": task.version,
        "options": options,
        "device": str(device),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }


def padded_rows(members: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Rows of each group as one (r, most) array, filled up with -1."""
    padded = np.full((len(members), max(map(len, members), default=0)), -1, np.int64)
    for line, rows in zip(padded, members, strict=True):
        line[: len(rows)] = rows
    return padded
