"""Who asks for what, and what is computed for whom."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.cache import Cache, canonical, key_of
from backend.core.errors import InputError, JobError
from backend.core.home import home_folder
from backend.jobs.job import Job
from backend.jobs.lane import Lane, Workshop
from backend.tasks import TASKS, Task, complete_options

GRACE_S = 2.0
"""How long a cancelled worker may take to stop by itself before it is killed."""

PERSON_JOBS = "ERRORSCOPE_PERSON_JOBS"
DEFAULT_JOBS = 32
_REMEMBERED = 256
_STALE_S = 24 * 3600.0


class Jobs:
    """The workers of one process.

    Parameters
    ----------
    home : path, optional
        As for ``home_folder``.
    workers : int
        Processes of the ``compute`` lane; the other lanes have one each. All start when first
        needed.
    warm : bool
        Start the workers that a first view needs, and import what they need, right away.
    tasks : mapping of name to Task or ``"module:function"``, optional
        Instead of ``backend.tasks.TASKS``.
    max_bytes : int, optional
        As for ``Cache``.

    Raises
    ------
    InputError
        If ``workers`` is below 1.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        workers: int = 1,
        *,
        warm: bool = False,
        tasks: Mapping[str, Task | str] | None = None,
        max_bytes: int | None = None,
    ):
        if workers < 1:
            raise InputError(f"workers must be at least 1: got {workers}.")
        self.home = home_folder(home)
        self.cache = Cache(self.home, max_bytes)
        self.tasks = {
            name: Task(row) if isinstance(row, str) else row
            for name, row in (TASKS if tasks is None else tasks).items()
        }
        self._shop = Workshop(self.home, self.cache, self.tasks, warm)
        self._changed = self._shop.changed
        for folder in (self._shop.scratch, self._shop.locks):
            folder.mkdir(exist_ok=True)
            _sweep(folder)
        self._jobs: collections.OrderedDict[str, Job] = collections.OrderedDict()
        self._lanes = {
            name: Lane(name, count, self._shop)
            for name, count in (("quick", 1), ("compute", workers), ("background", 1))
        }
        if warm:
            with self._changed:
                self._lanes["compute"].staff()
                self._lanes["quick"].staff()

    def submit(
        self,
        task: str,
        digest: str,
        options: Mapping[str, Any] | None = None,
        watcher: str = "",
        person: str = "",
    ) -> Job:
        """The job that computes this: a finished one when the cache has it, else a shared one.

        A job that failed or was cancelled is computed anew, except for a named watcher that was
        there when it ended: a page asks at every rerun, and would start it again for ever. Such a
        watcher gets the ended job back and calls ``retry``.

        Parameters
        ----------
        task : str
        digest : str
            Digest of the bundle; empty for tasks that need none.
        options : mapping, optional
            Missing ones take the task's defaults.
        watcher : str
            Who waits for it: one tab of a browser.
        person : str
            Whose tab that is; of nobody's jobs any number may wait.

        Raises
        ------
        InputError
            If the task or an option does not exist, a value cannot be used, or as many new jobs of
            this person wait already as may (``ERRORSCOPE_PERSON_JOBS``).
        JobError
            If this manager is closed.
        """
        complete = canonical(complete_options(task, options or {}, self.tasks))
        row = self.tasks[task]
        source = row.source(complete) if row.source else digest
        key = key_of(task, source, complete, row.version)
        with self._changed:
            job = self._jobs.get(key)
            if job is None or self._is_spent(job, watcher):
                job = self._take(person, key, task, digest, complete, row.lane(complete))
            job._add_watcher(watcher)
            return job

    def retry(self, job: Job, watcher: str = "", person: str = "") -> Job:
        """Compute a job that failed or was cancelled again; one that still runs is joined.

        Raises
        ------
        InputError
            If as many new jobs of this person wait already as may (``ERRORSCOPE_PERSON_JOBS``).
        """
        with self._changed:
            latest = self._jobs.get(job.key, job)
            if latest.state in ("failed", "cancelled"):
                latest = self._take(person, job.key, job.task, job.digest, job.options, job.lane)
            latest._left.discard(watcher)
            latest._add_watcher(watcher)
            return latest

    def get(self, key: str) -> Job | None:
        """The latest job under a key, if this process remembers one."""
        with self._changed:
            return self._jobs.get(key)

    def standing(self) -> tuple[bool, int]:
        """Whether all workers that were needed so far serve, and how many jobs wait for one."""
        with self._changed:
            serve = all(lane.serves for lane in self._lanes.values())
            waiting = sum(job.state == "queued" for job in self._jobs.values())
        return serve and not self.closed, waiting

    @property
    def closed(self) -> bool:
        """Whether no more work is taken."""
        return self._shop.closed.is_set()

    def close(self) -> None:
        """Cancel everything and end the workers."""
        with self._changed:
            self._shop.closed.set()
            for job in list(self._jobs.values()):
                if not job.ended:
                    self._cancel(job)
            threads = [thread for lane in self._lanes.values() for thread in lane.threads]
            self._changed.notify_all()
        for thread in threads:
            thread.join()

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- state, always under the lock -------------------------------------------------------------

    def _take(
        self, person: str, key: str, task: str, digest: str, options: dict[str, Any], lane: str
    ) -> Job:
        """Start a new job of a person, who may have so many."""
        self._check_turn(person)
        job = Job(
            key,
            task,
            digest,
            options,
            lane,
            cache=self.cache,
            lock=self._changed,
            stop=self._cancel,
        )
        job.person = person
        return self._start(job)

    def _check_turn(self, person: str) -> None:
        """Refuse more jobs of a person than may wait."""
        most = most_waiting()
        waiting = sum(job.state == "queued" and job.person == person for job in self._jobs.values())
        if person and waiting >= most:
            raise InputError(
                f"{waiting} of your tasks are waiting for a worker already, and {most} may "
                f"({PERSON_JOBS}). Wait until one of them is done, or cancel one."
            )

    def _start(self, job: Job) -> Job:
        if self._shop.closed.is_set():
            raise JobError("The workers are shut down. Start the program again.")
        self._jobs[job.key] = job
        self._jobs.move_to_end(job.key)
        self._forget()
        if self._shop.kept(job) is not None:
            job._end("done")
        else:
            job.message = "Waiting for a worker"
            self._lanes[job.lane].add(job)
        return job

    def _is_spent(self, job: Job, watcher: str) -> bool:
        """Whether an ended job has to be computed again for this watcher."""
        if job.state == "done":
            return self._shop.kept(job) is None
        return job.ended and not (watcher and watcher in job._known)

    def _cancel(self, job: Job) -> None:
        self._lanes[job.lane].drop(job)
        job._end("cancelled", message="Cancelled")
        if job._worker is not None:
            job._worker.cancel(job.id, grace_s=0 if self._shop.closed.is_set() else GRACE_S)

    def _forget(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.ended]
        for key in ended[: max(0, len(self._jobs) - _REMEMBERED)]:
            del self._jobs[key]


def most_waiting() -> int:
    """How many jobs of one person may wait: ``ERRORSCOPE_PERSON_JOBS``, 32 by default.

    Raises
    ------
    InputError
        If the setting is not a whole number above 0.
    """
    told = os.environ.get(PERSON_JOBS) or str(DEFAULT_JOBS)
    if not (told.isdecimal() and int(told) > 0):
        raise InputError(f"{PERSON_JOBS} must be a whole number above 0: got {told[:40]!r}.")
    return int(told)


_SERVING: dict[Path, Jobs] = {}
"""Workers outlive what asks for them: a cache of a page framework may be emptied by any visitor."""
_HIRING = threading.Lock()


def serving() -> Jobs:
    """The workers of this server for its home folder: one set, however often it is asked for.

    One that was closed is replaced.
    """
    home = home_folder()
    with _HIRING:
        known = _SERVING.get(home)
        if known is None or known.closed:
            known = _SERVING[home] = Jobs(home, warm=True)
        return known


def _sweep(folder: Path) -> None:
    """Remove what servers that were killed left behind a day ago or longer."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
