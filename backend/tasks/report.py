"""The ``report`` task: what a worker runs so that a page can offer the report for download."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.cache import Cache, Entry, key_of
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.core.statistics import adjust_p
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
    spotlights, regions : dict or None
        Options of one of these tasks; without any, spotlights with their defaults. Its result is
        taken from the cache, or searched now.
    claim : bool
        Whether the report says how sure the regions are. Of spotlights that is taken from the task
        ``assess`` with the same search options, or computed now, which takes up to a minute;
        regions are tested where they are found.
    methods : dict or None
        Options of the task ``methods``, whose table is added; None leaves it out.
    layer : str
        Whose embeddings; the same in all searches of the report, whatever their options say.
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
    bundle, layer = bundle.at_layer(options["layer"]), {"layer": options["layer"]}
    search = "spotlights" if options["regions"] is None else "regions"
    wanted = complete_options(search, (options[search] or {}) | layer)
    found = _result(search, bundle, wanted, _between(progress, 0.0, 0.1))
    assessment: Mapping[str, Any] | None = None
    methods = None
    if options["claim"] and search == "regions":
        assessment = claims_of_regions(found.meta)
    elif options["claim"]:
        asked = complete_options("assess", wanted)
        assessment = _result("assess", bundle, asked, _between(progress, 0.1, 0.5)).meta
    if options["methods"] is not None:
        asked = complete_options("methods", options["methods"] | layer)
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


def claims_of_regions(meta: Mapping[str, Any], *, level: float = 0.05) -> dict[str, Any]:
    """What the task ``regions`` says of its regions, in the words of an assessment.

    Intervals are 95 % (normal, the base taken as exact); p is that of the held-out test, family-wise
    over all candidates already.
    """
    regions = []
    adjusted = adjust_p([region["p_value"] for region in meta["regions"]])
    for region, p_adjusted in zip(meta["regions"], adjusted, strict=True):
        base, p = region["held_out_base"], region["p_value"]
        reach = 1.96 * region["held_out_error"]
        value = region["held_out_loss"]
        loss = {"value": value, "low": value - reach, "high": value + reach}
        chance = (
            "not distinguishable from its whole label"
            if region["bound"]
            else "not distinguishable from chance"
        )
        verdict = "real" if p <= level else chance
        against = f" ×{value / base:.2g} base" if base > 0 else f" loss {value:.3g}"
        regions.append(
            {
                "p_value": p,
                "p_claim": p,
                "p_adjusted": float(p_adjusted),
                "held_out_loss": loss,
                "held_out_lift": {name: one / base for name, one in loss.items()}
                if base > 0
                else None,
                "verdict": verdict,
                "sentence": f"Looked for {region['scope']}: held-out{against}, p {p:.3f}: {verdict}.",
            }
        )
    return {
        "regions": regions,
        "level": level,
        "n_candidates": meta["n_candidates"],
        "note": "Held-out losses count at most "
        f"{meta['loss_cap']:.3g} each. p compares with losses shuffled within labels. "
        + " ".join(meta["notes"]),
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
        "size": "total weight",
        "mean_loss": "weighted loss",
        "ratio": "weighted × base",
        "held_out_loss": "refound loss",
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
