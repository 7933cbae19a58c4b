"""One piece of work, as a page sees it."""

from __future__ import annotations

import collections
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from backend.cache import Cache, Entry
from backend.core.errors import JobCancelled, JobError
from backend.core.journal import tell
from backend.core.memory import peak_bytes
from backend.jobs.process import WorkerProcess

SILENCE_S = 5.0
"""A watcher that used to report with ``Job.watch`` and was silent for so long has gone away."""


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
    person : str
        Who asked for it first, if that is known.
    error, detail : str or None, str
        Why it failed, for people; and what to fold away below it.
    """

    def __init__(
        self,
        key: str,
        task: str,
        digest: str,
        options: dict[str, Any],
        lane: str,
        *,
        cache: Cache,
        lock: threading.Condition,
        stop: Callable[[Job], None],
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
        self.person = ""
        self._cache = cache
        self._lock = lock
        self._stop = stop
        self._parts: list[Entry] = []
        self._history: collections.deque[tuple[float, float]] = collections.deque(maxlen=120)
        self._watchers: dict[str, float | None] = {}
        self._known: set[str] = set()
        self._left: set[str] = set()
        self._over = threading.Event()
        self._worker: WorkerProcess | None = None
        self._began: float | None = None

    def __repr__(self) -> str:
        return f"<Job {self.task} {self.key[:12]} {self.state} {self.fraction:.0%}>"

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")

    @property
    def waiting(self) -> list[str]:
        """Who waits for it."""
        return list(self._watchers)

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at the pace so far; None while nothing can be said."""
        if self.state != "running":
            return None
        return remaining_s(list(self._history), time.monotonic())

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
        entry = self._cache.read(self.key)
        if entry is None:
            raise JobError(f"The result of {self.task!r} is no longer kept. Ask for it again.")
        return entry

    def partial(self) -> list[Entry]:
        """Pieces of the result written so far, in order; they outlive a cancel or a failure."""
        return list(self._parts)

    def watch(self, watcher: str) -> None:
        """Say that ``watcher`` is (still) waiting. Pages call it whenever they poll."""
        with self._lock:
            self._add_watcher(watcher)
            if watcher in self._watchers:
                self._watchers[watcher] = time.monotonic()

    def left(self, watcher: str) -> bool:
        """Whether ``watcher`` cancelled while others still wait; ``Jobs.retry`` joins again."""
        return watcher in self._left

    def cancel(self, watcher: str = "") -> None:
        """``watcher`` no longer wants the result; with the last one gone the work stops.

        Asking again under the same name neither joins nor starts it anew; ``Jobs.retry`` does. A
        page asks at every rerun, and would take its own cancel back.
        """
        with self._lock:
            self._watchers.pop(watcher, None)
            self._known.add(watcher)
            self._left.update({watcher} - {""})  # nobody in particular cannot come back
            if not self.ended and not self._waited_for():
                self._stop(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has ended, at most ``timeout`` seconds; whether it has."""
        return self._over.wait(timeout)

    # --- for the manager and the lanes, which hold the lock ---------------------------------------

    def _add_watcher(self, watcher: str) -> None:
        if watcher in self._left:
            return
        self._watchers.setdefault(watcher, None)
        self._known.add(watcher)

    def _waited_for(self) -> bool:
        """Whether anybody waits: a closed or reloaded tab must not keep others from cancelling."""
        now = time.monotonic()
        return any(heard is None or now - heard < SILENCE_S for heard in self._watchers.values())

    def _begin(self, worker: WorkerProcess) -> None:
        """Be taken up by a worker, which may be the second one."""
        self.state, self.message, self._worker = "running", "Starting", worker
        if self._began is None:
            self._began = time.monotonic()
            tell("job started", task=self.task, digest=self.digest or None)

    def _end(
        self, state: str, *, message: str = "", error: str | None = None, kind: str = ""
    ) -> None:
        if self._began is not None or state != "done":  # what is kept already is no news
            self._tell(state, kind)
        self.state = state
        self.message = message or self.message
        self.error = error
        if state == "done":
            self.fraction = 1.0
        self._over.set()

    def _tell(self, state: str, kind: str) -> None:
        """Write down how it ends; ``kind`` is the class of what was raised."""
        refused = self.task == "import" and kind in ("BundleError", "InputError")
        tell(
            "import refused" if refused else f"job {'finished' if state == 'done' else state}",
            task=self.task,
            digest=self.digest or None,
            reason=kind or None,
            seconds=None if self._began is None else time.monotonic() - self._began,
            peak_bytes=None if self._worker is None else peak_bytes(self._worker.process.pid),
        )

    def _progress(self, fraction: float, message: str) -> None:
        self.fraction = max(self.fraction, fraction)
        self.message = message
        self._history.append((time.monotonic(), self.fraction))


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
