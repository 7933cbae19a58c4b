"""A score of difficulty that takes a while, worked out by a worker: the task "difficulty"."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.tasks.checks import needs_bundle
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_difficulty(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """The values of one score of the bundle as ``values``, shape (n,)."""
    from backend.scores import known_scores, score_values

    bundle = needs_bundle("difficulty", bundle)
    began = time.perf_counter()
    progress(0.0, f"reading {known_scores(bundle)[options['score']].title}")
    values = score_values(bundle, options["score"])
    return {"values": values}, {
        "version": TASK.version,
        "options": options,
        "seconds": time.perf_counter() - began,
    }


def _check_difficulty(options: Options) -> None:
    if not isinstance(options["score"], str):
        raise InputError(f"score must be the name of a score: got {options['score']!r}.")


TASK = Task(
    "backend.tasks.difficulty:run_difficulty",
    version=1,
    defaults={"score": "vog"},
    check=_check_difficulty,
    lane=lambda options: "quick",
)
