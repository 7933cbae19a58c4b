"""One row of the table of tasks, and the types that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from backend.core.errors import InputError

Arrays = dict[str, NDArray[Any]]
Meta = dict[str, Any]
Options = dict[str, Any]


class WritePart(Protocol):
    """Called as ``part(arrays, meta)`` with a piece of the result that can be shown already."""

    def __call__(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None: ...


def no_parts(arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """For callers that wait for the whole result: no piece is shown, or made, before it."""


def completed(name: str, row: Task, given: Mapping[str, Any]) -> Options:
    """Options of a task with its defaults filled in.

    Raises
    ------
    InputError
        If an option does not exist, or a value cannot be used.
    """
    if row.defaults is None:
        return dict(given)
    unknown = sorted(set(given) - set(row.defaults))
    if unknown:
        raise InputError(
            f"task {name!r} has no option {', '.join(map(repr, unknown))}. "
            f"It takes {', '.join(row.defaults)}."
        )
    complete = {**row.defaults, **given}
    if row.check is not None:
        row.check(complete)
    return complete


@dataclass(frozen=True)
class Task:
    """One row of the table.

    Attributes
    ----------
    entry : str
        ``module:function``; the module is imported in the worker only.
    version : int
        Raised whenever the function starts to compute something else; part of the key.
    defaults : dict, optional
        Every option with its default. Without it any options are taken as they come.
    check : callable, optional
        Raises ``InputError`` for complete options that cannot be used.
    lane : callable
        From complete options to the queue: ``quick`` for what a first view waits for, ``compute``
        for searches, ``background`` for what may take a minute without anybody waiting.
    source : callable, optional
        From complete options to a text that changes whenever what they refer to on disk does.
        Results of such tasks have effects outside the cache, so a finished one is never reused.
    memory : callable, optional
        From complete options to the bytes of memory that its worker may hold meanwhile, for tasks
        that read foreign files.
    """

    entry: str
    version: int = 1
    defaults: Mapping[str, Any] | None = None
    check: Callable[[Options], None] | None = None
    lane: Callable[[Options], str] = lambda options: "compute"
    source: Callable[[Options], str] | None = None
    memory: Callable[[Options], int] | None = None
