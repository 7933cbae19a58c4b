"""The process that computes, as its owner in the server sees it: started, talked to, ended."""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.core.errors import InputError
from backend.core.home import PROJECT
from backend.core.memory import ADVICE, is_out_of_memory, needs_more

log = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process, its pipes, and the threads that drain them."""

    def __init__(self, home: Path, preload: tuple[str, ...], nice: int):
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._said: collections.deque[str] = collections.deque(maxlen=60)
        self._allowed: int | None = None
        self._deadline: float | None = None
        self._gone = False
        self.process = subprocess.Popen(
            # -P keeps the current folder, which may hold a torch.py, out of the import path.
            [
                sys.executable,
                "-P",
                "-X",
                "faulthandler",
                "-m",
                "backend.jobs.worker",
                f"--nice={nice}",
            ],
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

    def order(self, work: Mapping[str, Any]) -> None:
        """Hand over work, in the words of ``backend.jobs.worker``."""
        self._deadline = None
        self._allowed = work.get("memory")
        if self.alive:  # what one that is dead said last tells why
            self._said.clear()
        self._send(work)

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
        said = RuntimeError("\n".join(self._said))
        if self._allowed is not None and (code == -signal.SIGKILL or is_out_of_memory(said)):
            error = (
                f"The worker died of this upload: {needs_more(self._allowed)} {ADVICE} Other work "
                "goes on in a new one."
            )
        elif code == -signal.SIGKILL:
            error = (
                "The worker was killed by the system, most often because memory ran out. Close "
                "other programs, use a smaller bundle or fewer starts, then start it again."
            )
        else:
            how = f"signal {-code} ({_signal_name(-code)})" if code < 0 else f"exit code {code}"
            error = f"The worker stopped unexpectedly with {how}. Start it again; see the details."
        return {"error": error, "detail": "\n".join(self._said)}


def _environment(home: Path) -> dict[str, str]:
    """The worker's environment: this home, this code, and the cores it may use."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "ERRORSCOPE_HOME": str(home), "PYTHONPATH": path}
    # Arrow's own allocator asks for a GiB ahead, which would count as memory that is held.
    environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    threads = os.environ.get("ERRORSCOPE_THREADS")
    if threads:
        if not threads.isdecimal() or int(threads) < 1:
            raise InputError(f"ERRORSCOPE_THREADS must be a positive number: got {threads!r}.")
        # Read by torch, numpy's BLAS and numba when they are first loaded.
        names = ("OMP", "MKL", "OPENBLAS", "NUMBA")
        environment |= {f"{name}_NUM_THREADS": threads for name in names}
    return environment


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
