"""How much memory reading a foreign file may take, and the system's word that it takes no more.

A file says how large it is once unpacked, and a hostile one lies. So nothing here estimates: the
operating system refuses memory beyond the allowance (``RLIMIT_DATA``), which surfaces as a
``MemoryError`` where it was asked for, and a thread that looks at the memory in use ends the process
where that is not enough. Files that are mapped do not count: their pages are given back when needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # Windows: only what readers count themselves is bounded
    resource = None  # type: ignore[assignment]

MULTIPLE = 4
"""Bytes of memory for each byte of a file that is read."""
FREE_BYTES = 2**30
"""Memory on top of that, the program's own included."""

LIBRARY_BYTES = 192 * 2**20
"""Of which so much is for the libraries of this program, which are mapped files as well."""

_STACK_BYTES = 16 * 2**20
"""Address space of the threads of each core, which is granted and hardly held."""
_LOOK_EVERY_S = 0.02
_STATUS = Path("/proc")
_REFUSALS = (
    "can't allocate memory",
    "cannot allocate memory",
    "std::bad_alloc",
    "not enough memory",
    "out of memory",
    "can't start new thread",
)
"""How libraries say so whose errors are not of a class of their own, lower case."""


def allowance(path: Path) -> int:
    """Bytes of memory for reading a file, or all files of a folder."""
    return MULTIPLE * bytes_of(path) + FREE_BYTES


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder together; what vanishes meanwhile counts as 0.

    A file that stands in several places of the folder takes its room once.
    """
    total, folders, several = 0, [str(path)], set()
    with contextlib.suppress(OSError):
        if not path.is_dir():
            return path.stat().st_size
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as found:
            for one in found:
                if one.is_dir(follow_symlinks=False):
                    folders.append(one.path)
                    continue
                told = one.stat(follow_symlinks=False)
                if told.st_nlink > 1:
                    if (told.st_dev, told.st_ino) in several:
                        continue
                    several.add((told.st_dev, told.st_ino))
                total += told.st_size
    return total


def needs_more(allowed: int) -> str:
    """The sentence about work that ran into its allowance: what it may take, and what to do."""
    return (
        f"reading it needs more than the {allowed / 2**30:.1f} GiB of memory that it is given, "
        f"{MULTIPLE} times its size and {FREE_BYTES // 2**30} GiB."
    )


ADVICE = "Save it without compression, split it, or import a folder of .npy files: they are mapped."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was refused; torch and C++ have no class for it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError | OSError | ImportError) and any(
        word in str(error).lower() for word in _REFUSALS
    )


def anonymous_bytes(pid: int | None = None) -> int | None:
    """Memory that a process holds and that is no file; None where the system does not say."""
    return _kilobytes("RssAnon", pid)


def peak_bytes(pid: int) -> int | None:
    """Most memory that a process held, files that it maps included; None where nothing says."""
    return _kilobytes("VmHWM", pid)


def forget_peak() -> None:
    """Have the peak of this process count from what it holds now, where the system can."""
    with contextlib.suppress(OSError):
        (_STATUS / "self" / "clear_refs").write_text("5")


@contextlib.contextmanager
def bounded(allowed: int, over: Callable[[], None]) -> Iterator[None]:
    """Hold this process to ``allowed`` bytes of memory that is no file, while inside.

    Parameters
    ----------
    allowed : int
        For all that the process holds, what it held before included, and its libraries.
    over : callable
        Called once, from another thread, should it hold more all the same: memory that was granted
        earlier and is touched now is out of the limit's reach. It has to end the process.
    """
    _give_back()
    held, granted = anonymous_bytes(), _kilobytes("VmData", None)
    if resource is None or held is None or granted is None:
        yield
        return
    allowed -= LIBRARY_BYTES
    before = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = granted + max(0, allowed - held) + (os.cpu_count() or 1) * _STACK_BYTES
    ceilings = [one for one in (wanted, *before) if one != resource.RLIM_INFINITY]
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(_LOOK_EVERY_S):
            if (anonymous_bytes() or 0) > allowed:
                over()
                return

    watch = threading.Thread(target=look, daemon=True, name="memory")
    watch.start()
    resource.setrlimit(resource.RLIMIT_DATA, (min(ceilings), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
        stop.set()
        watch.join()


def _give_back() -> None:
    """Return what was freed to the system, so that it is not counted against what comes."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _kilobytes(field: str, pid: int | None) -> int | None:
    try:
        told = (_STATUS / ("self" if pid is None else str(pid)) / "status").read_text()
    except OSError:
        return None
    for line in told.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None
