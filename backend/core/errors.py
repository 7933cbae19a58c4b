"""Everything the backend can refuse, drawn as a tree.

    BackendError
    ├── AccessError      somebody may not do what they asked for
    ├── InputError       a function was called with something it cannot use (also a ValueError)
    ├── BundleError      an upload or a stored bundle is not what it should be; carries its faults
    ├── CacheError       a stored result cannot be written
    ├── HomeError        a folder of Errorscope cannot be written (also an OSError)
    ├── JobError         background work failed; carries the detail
    │   └── JobCancelled     ... because somebody asked it to stop
    ├── RankError        another process of a shared search failed, or has other data
    └── StoreError       tags and events cannot be read or written

Pages show the text of a ``BackendError``; anything else is a bug and should look like one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


class BackendError(Exception):
    """Root of all errors whose text is meant for the person who caused them."""


class AccessError(BackendError):
    """Somebody may not see or do this. The text tells nothing of what they may not see."""


class InputError(BackendError, ValueError):
    """An argument has the wrong shape, type or value. The text names it and says what came."""


@dataclass(frozen=True)
class Reading:
    """One of several ways to read an upload, of which somebody has to choose.

    Parameters
    ----------
    words : str
        What it means, for people.
    field, column : str
        What says so to an import: ``columns={field: column}``, or ``--map field=column``.
    """

    words: str
    field: str
    column: str


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a bundle: where it is, what is wrong, what to do.

    Parameters
    ----------
    file : str
        File inside the upload, or the upload itself.
    field : str
        Column or array; empty when the file as a whole is at fault.
    row : int or None
        First row at fault, counted from 0 like the arrays; None when no single row is.
    problem : str
        What was needed and what came.
    advice : str
        The one next step.
    readings : tuple of Reading
        Where the step is to choose: between what.
    """

    file: str
    field: str
    row: int | None
    problem: str
    advice: str
    readings: tuple[Reading, ...] = ()

    def __str__(self) -> str:
        where = self.file
        if self.field:
            where += f", {self.field}"
        if self.row is not None:
            where += f", row {self.row}"
        return f"{where}: {self.problem} {self.advice}".strip()

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


class BundleError(BackendError):
    """A bundle was refused. ``faults`` lists every reason found, in file order."""

    def __init__(self, faults: Iterable[Fault] | Fault | str):
        if isinstance(faults, str):
            faults = [Fault("", "", None, faults, "")]
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault).removeprefix(": ") for fault in self.faults))


class CacheError(BackendError):
    """A result could not be kept."""


class HomeError(BackendError, OSError):
    """A folder that Errorscope keeps something in cannot be made or written."""


class JobError(BackendError):
    """Background work failed. ``detail`` holds what the worker printed, for a folded view."""

    def __init__(self, message: str, detail: str = ""):
        super().__init__(message)
        self.detail = detail


class JobCancelled(JobError):
    """Background work was asked to stop, and did."""

    def __init__(self, message: str = "Cancelled."):
        super().__init__(message)


class RankError(BackendError):
    """Processes that share a search cannot go on together."""


class StoreError(BackendError):
    """Tags or events could not be read or written."""
