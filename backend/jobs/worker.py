"""The process that does long work: ``python -m backend.jobs.worker``, started by ``backend.jobs``.

One JSON object per line in both directions. In:

    {"preload": ["module", ...]}          import these while nobody waits
    {"id", "task", "entry", "digest", "options", "home", "key", "scratch"}      work, which may also
                                          have "memory", the bytes that this process may hold
    {"cancel": id}                        stop that work at its next report of progress

Out, each with ``id``: ``begun``, ``progress`` (fraction, message), ``part`` (name of a folder in ``scratch``),
then one of ``done``, ``cancelled`` or ``failed`` (error, detail, kind). Results go to the cache,
never through the pipe. Work that goes beyond its memory ends the process. The end of stdin means
that the server is gone, and ends the process at once, in the middle of a computation too.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from backend.cache import Cache, write_folder
from backend.core.errors import BackendError, BundleError, JobCancelled, JobError
from backend.core.home import is_full
from backend.core.memory import ADVICE, bounded, forget_peak, is_out_of_memory, needs_more

OUT_OF_MEMORY = (
    "There was not enough memory for this. Close other programs, use a smaller bundle or fewer "
    "starts, or run it on a machine with more memory."
)
OVER_MEMORY = 77
"""Exit code of a worker that held more memory than its work may have."""
DISK_FULL = (
    "The disk is full: what was computed cannot be kept. Free some space in the home folder "
    "(ERRORSCOPE_HOME) or among the temporary files, then start it again."
)
_REPORT_EVERY_S = 0.05
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux' prctl


class Channel:
    """The two ends of the pipe, out of reach of whatever the work prints or reads."""

    def __init__(self) -> None:
        self._in = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self._out = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._writing = threading.Lock()
        self.cancelled: set[str] = set()
        self.orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def send(self, **message: Any) -> None:
        """One line to the server."""
        line = json.dumps(message).encode() + b"\n"
        with self._writing:
            while line:
                line = line[os.write(self._out, line) :]

    def listen(self) -> None:
        """Take lines in until the server is gone; then end this process and all it started."""
        for line in self._in:
            order = json.loads(line)
            if "cancel" in order:
                self.cancelled.add(order["cancel"])
            else:
                self.orders.put(order)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


class Reporter:
    """What a task is handed: a progress callback and a place for parts."""

    def __init__(self, channel: Channel, order: Mapping[str, Any]):
        self._channel = channel
        self._id: str = order["id"]
        self._scratch = Path(order["scratch"])
        self._parts = 0
        self._sent = (-1.0, "")
        self._sent_at = 0.0

    def progress(self, fraction: float, message: str) -> None:
        """Tell the server, at most twenty times a second; raise when it wants the work to stop."""
        if self._id in self._channel.cancelled:
            raise JobCancelled()
        now = time.monotonic()
        fraction = min(1.0, max(0.0, float(fraction)))
        if message == self._sent[1] and now - self._sent_at < _REPORT_EVERY_S:
            return
        if (fraction, message) != self._sent:
            self._channel.send(id=self._id, type="progress", fraction=fraction, message=message)
            self._sent, self._sent_at = (fraction, message), now

    def part(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Write a piece of the result where the server can read it, then say so."""
        name = f"part-{self._parts:05d}"
        unfinished = self._scratch / f".{name}"
        write_folder(unfinished, arrays, meta)
        unfinished.rename(self._scratch / name)
        self._parts += 1
        self._channel.send(id=self._id, type="part", name=name)


def work(order: Mapping[str, Any], channel: Channel) -> None:
    """Run one task and keep its result."""
    allowed = order.get("memory")
    if allowed is None:
        _work(order, Reporter(channel, order))
        return

    def over() -> None:
        error = BundleError(too_much(allowed))
        channel.send(id=order["id"], type="failed", **explain(error))
        os._exit(OVER_MEMORY)

    try:
        with bounded(allowed, over):
            _work(order, Reporter(channel, order))
    except Exception as error:
        if isinstance(error, BackendError) or not is_out_of_memory(error):
            raise
        raise JobError(too_much(allowed), "".join(traceback.format_exception(error))) from error


def too_much(allowed: int) -> str:
    """What is said of an upload that needs more memory than it may have."""
    return f"The upload was given up: {needs_more(allowed)} {ADVICE}"


def _work(order: Mapping[str, Any], reporter: Reporter) -> None:
    bundle = None
    if order["digest"]:
        from backend.bundle import open_bundle

        bundle = open_bundle(order["digest"], order["home"])
    arrays, meta = entry_point(order["entry"])(
        bundle, dict(order["options"]), reporter.progress, reporter.part
    )
    Cache(order["home"]).write(order["key"], arrays, meta)


def entry_point(text: str) -> Callable[..., Any]:
    """The function that ``module:function`` names."""
    module, _, name = text.partition(":")
    function = getattr(import_module(module), name, None)
    if not callable(function):
        raise JobError(f"A task must be given as module:function: got {text!r}.")
    return function


def attempt(order: Mapping[str, Any], channel: Channel) -> None:
    """Run one order and tell how it ended, whatever it raises."""
    forget_peak()
    channel.send(id=order["id"], type="begun")
    try:
        work(order, channel)
    except JobCancelled:
        channel.send(id=order["id"], type="cancelled")
    except BaseException as error:
        channel.send(id=order["id"], type="failed", **explain(error))
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
    else:
        channel.send(id=order["id"], type="done")
    finally:
        channel.cancelled.discard(order["id"])


def explain(error: BaseException) -> dict[str, str]:
    """``error`` for people, ``detail`` for a folded view, ``kind`` the class."""
    kind = type(error).__name__
    if isinstance(error, BackendError):
        return {"error": str(error), "detail": getattr(error, "detail", ""), "kind": kind}
    detail = "".join(traceback.format_exception(error))
    if is_out_of_memory(error):
        return {"error": OUT_OF_MEMORY, "detail": detail, "kind": "MemoryError"}
    if is_full(error):
        return {"error": DISK_FULL, "detail": detail, "kind": kind}
    return {
        "error": f"This is a bug in Errorscope: {kind}: {error}",
        "detail": detail,
        "kind": kind,
    }


def die_with_parent() -> None:
    """Have Linux kill this process when the server dies.

    The reader thread notices the same by the end of stdin, but only once it gets hold of the
    interpreter, which compiled code may keep for minutes.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="backend.jobs.worker", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--nice", type=int, default=0, help="give way to other processes")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    if arguments.nice:
        os.nice(arguments.nice)
    channel = Channel()
    threading.Thread(target=channel.listen, daemon=True).start()
    channel.send(type="ready")
    while True:
        order = channel.orders.get()
        if "preload" in order:
            for module in order["preload"]:
                try:
                    import_module(module)
                except Exception:
                    # Whoever asks for work that needs it is told; this goes to the server's log.
                    traceback.print_exc()
        else:
            attempt(order, channel)


if __name__ == "__main__":
    main()
