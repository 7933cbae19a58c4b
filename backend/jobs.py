"""Long work in worker processes: asked for by key, computed once, watched and cancelled by many.

    >>> jobs = Jobs(warm=True)                                              # doctest: +SKIP
    >>> job = jobs.submit("spotlights", digest, {"size": 0.05}, watcher=me)  # doctest: +SKIP
    >>> job.state, job.fraction, job.message, len(job.partial())            # doctest: +SKIP
    >>> job.wait() and job.result()["weights"]                              # doctest: +SKIP

Each lane is a queue in order of arrival with its own workers: ``quick`` (imports, PCA: what a first
view waits for), ``compute`` (searches; ``workers`` of them) and ``background`` (UMAP, at low
priority). So a map appears while a search runs, and a minute of UMAP never holds up a search; two
searches side by side would only slow each other down, as one already uses all cores.
"""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from backend.cache import Cache, DamagedEntry, Entry, canonical, key_of, read_folder
from backend.core.errors import BackendError, InputError, JobCancelled, JobError
from backend.core.home import PROJECT, home_folder
from backend.tasks import PRELOAD, TASKS, Task, complete_options

log = logging.getLogger(__name__)

GRACE_S = 2.0
"""How long a cancelled worker may take to stop by itself before it is killed."""

SILENCE_S = 5.0
"""A watcher that used to report with ``Job.watch`` and was silent for so long has gone away."""

_REMEMBERED = 256
_RETRY_LOCK_S = 0.25
_STALE_S = 24 * 3600.0
_NICE = {"background": 10}
_WAITING_ELSEWHERE = "Waiting for another process that computes the same"


