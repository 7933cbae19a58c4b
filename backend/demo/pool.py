"""Many independent pieces of work on a few processes, one result file each, so that a stopped run
goes on where it was."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from backend.core.progress import Progress

Arrays = dict[str, NDArray[Any]]
Work = Callable[[Any, Callable[[float], None]], Arrays]


@dataclass(frozen=True)
class WorkFolder:
    """Where results lie: one ``.npz`` per piece of work, named by everything that decides it."""

    folder: Path

    def path(self, key: dict[str, Any]) -> Path:
        """File of the result of this key."""
        content = json.dumps(key, sort_keys=True).encode()
        return self.folder / f"{hashlib.sha256(content).hexdigest()[:24]}.npz"

    def read(self, key: dict[str, Any]) -> Arrays | None:
        """The result, or None where there is none, or only a damaged one."""
        try:
            with self.path(key).open("rb") as file, np.load(file, allow_pickle=False) as content:
                return dict(content)
        except (OSError, ValueError, BadZipFile):
            return None

    def write(self, key: dict[str, Any], arrays: Arrays) -> None:
        """Keep a result; the file appears whole or not at all."""
        path = self.path(key)
        partial_path = path.with_suffix(f".{os.getpid()}.part")
        with partial_path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        partial_path.replace(path)


def run_kept(
    work: Work,
    tasks: Sequence[tuple[dict[str, Any], Any]],
    kept: WorkFolder,
    *,
    workers: int,
    progress: Progress,
    what: str,
) -> list[Arrays]:
    """Results of ``work(task, after)`` in the order of ``tasks``; those already kept are read.

    Parameters
    ----------
    work : function of (task, after)
        At the top of a module, so that other processes find it. It calls ``after`` with the share
        of its task that is done.
    tasks : sequence of (key, task)
        The key holds whatever decides the result, as JSON; it names the file.
    workers : int
        Processes at once. 1 works in this process.
    progress : Progress
        Raising ``JobCancelled`` there stops the work; finished pieces stay kept.
    what : str
        What a piece is, for the message: "network".
    """
    missing = [(key, task) for key, task in tasks if kept.read(key) is None]
    first = len(tasks) - len(missing)

    def report(index: int, share: float = 0.0) -> None:
        done = first + index
        progress((done + share) / len(tasks), f"Training {what} {done + 1} of {len(tasks)}.")

    if missing:
        report(0)
    if workers == 1:
        for index, (key, task) in enumerate(missing):
            _work_and_keep(work, kept, (key, task), partial(report, index))
    elif missing:
        with process_pool(min(workers, len(missing))) as pool:
            waiting = pool.imap_unordered(partial(_work_and_keep, work, kept), missing)
            for index in range(len(missing)):
                while True:
                    report(index)  # also while nothing ends, so that a cancel is heard
                    try:
                        waiting.next(timeout=0.4)
                    except multiprocessing.TimeoutError:
                        continue
                    break
    return [result for key, _ in tasks if (result := kept.read(key)) is not None]


@contextmanager
def process_pool(workers: int) -> Iterator[Any]:
    """Fresh processes that end with the block, and also when this process is killed."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_end_with_parent) as pool:  # terminated on leaving
        yield pool


def _end_with_parent() -> None:
    """A pool's worker waits for work for ever when its parent is killed; this ends it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work_and_keep(
    work: Work,
    kept: WorkFolder,
    task: tuple[dict[str, Any], Any],
    after: Callable[[float], None] = lambda share: None,
) -> None:
    kept.write(task[0], work(task[1], after))
