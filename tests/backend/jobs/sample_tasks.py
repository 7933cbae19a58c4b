"""Tasks for the tests of jobs and workers, run in real worker processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from backend.core.errors import InputError


def echo(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    """Count the call in a file, then return the options."""
    if options.get("count"):
        with Path(options["count"]).open("a") as file:
            file.write("x")
    return {"numbers": np.arange(4)}, {"options": options, "pid": os.getpid()}


def patient(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    """Report until the file ``until`` exists, then return; parts first."""
    for index in range(options.get("parts", 0)):
        part({"index": np.array([index])}, {"index": index})
    turn = 0
    while not Path(options["until"]).exists():
        turn += 1
        progress(0.1 + 0.8 * turn / (turn + 10), "waiting for the file")
        time.sleep(0.02)
    return echo(bundle, options, progress, part)


def stubborn(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    """Say once that it runs, then hear nothing more; hold the interpreter too."""
    part({"pid": np.array([os.getpid()])}, {})
    progress(0.1, "deaf")
    ctypes.PyDLL(None).sleep(60)  # PyDLL keeps the interpreter lock: no thread runs meanwhile
    return {}, {}


def refuse(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    raise InputError("size must be above 0: got -1.")


def bug(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    raise KeyError("forgotten")


def hungry(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    raise MemoryError


def die(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    print("last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), getattr(signal, options["signal"]))
    return {}, {}


def chatty(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    """Print and read where the protocol could be; interrupt itself as Ctrl-C would."""
    print('{"type": "done"}', flush=True)
    os.write(1, b"not json\n")
    os.kill(os.getpid(), signal.SIGINT)
    return {}, {"read": sys.stdin.read()}


def odd(bundle: Any, options: dict[str, Any], progress: Any, part: Any) -> Any:
    """A result that cannot be kept."""
    return {"objects": np.array([object()])}, {}