class Job:
    """One piece of work and everything a page shows of it. Made by ``Jobs.submit``.

    Attributes
    ----------
    key : str
        Name of the result in the cache.
    task, digest, options
        What was asked for; options are complete.
    state : str
        ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
    fraction : float
        Done so far, in [0, 1]; never falls.
    message : str
        What is being done, for a page.
    error, detail : str or None, str
        Why it failed, for people; and what to fold away below it.
    """

    def __init__(
        self, jobs: Jobs, key: str, task: str, digest: str, options: dict[str, Any], lane: str
    ):
        self.key = key
        self.task = task
        self.digest = digest
        self.options = options
        self.state = "queued"
        self.fraction = 0.0
        self.message = ""
        self.error: str | None = None
        self.detail = ""
        self.id = uuid.uuid4().hex
        self.lane = lane
        self._jobs = jobs
        self._parts: list[Entry] = []
        self._history: collections.deque[tuple[float, float]] = collections.deque(maxlen=120)
        self._watchers: dict[str, float | None] = {}
        self._known: set[str] = set()
        self._left: set[str] = set()
        self._over = threading.Event()
        self._worker: _Worker | None = None

    def __repr__(self) -> str:
        return f"<Job {self.task} {self.key[:12]} {self.state} {self.fraction:.0%}>"

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at the pace so far; None while nothing can be said."""
        if self.state != "running":
            return None
        return remaining_s(list(self._history), time.monotonic())

    @property
    def watchers(self) -> int:
        """How many still wait for it."""
        return len(self._jobs._present(self))

    def result(self) -> Entry:
        """The result, from the cache.

        Raises
        ------
        JobCancelled
            If the job was cancelled.
        JobError
            If it failed, has not ended, or its result was evicted or damaged since: ask again.
        """
        if self.state == "cancelled":
            raise JobCancelled(f"The task {self.task!r} was cancelled.")
        if self.state == "failed":
            raise JobError(self.error or "", self.detail)
        if self.state != "done":
            raise JobError(f"The task {self.task!r} has not ended. Wait for it.")
        entry = self._jobs.cache.read(self.key)
        if entry is None:
            raise JobError(f"The result of {self.task!r} is no longer kept. Ask for it again.")
        return entry

    def partial(self) -> list[Entry]:
        """Pieces of the result written so far, in order; they outlive a cancel or a failure."""
        return list(self._parts)

    def watch(self, watcher: str) -> None:
        """Say that ``watcher`` is (still) waiting. Pages call it whenever they poll."""
        self._jobs._watch(self, watcher)

    def left(self, watcher: str) -> bool:
        """Whether ``watcher`` cancelled while others still wait; ``Jobs.retry`` joins again."""
        return watcher in self._left

    def leave(self, watcher: str = "") -> None:
        """``watcher`` no longer wants the result; with the last one gone the work stops."""
        self._jobs._leave(self, watcher, remember=False)

    def cancel(self, watcher: str = "") -> None:
        """As ``leave``; and asking again under the same name neither joins nor starts it anew.

        ``Jobs.retry`` does. A page asks at every rerun, and would take its own cancel back.
        """
        self._jobs._leave(self, watcher, remember=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has ended, at most ``timeout`` seconds; whether it has."""
        return self._over.wait(timeout)


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
        self._slots = {"quick": 1, "compute": workers, "background": 1}
        self._warm = warm
        self._scratch = self.cache.folder / ".parts"
        self._locks = self.cache.folder / ".locks"
        for folder in (self._scratch, self._locks):
            folder.mkdir(exist_ok=True)
            _sweep(folder)
        # One lock for all state; its condition wakes the workers' threads.
        self._changed = threading.Condition()
        self._jobs: collections.OrderedDict[str, Job] = collections.OrderedDict()
        self._queues: dict[str, list[Job]] = {lane: [] for lane in self._slots}
        self._threads: dict[str, list[threading.Thread]] = {}
        self._closed = False
        if warm:
            with self._changed:
                self._staff("compute")
                self._staff("quick")

    def submit(
        self, task: str, digest: str, options: Mapping[str, Any] | None = None, watcher: str = ""
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
            Who waits for it.

        Raises
        ------
        InputError
            If the task or an option does not exist, or a value cannot be used.
        JobError
            If this manager is closed.
        """
        complete = canonical(complete_options(task, options or {}, self.tasks))
        row = self.tasks[task]
        source = row.source(complete) if row.source else digest
        key = key_of(task, source, complete, row.version)
        with self._changed:
            job = self._jobs.get(key)
            if job is None or self._is_spent(job, row, watcher):
                job = self._start(Job(self, key, task, digest, complete, row.lane(complete)))
            self._add_watcher(job, watcher)
            return job

    def retry(self, job: Job, watcher: str = "") -> Job:
        """Compute a job that failed or was cancelled again; one that still runs is joined."""
        with self._changed:
            latest = self._jobs.get(job.key, job)
            if latest.state in ("failed", "cancelled"):
                latest = self._start(
                    Job(self, job.key, job.task, job.digest, job.options, job.lane)
                )
            latest._left.discard(watcher)
            self._add_watcher(latest, watcher)
            return latest

    def get(self, key: str) -> Job | None:
        """The latest job under a key, if this process remembers one."""
        with self._changed:
            return self._jobs.get(key)

    def close(self) -> None:
        """Cancel everything and end the workers."""
        with self._changed:
            self._closed = True
            for job in list(self._jobs.values()):
                if not job.ended:
                    self._cancel(job)
            threads = [thread for lane in self._threads.values() for thread in lane]
            self._changed.notify_all()
        for thread in threads:
            thread.join()

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- state, always under the lock -------------------------------------------------------------

    def _start(self, job: Job) -> Job:
        if self._closed:
            raise JobError("The workers are shut down. Start the program again.")
        self._jobs[job.key] = job
        self._jobs.move_to_end(job.key)
        self._forget()
        if self.tasks[job.task].source is None and self.cache.read(job.key) is not None:
            self._end(job, "done")
        else:
            job.message = "Waiting for a worker"
            self._queues[job.lane].append(job)
            self._staff(job.lane)
            self._changed.notify_all()
        return job

    def _is_spent(self, job: Job, row: Task, watcher: str) -> bool:
        """Whether an ended job has to be computed again for this watcher."""
        if job.state == "done":
            return row.source is not None or self.cache.read(job.key) is None
        return job.ended and not (watcher and watcher in job._known)

    def _add_watcher(self, job: Job, watcher: str) -> None:
        if watcher in job._left:
            return
        job._watchers.setdefault(watcher, None)
        job._known.add(watcher)

    def _watch(self, job: Job, watcher: str) -> None:
        with self._changed:
            self._add_watcher(job, watcher)
            if watcher in job._watchers:
                job._watchers[watcher] = time.monotonic()

    def _leave(self, job: Job, watcher: str, *, remember: bool) -> None:
        with self._changed:
            job._watchers.pop(watcher, None)
            if remember:
                job._known.add(watcher)
                job._left.update({watcher} - {""})  # nobody in particular cannot come back
            else:
                job._known.discard(watcher)
            if not job.ended and not self._present(job):
                self._cancel(job)

    def _present(self, job: Job) -> list[str]:
        """Watchers that count: a closed or reloaded tab must not keep others from cancelling."""
        now = time.monotonic()
        return [
            watcher
            for watcher, heard in list(job._watchers.items())
            if heard is None or now - heard < SILENCE_S
        ]

    def _cancel(self, job: Job) -> None:
        if job in self._queues[job.lane]:
            self._queues[job.lane].remove(job)
        self._end(job, "cancelled", message="Cancelled")
        if job._worker is not None:
            job._worker.cancel(job.id, grace_s=0 if self._closed else GRACE_S)

    def _end(self, job: Job, state: str, *, message: str = "", error: str | None = None) -> None:
        job.state = state
        job.message = message or job.message
        job.error = error
        if state == "done":
            job.fraction = 1.0
        job._over.set()

    def _forget(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.ended]
        for key in ended[: max(0, len(self._jobs) - _REMEMBERED)]:
            del self._jobs[key]

    def _staff(self, lane: str) -> None:
        """Start the threads that own a lane's workers."""
        if lane not in self._threads:
            self._threads[lane] = [
                threading.Thread(target=self._serve, args=(lane,), daemon=True, name=f"{lane}-{i}")
                for i in range(self._slots[lane])
            ]
            for thread in self._threads[lane]:
                thread.start()

    # --- the threads that own the workers ---------------------------------------------------------

    def _serve(self, lane: str) -> None:
        """Take jobs of a lane one by one; one worker process at a time belongs to this thread."""
        worker = self._hire_ahead(lane)
        try:
            while (taken := self._next(lane)) is not None:
                job, lock = taken
                try:
                    if self._reuse(job):
                        continue
                    if worker is None or not worker.alive:
                        worker = self._replace(worker, lane)
                    if not self._run(job, worker):
                        # It died of something before this job; a fresh one has to answer for it.
                        worker = self._replace(worker, lane)
                        self._run(job, worker, last=True)
                    if not worker.alive:
                        worker.kill()  # closes its pipes
                        worker = self._hire_ahead(lane)
                except BackendError as error:
                    self._fail(job, str(error))
                except OSError as error:
                    self._fail(job, f"The worker could not be started: {error}.")
                except Exception as error:
                    log.exception("The manager of job %s failed", job)
                    self._fail(job, f"This is a bug in Errorscope: {type(error).__name__}: {error}")
                finally:
                    lock.release()
        finally:
            if worker is not None:
                worker.kill()

    def _hire_ahead(self, lane: str) -> _Worker | None:
        """A worker before there is work, where that is wanted and possible."""
        if not self._warm or self._closed:
            return None
        try:
            return self._hire(lane)
        except (OSError, BackendError) as error:
            # Whoever asks for work is told.
            log.warning("No worker could be started ahead of work: %s", error)
            return None

    def _fail(self, job: Job, error: str) -> None:
        with self._changed:
            if not job.ended:
                self._end(job, "failed", message="Failed", error=error)

    def _replace(self, worker: _Worker | None, lane: str) -> _Worker:
        if worker is not None:
            worker.kill()
        return self._hire(lane)

    def _hire(self, lane: str) -> _Worker:
        return _Worker(self.home, PRELOAD[lane] if self._warm else (), _NICE.get(lane, 0))

    def _next(self, lane: str) -> tuple[Job, FileLock] | None:
        """The first queued job that no other process is computing, with its lock; None at the end."""
        waiting = self._queues[lane]
        with self._changed:
            while not self._closed:
                for job in list(waiting):
                    lock = FileLock(self._locks / job.key)
                    try:
                        lock.acquire(timeout=0)
                    except Timeout:
                        job.message = _WAITING_ELSEWHERE
                        continue
                    except OSError as error:
                        waiting.remove(job)
                        self._fail(job, f"Results cannot be kept in {self.cache.folder}: {error}.")
                        continue
                    waiting.remove(job)
                    return job, lock
                self._changed.wait(_RETRY_LOCK_S if waiting else None)
        return None

    def _reuse(self, job: Job) -> bool:
        """Whether the job needs no computing, another process having finished it meanwhile."""
        if self.tasks[job.task].source is not None or self.cache.read(job.key) is None:
            return False
        with self._changed:
            if not job.ended:
                self._end(job, "done")
        return True

    def _run(self, job: Job, worker: _Worker, *, last: bool = False) -> bool:
        """Have the worker compute a job; return when the worker is free or dead.

        False when it was dead before it began, unless this is the ``last`` attempt.
        """
        scratch = self._scratch / job.id
        scratch.mkdir(parents=True)
        try:
            with self._changed:
                if job.ended:
                    return True
                job.state, job.message, job._worker = "running", "Starting", worker
                worker.order(job, self.tasks[job.task].entry, self.home, scratch)
            for message in worker.messages(job.id):
                if message["type"] == "stillborn" and not last:
                    return False
                self._hear(job, message, scratch)
            return True
        finally:
            with self._changed:
                job._worker = None
            shutil.rmtree(scratch, ignore_errors=True)

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
        with self._changed:
            if job.ended:
                return
            if kind == "progress":
                job.fraction = max(job.fraction, message["fraction"])
                job.message = message["message"]
                job._history.append((time.monotonic(), job.fraction))
            elif kind == "done":
                self._end(job, "done", message="Done")
            elif kind == "cancelled":
                self._end(job, "cancelled", message="Cancelled")
            else:
                job.detail = message["detail"]
                self._end(job, "failed", message="Failed", error=message["error"])


class _Worker:
    """One worker process, its pipes, and the threads that drain them."""

    def __init__(self, home: Path, preload: tuple[str, ...], nice: int):
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._said: collections.deque[str] = collections.deque(maxlen=60)
        self._deadline: float | None = None
        self._gone = False
        self.process = subprocess.Popen(
            # -P keeps the current folder, which may hold a torch.py, out of the import path.
            [sys.executable, "-P", "-X", "faulthandler", "-m", "backend.worker", f"--nice={nice}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(home),
            start_new_session=True,
        )
        self._errors = threading.Thread(target=self._drain_errors, daemon=True)
        self._errors.start()
        threading.Thread(target=self._drain_messages, daemon=True).start()
        if preload:
            self._send({"preload": list(preload)})

    @property
    def alive(self) -> bool:
        return not self._gone and self.process.poll() is None

    def order(self, job: Job, entry: str, home: Path, scratch: Path) -> None:
        self._deadline = None
        self._send(
            {
                "id": job.id,
                "task": job.task,
                "entry": entry,
                "digest": job.digest,
                "options": job.options,
                "home": str(home),
                "key": job.key,
                "scratch": str(scratch),
            }
        )

    def cancel(self, job_id: str, grace_s: float) -> None:
        """Ask the worker to stop; ``messages`` kills it if it does not obey."""
        self._deadline = time.monotonic() + grace_s
        self._send({"cancel": job_id})
        self._inbox.put({"id": job_id, "type": "wake"})

    def messages(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Messages about one job, the last of which says how it ended.

        That is ``done``, ``failed`` or ``cancelled``; or ``stillborn``, a failure of a worker that
        never took the job up.
        """
        begun = False
        while True:
            left = None if self._deadline is None else self._deadline - time.monotonic()
            try:
                message = self._inbox.get(timeout=None if left is None else max(0.0, left))
            except queue.Empty:
                log.warning("Worker %s did not stop in time and is killed", self.process.pid)
                self.kill()
                yield {"type": "cancelled"}
                return
            if message is None:
                self.kill()
                self._errors.join(timeout=1)
                yield {"type": "failed" if begun else "stillborn", **self._obituary()}
                return
            if message.get("id") != job_id or message["type"] == "wake":
                continue
            begun = True
            if message["type"] != "begun":
                yield message
            if message["type"] in ("done", "failed", "cancelled"):
                return

    def kill(self) -> None:
        """End the process and everything it started; harmless for one that is dead."""
        self._gone = True
        if self.process.returncode is None:  # else its number may belong to somebody else by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        with contextlib.suppress(OSError):
            if self.process.stdin:
                self.process.stdin.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        # A worker that has just died is noticed where its messages are read.
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def _drain_messages(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                # A worker that is killed while it writes leaves half a line.
                with contextlib.suppress(ValueError):
                    self._inbox.put(json.loads(line))
        self._inbox.put(None)

    def _drain_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                self._said.append(text)
                log.info("worker %s: %s", self.process.pid, text)

    def _obituary(self) -> dict[str, str]:
        """Why there will be no more messages."""
        code = self.process.returncode
        if code == -signal.SIGKILL:
            error = (
                "The worker was killed by the system, most often because memory ran out. Close "
                "other programs, use a smaller bundle or fewer starts, then start it again."
            )
        else:
            how = f"signal {-code} ({_signal_name(-code)})" if code < 0 else f"exit code {code}"
            error = f"The worker stopped unexpectedly with {how}. Start it again; see the details."
        return {"error": error, "detail": "\n".join(self._said)}


def remaining_s(history: list[tuple[float, float]], now: float) -> float | None:
    """Seconds left, from (time, fraction) reports: the pace of the recent half continues.

    None with fewer than two reports that differ, or less than half a second between them.
    """
    if len(history) < 2:
        return None
    last_time, last = history[-1]
    recent = next(item for item in history if item[1] >= last / 2)
    first_time, first = history[0] if recent[1] == last else recent
    if last <= first or last_time - first_time < 0.5:
        return None
    pace = (last - first) / (last_time - first_time)
    return max(0.0, (1 - last) / pace - (now - last_time))


def _environment(home: Path) -> dict[str, str]:
    """The worker's environment: this home, this code, and the cores it may use."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "ERRORSCOPE_HOME": str(home), "PYTHONPATH": path}
    threads = os.environ.get("ERRORSCOPE_THREADS")
    if threads:
        if not threads.isdecimal() or int(threads) < 1:
            raise InputError(f"ERRORSCOPE_THREADS must be a positive number: got {threads!r}.")
        # Read by torch, numpy's BLAS and numba when they are first loaded.
        names = ("OMP", "MKL", "OPENBLAS", "NUMBA")
        environment |= {f"{name}_NUM_THREADS": threads for name in names}
    return environment


def _sweep(folder: Path) -> None:
    """Remove what servers that were killed left behind a day ago or longer."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
