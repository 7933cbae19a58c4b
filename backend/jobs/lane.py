"""A queue of jobs and the threads that serve it, each the owner of one worker process."""

from __future__ import annotations

import collections
import logging
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.cache import Cache, DamagedEntry, Entry, read_folder
from backend.core.errors import BackendError
from backend.core.memory import anonymous_bytes
from backend.jobs.job import Job
from backend.jobs.process import WorkerProcess
from backend.locks import Lock
from backend.tasks import PRELOAD, Task

log = logging.getLogger(__name__)

_RETRY_LOCK_S = 0.25
_FULL_BYTES = 384 * 2**20
"""Memory of a worker beyond which a fresh one takes up work whose memory is bounded."""
_REMEMBERED = 4_096
"""Watchers whose last turn is remembered."""
_NICE = {"background": 10}
_WAITING_ELSEWHERE = "Waiting for another process that computes the same"


@dataclass(frozen=True)
class Workshop:
    """What the lanes of one manager share.

    Attributes
    ----------
    home, cache, tasks, warm
        As for ``Jobs``.
    changed : Condition
        One lock for all state; its condition wakes the workers' threads.
    closed : Event
        Set when no more work is taken.
    """

    home: Path
    cache: Cache
    tasks: Mapping[str, Task]
    warm: bool
    changed: threading.Condition = field(default_factory=threading.Condition)
    closed: threading.Event = field(default_factory=threading.Event)

    @property
    def scratch(self) -> Path:
        """Where the parts of running jobs are."""
        return self.cache.folder / ".parts"

    @property
    def locks(self) -> Path:
        """A file for each result that some process computes."""
        return self.cache.folder / ".locks"

    def kept(self, job: Job) -> Entry | None:
        """The finished result, where there is one and it may be used again."""
        if self.tasks[job.task].source is not None:
            return None
        return self.cache.read(job.key)


