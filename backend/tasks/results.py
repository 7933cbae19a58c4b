"""What the results of several tasks have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.wording import fewer_words
from backend.spotlight.options import NO_MORE_OPTIMA
from backend.tasks.task import Meta, Options, Task

NONE_STAND_OUT = "no more stand out"
"""Why a search for regions ends before as many are found as were asked for."""


def fewer_listed(task: str, facts: Sequence[Mapping[str, Any]], asked: int) -> str:
    """Why a finished search lists fewer than were asked for; "" where it does not.

    Parameters
    ----------
    task : {"regions", "spotlights"}
    facts : sequence of mapping
        What the search says of all it found; whole labels come on top of those asked for.
    asked : int

    Examples
    --------
    >>> fewer_listed("regions", [{"kind": "label"}, {"kind": "ball"}], 5)
    '1 of 5: no more stand out.'
    """
    found = sum(one.get("kind") != "label" for one in facts)
    return fewer_words(found, asked, NO_MORE_OPTIMA if task == "spotlights" else NONE_STAND_OUT)


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
