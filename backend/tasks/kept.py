"""What a task makes, for callers that wait: read where it is kept, else made now and kept there."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backend.cache import Cache, Entry, key_of
from backend.core.progress import Progress
from backend.tasks.table import TASKS
from backend.tasks.task import Options, no_parts

if TYPE_CHECKING:
    from backend.bundle import Bundle


def kept_result(
    task: str, bundle: Bundle, wanted: Options, *, progress: Progress, cache: Cache, **how: Any
) -> Entry:
    """The result that pages, reports and commands all find under the same key.

    Parameters
    ----------
    task : str
    bundle : Bundle
    wanted : dict
        Complete options.
    progress : Progress
    cache : Cache
    **how
        Handed on to the task where it has to work: what is no option of it, such as a device.
    """
    row = TASKS[task]
    key = key_of(task, bundle.digest, wanted, row.version)
    kept = cache.read(key)
    if kept is not None:
        return kept
    module, _, function = row.entry.partition(":")
    made = getattr(import_module(module), function)
    arrays, meta = made(bundle, wanted, progress, no_parts, **how)
    return cache.write(key, arrays, meta)