class Lane:
    """Jobs for so many workers. Threads start with the first job.

    Those who wait take turns: next is the first job of whoever was served longest ago, so that
    nobody's twenty imports hold up somebody else's one.
    """

    def __init__(self, name: str, workers: int, shop: Workshop):
        self.name = name
        self._workers = workers
        self._shop = shop
        self._waiting: list[Job] = []
        self._turns: collections.OrderedDict[str, None] = collections.OrderedDict()
        self.threads: tuple[threading.Thread, ...] = ()
        self._hires = True

    @property
    def serves(self) -> bool:
        """Whether its threads live and the latest worker could be started; so before there are any."""
        return self._hires and all(thread.is_alive() for thread in self.threads)

    # --- called under the lock --------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Queue a job."""
        self._waiting.append(job)
        self.staff()
        self._shop.changed.notify_all()

    def drop(self, job: Job) -> None:
        """Take a job out of the queue, if it still waits there."""
        if job in self._waiting:
            self._waiting.remove(job)

    def staff(self) -> None:
        """Start the threads that own the workers, unless they run already."""
        if self.threads:
            return
        self.threads = tuple(
            threading.Thread(target=self._serve, daemon=True, name=f"{self.name}-{i}")
            for i in range(self._workers)
        )
        for thread in self.threads:
            thread.start()

    # --- the threads ------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Take jobs one by one; one worker process at a time belongs to this thread."""
        worker = self._hire_ahead()
        try:
            while (taken := self._next()) is not None:
                job, lock = taken
                try:
                    if self._reuse(job):
                        continue
                    if worker is None or not worker.alive or self._too_full(worker, job):
                        worker = self._replace(worker)
                    if not self._run(job, worker):
                        # It died of something before this job; a fresh one has to answer for it.
                        worker = self._replace(worker)
                        self._run(job, worker, last=True)
                    if not worker.alive:
                        worker.kill()  # closes its pipes
                        worker = self._hire_ahead()
                except BackendError as error:
                    self._fail(job, str(error), error)
                except OSError as error:
                    self._fail(job, f"The worker could not be started: {error}.", error)
                except Exception as error:
                    log.exception("The manager of job %s failed", job)
                    said = f"This is a bug in Errorscope: {type(error).__name__}: {error}"
                    self._fail(job, said, error)
                finally:
                    lock.release()
        finally:
            if worker is not None:
                worker.kill()

    def _hire_ahead(self) -> WorkerProcess | None:
        """A worker before there is work, where that is wanted and possible."""
        if not self._shop.warm or self._shop.closed.is_set():
            return None
        try:
            return self._hire()
        except (OSError, BackendError) as error:
            # Whoever asks for work is told.
            log.warning("No worker could be started ahead of work: %s", error)
            return None

    def _fail(self, job: Job, said: str, error: Exception) -> None:
        with self._shop.changed:
            if not job.ended:
                job._end("failed", message="Failed", error=said, kind=type(error).__name__)

    def _replace(self, worker: WorkerProcess | None) -> WorkerProcess:
        if worker is not None:
            worker.kill()
        return self._hire()

    def _too_full(self, worker: WorkerProcess, job: Job) -> bool:
        """Whether what earlier work left in memory would count against a job that is bounded."""
        bound = self._shop.tasks[job.task].memory
        return bound is not None and (anonymous_bytes(worker.process.pid) or 0) > _FULL_BYTES

    def _hire(self) -> WorkerProcess:
        preload = PRELOAD[self.name] if self._shop.warm else ()
        try:
            worker = WorkerProcess(self._shop.home, preload, _NICE.get(self.name, 0))
        except (OSError, BackendError):
            self._hires = False
            raise
        self._hires = True
        return worker

    def _next(self) -> tuple[Job, Lock] | None:
        """The first queued job that no other process is computing, with its lock; None at the end."""
        shop = self._shop
        while not shop.closed.is_set():
            with shop.changed:
                jobs = self._in_turn()
            # A database may decide, and take its time: nobody else waits for it meanwhile.
            for job in jobs:
                lock = self._lock(job)
                if lock is None:
                    continue
                with shop.changed:
                    if job in self._waiting and not shop.closed.is_set():
                        self._waiting.remove(job)
                        self._serve_next(job)
                        return job, lock
                lock.release()
            with shop.changed:
                fresh = any(job not in jobs for job in self._waiting)
                if not shop.closed.is_set() and not fresh:
                    shop.changed.wait(_RETRY_LOCK_S if self._waiting else None)
        return None

    def _lock(self, job: Job) -> Lock | None:
        """A job's lock, unless another process has it."""
        lock = Lock(self._shop.locks / job.key)
        try:
            if lock.acquire():
                return lock
        except OSError as error:
            self.drop(job)
            folder = self._shop.cache.folder
            self._fail(job, f"Results cannot be kept in {folder}: {error}.", error)
            return None
        with self._shop.changed:
            if job in self._waiting:
                job.message = _WAITING_ELSEWHERE
        return None

    def _in_turn(self) -> list[Job]:
        """Waiting jobs, those of whoever was served longest ago first; else in order of arrival."""
        turn = {who: place for place, who in enumerate(self._turns)}
        return sorted(
            self._waiting,
            key=lambda job: min((turn.get(who, -1) for who in job.waiting), default=-1),
        )

    def _serve_next(self, job: Job) -> None:
        """Put those who wait for a job at the end of the line."""
        for who in job.waiting:
            self._turns[who] = None
            self._turns.move_to_end(who)
        while len(self._turns) > _REMEMBERED:
            self._turns.popitem(last=False)

    def _reuse(self, job: Job) -> bool:
        """Whether the job needs no computing, another process having finished it meanwhile."""
        if self._shop.kept(job) is None:
            return False
        with self._shop.changed:
            if not job.ended:
                job._end("done")
        return True

    def _run(self, job: Job, worker: WorkerProcess, *, last: bool = False) -> bool:
        """Have the worker compute a job; return when the worker is free or dead.

        False when it was dead before it began, unless this is the ``last`` attempt.
        """
        scratch = self._shop.scratch / job.id
        scratch.mkdir(parents=True)
        try:
            with self._shop.changed:
                if job.ended:
                    return True
                job._begin(worker)
                worker.order(self._order(job, scratch))
            for message in worker.messages(job.id):
                if message["type"] == "stillborn" and not last:
                    return False
                self._hear(job, message, scratch)
            return True
        finally:
            with self._shop.changed:
                job._worker = None
            shutil.rmtree(scratch, ignore_errors=True)

    def _order(self, job: Job, scratch: Path) -> dict[str, Any]:
        row = self._shop.tasks[job.task]
        return {
            "memory": row.memory and row.memory(job.options),
            "id": job.id,
            "task": job.task,
            "entry": row.entry,
            "digest": job.digest,
            "options": job.options,
            "home": str(self._shop.home),
            "key": job.key,
            "scratch": str(scratch),
        }

    def _hear(self, job: Job, message: Mapping[str, Any], scratch: Path) -> None:
        kind = message["type"]
        if kind == "part":
            try:
                part = read_folder(scratch / message["name"], f"{job.key}/{message['name']}")
            except DamagedEntry as damage:
                log.warning("A part of job %s cannot be shown: %s", job, damage)
            else:
                job._parts.append(part)
            return
        with self._shop.changed:
            if job.ended:
                return
            if kind == "progress":
                job._progress(message["fraction"], message["message"])
            elif kind == "done":
                job._end("done", message="Done")
            elif kind == "cancelled":
                job._end("cancelled", message="Cancelled")
            else:
                job.detail = message["detail"]
                kind = message.get("kind", "WorkerDied")
                job._end("failed", message="Failed", error=message["error"], kind=kind)
