"""Gathering what is wrong with an upload, and turning parser failures into sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from backend.bundle.limits import MAX_ARRAYS, MAX_FAULTS
from backend.core.errors import BackendError, BundleError, Fault, Reading
from backend.core.memory import is_out_of_memory


class Named(Protocol):
    """What a fault can be about: a part of a file, under a name that people know."""

    @property
    def file(self) -> str: ...

    @property
    def field(self) -> str: ...


class Faults:
    """Faults found so far. Checks go on after the first one, so that a person sees them all.

    Long checks call ``still_here``, through which a caller shows progress or stops them by raising.
    """

    def __init__(self, still_here: Callable[[], None] = lambda: None) -> None:
        self.found: list[Fault] = []
        self._known: set[Fault] = set()
        self.still_here = still_here

    def add(
        self,
        file: str,
        field: str,
        row: int | None,
        problem: str,
        advice: str,
        readings: tuple[Reading, ...] = (),
    ) -> None:
        """Note one fault; the same one is kept once."""
        self._keep(Fault(file, field, None if row is None else int(row), problem, advice, readings))

    def about(
        self,
        entry: Named,
        problem: str,
        advice: str,
        *,
        row: int | None = None,
        readings: tuple[Reading, ...] = (),
    ) -> None:
        """Note one fault of an entry."""
        self.add(entry.file, entry.field, row, problem, advice, readings)

    def _keep(self, fault: Fault) -> None:
        if fault not in self._known and len(self._known) < MAX_FAULTS:
            self._known.add(fault)
            self.found.append(fault)

    def keep(self, found: Iterable[Fault]) -> None:
        """Note faults that were found elsewhere."""
        for fault in found:
            self._keep(fault)

    @contextmanager
    def gathered(self, but: type[BundleError] | tuple[()] = ()) -> Iterator[None]:
        """Keep the faults of a ``BundleError`` raised inside, and go on; ``but`` passes through."""
        try:
            yield
        except but:
            raise
        except BundleError as error:
            self.keep(error.faults)

    def raise_any(self) -> None:
        """Raise one ``BundleError`` with everything found, if anything was."""
        if self.found:
            raise BundleError(self.found)


def refuse(file: str, field: str, row: int | None, problem: str, advice: str) -> BundleError:
    """The error for a single fault, to be raised by the caller."""
    return BundleError(Fault(file, field, None if row is None else int(row), problem, advice))


def check_count(arrays: int, file: str) -> None:
    """Raise ``BundleError`` for more arrays than are looked at."""
    if arrays > MAX_ARRAYS:
        problem = f"it holds {arrays} arrays, at most {MAX_ARRAYS} are read."
        raise refuse(file, "", None, problem, "Put columns into one table, and leave out the rest.")


@contextmanager
def parsing(file: str, what: str, advice: str, field: str = "") -> Iterator[None]:
    """Turn whatever a parser raises on foreign bytes into a ``BundleError`` naming ``file``.

    Parsers of numpy, pyarrow, zipfile and Pillow raise anything from ``struct.error`` to
    ``RecursionError`` on damaged input, so the net is wide; it is cast around single parser calls
    only. Errors of our own, cancellation among them, pass through, and so does want of memory:
    it is about the whole upload, and trying its next part would only find the same.
    """
    try:
        yield
    except BackendError:
        raise
    except FileNotFoundError as error:
        raise refuse(file, field, None, "the file is not there.", "Check the path.") from error
    except PermissionError as error:
        raise refuse(
            file,
            field,
            None,
            "the file may not be read.",
            "Allow reading it, or copy it elsewhere.",
        ) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(f"{file}: {what}") from error
        reason = " ".join(_without_advice(str(error)).split())[:200] or type(error).__name__
        raise refuse(file, field, None, f"{what} cannot be read ({reason}).", advice) from error


_THEIR_ADVICE = ("To allow loading", "Re-running `torch.load`", "In PyTorch 2.6")


def _without_advice(reason: str) -> str:
    """What a library found, without what it recommends: to trust the file and run what is in it."""
    for words in _THEIR_ADVICE:
        reason = reason.partition(words)[0]
    return reason
