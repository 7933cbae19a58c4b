"""The ``report`` task: what a worker runs so that a page can offer the report for download."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.cache import Cache, Entry, key_of
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.report.contents import gather
from backend.report.html import render_report
from backend.report.markdown import model_card_section
from backend.store import Store
from backend.tasks import TASKS, complete_options

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_report(
    bundle: Bundle | None, options: dict[str, Any], progress: Progress, part: Any
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Write the report of a bundle.

    Options
    -------
    spotlights : dict or None
        Options of the task ``spotlights``. Its result is taken from the cache, or searched now.
    claim : bool
        Whether the report says how sure the regions are. That is taken from the task ``assess`` with
        the same search options, or computed now, which takes up to a minute.
    methods : dict or None
        Options of the task ``methods``, whose table is added; None leaves it out.
    log : int
        ``seq`` of the bundle's latest event. It makes the report of another state of the tags and
        hypotheses another result.

    Returns
    -------
    arrays, meta
        ``html`` and ``markdown``, uint8 arrays of UTF-8; ``name`` is a file name without its ending.

    Notes
    -----
    Searches, assessments and comparisons of the bundle are read from the cache, where the pages find
    them too: what a report says is what was on screen.
    """
    if bundle is None:
        raise InputError("task 'report' works on a bundle: got no digest.")
    began = time.perf_counter()
    wanted = complete_options("spotlights", options["spotlights"] or {})
    found = _result("spotlights", bundle, wanted, _between(progress, 0.0, 0.1))
    assessment = methods = None
    if options["claim"]:
        asked = complete_options("assess", wanted)
        assessment = _result("assess", bundle, asked, _between(progress, 0.1, 0.5)).meta
    if options["methods"] is not None:
        asked = complete_options("methods", options["methods"])
        compared = _result("methods", bundle, asked, _between(progress, 0.5, 0.9))
        methods = methods_table(compared.meta["table"])
    progress(0.9, "Writing the report")
    store = Store()
    try:
        contents = gather(
            bundle, store=store, regions=found, assessment=assessment, methods=methods
        )
    finally:
        store.close()
    made = {"html": render_report(contents), "markdown": model_card_section(contents).encode()}
    arrays = {name: np.frombuffer(data, dtype=np.uint8) for name, data in made.items()}
    return arrays, {
        "version": TASKS["report"].version,
        "options": options,
        "name": file_name(bundle.name),
        "seconds": time.perf_counter() - began,
    }


def file_name(name: str) -> str:
    """A name for a file on any system: letters, digits and ``-_.``, at most 60."""
    kept = "".join(
        sign if (sign.isascii() and sign.isalnum()) or sign in "-_." else "-" for sign in name
    )
    return f"{kept.strip('-.')[:60] or 'bundle'}-report"


def methods_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The table of the task ``methods``, with the columns that are read side by side."""
    names = {
        "method": "method",
        "group": "group",
        "size": "size",
        "mean_loss": "mean loss",
        "ratio": "× base",
        "held_out_loss": "held-out loss",
        "p": "p",
        "note": "note",
    }
    return pd.DataFrame(rows)[list(names)].rename(columns=names)


def _result(task: str, bundle: Bundle, wanted: dict[str, Any], progress: Progress) -> Entry:
    """What a task makes: from the cache, or computed and kept there."""
    row = TASKS[task]
    key = key_of(task, bundle.digest, wanted, row.version)
    cache = Cache()
    kept = cache.read(key)
    if kept is not None:
        return kept
    module, _, function = row.entry.partition(":")
    made = getattr(import_module(module), function)
    arrays, meta = made(bundle, wanted, progress, lambda arrays, meta: None)
    return cache.write(key, arrays, meta)


def _between(progress: Progress, low: float, high: float) -> Progress:
    """Progress of a part of the work."""
    return lambda fraction, message: progress(low + (high - low) * fraction, message)
