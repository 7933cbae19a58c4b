"""The ``report`` task: what a worker runs so that a page can offer the report for download."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.cache import Cache
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.progress import Progress, share_of
from backend.core.wording import (
    ERROR_LABEL,
    HOW,
    LEAST_P,
    LEVEL,
    LOSS_LABEL,
    effect_words,
    explained_words,
    inner_words,
    number,
    p_value,
    percent,
    verdict,
)
from backend.report.contents import Chapter, ReportContents, gather
from backend.report.html import render_report
from backend.report.markdown import model_card_section
from backend.store import Store
from backend.tasks import TASKS, complete_options
from backend.tasks.chapters import CHAPTERS
from backend.tasks.kept import kept_result
from backend.tasks.methods import comparison_table, named_rows
from backend.tasks.regions import SHOWN, count_shown, known_rows
from backend.tasks.results import fewer_listed
from backend.tasks.spotlights import untested

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_report(
    bundle: Bundle | None, options: dict[str, Any], progress: Progress, part: Any
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Write the report of a bundle.

    Options
    -------
    spotlights, regions : dict or None
        Options of one of these tasks; without any, regions with their defaults. Its result is
        taken from the cache, or searched now. What is set aside in the log is set aside in a search
        for regions whose options do not say it. Of regions the report lists the labels that fail and
        the first ``SHOWN`` others.
    claim : bool
        Whether the report says how sure the regions are. Of spotlights that is taken from the task
        ``assess`` with the same search options, or computed now, which takes up to a minute;
        regions are tested where they are found.
    methods : dict or None
        Options of the task ``methods``, whose table is added; None leaves it out.
    chapters : dict
        What else is told, each with the options of its result and what it is ``about``: ``cause`` (task
        ``attribution``), ``words`` (``contexts``), ``named``, ``repair`` (with its ``strength``),
        ``before_after``, and ``after``, which is the ``before_after`` of a newer run: the bundle that
        ``of`` names.
    layer : str
        Whose embeddings; the same in all searches of the report, whatever their options say.
    log : int
        ``seq`` of the event up to which tags and hypotheses are told of, whatever came later; 0 for
        all there are.

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
    contents = report_contents(bundle, options, progress)
    made = {"html": render_report(contents), "markdown": model_card_section(contents).encode()}
    arrays = {name: np.frombuffer(data, dtype=np.uint8) for name, data in made.items()}
    return arrays, {
        "version": TASKS["report"].version,
        "options": options,
        "name": file_name(bundle.name),
        "seconds": time.perf_counter() - began,
    }


def report_contents(
    bundle: Bundle, options: Mapping[str, Any], progress: Progress, *, home: str | None = None
) -> ReportContents:
    """What the report says; ``options`` are complete, ``home`` holds the cache and the events."""
    bundle, layer = bundle.at_layer(options["layer"]), {"layer": options["layer"]}
    search = "regions" if options["spotlights"] is None else "spotlights"
    given = (options[search] or {}) | layer
    if search == "regions" and "known" not in given:
        given["known"] = _set_aside(bundle, options, home)
    wanted = complete_options(search, given)
    cache = Cache(home)
    found = kept_result(search, bundle, wanted, progress=share_of(progress, 0.0, 0.1), cache=cache)
    shown = count_shown(found.meta["regions"]) if search == "regions" else None
    assessment: Mapping[str, Any] | None = None
    compared_meta: Mapping[str, Any] | None = None
    if options["claim"] and search == "regions":
        assessment = claims_of_regions(found.meta, shown=shown)
    elif options["claim"] and not untested(wanted):
        asked = complete_options("assess", wanted)
        assessment = kept_result(
            "assess", bundle, asked, progress=share_of(progress, 0.1, 0.5), cache=cache
        ).meta
    if options["methods"] is not None:
        asked = complete_options("methods", options["methods"] | layer)
        compared = kept_result(
            "methods", bundle, asked, progress=share_of(progress, 0.5, 0.9), cache=cache
        )
        compared_meta = compared.meta
    chapters = _chapters(bundle, options["chapters"], share_of(progress, 0.9, 0.95), cache, home)
    progress(0.95, "Writing the report")
    store = Store(home=home, until=options["log"] or None)
    try:
        methods = None
        if compared_meta is not None:
            methods = comparison_table(named_rows(compared_meta, store.region_names(bundle)))
        return gather(
            bundle,
            store=store,
            regions=found,
            assessment=assessment,
            methods=methods,
            shown=shown,
            chapters=chapters,
        )
    finally:
        store.close()


def _chapters(
    bundle: Bundle,
    asked: Mapping[str, Any],
    progress: Progress,
    cache: Cache,
    home: str | None,
) -> list[Chapter]:
    """The chapters that were asked for, in the order of their table; each result is read or made now."""
    from backend.bundle import open_bundle

    found = []
    for at, (name, row) in enumerate(CHAPTERS.items()):
        if name in asked:
            part = share_of(progress, at / len(CHAPTERS), (at + 1) / len(CHAPTERS))
            layer = {"layer": bundle.layer} if "layer" in (TASKS[row.task].defaults or {}) else {}
            wanted = complete_options(row.task, {**asked[name]["options"], **layer})
            # Another run has to be found in the same home folder.
            how = {"home": home} if row.task == "before_after" else {}
            whose = open_bundle(asked[name]["of"], home) if "of" in asked[name] else bundle
            made = kept_result(row.task, whose, wanted, progress=part, cache=cache, **how)
            found.append(row.tell(bundle, made, asked[name]))
    return found


def _set_aside(
    bundle: Bundle, options: Mapping[str, Any], home: str | None
) -> list[list[int]] | None:
    store = Store(home=home, until=options["log"] or None)
    try:
        return known_rows(bundle, store.known_regions(bundle))
    finally:
        store.close()


def claims_of_regions(meta: Mapping[str, Any], *, shown: int | None = None) -> dict[str, Any]:
    """What the task ``regions`` says of its regions, as the claims of a report.

    Parameters
    ----------
    meta : mapping
        Of the task, or of a file that the command ``regions`` wrote.
    shown : int, optional
        Only the first so many of the list.
    """
    regions = []
    for region in meta["regions"][:shown]:
        effect = Effect.from_dict(region["effect"])
        label = region["kind"] == "label"
        said = verdict(
            region["p"], effect, region["kind"], bound=region["bound"], cell=region["cell"]
        )
        p = p_value(region["p"], None if label else LEAST_P)
        own = also = ""
        if region["bound"] and not label:
            rate = math.isfinite(effect.error_label)
            value = percent(effect.error_label) if rate else number(effect.loss_label)
            whole = ERROR_LABEL if rate else LOSS_LABEL
            own = f" The {whole.replace(' label', ' its label')}: {value}."
        inner = region.get("also")
        if inner is not None:
            said_of_it = inner_words(inner["n_members"], Effect.from_dict(inner["effect"]))
            also = f" Also {said_of_it}."
        regions.append(
            {
                "p": region["p"],
                "p_words": p,
                "verdict": said,
                "sentence": f"Looked for {region['scope']}. {effect_words(effect)}.{own} "
                f"p {p}: {said}.{also}",
            }
        )
    shares = [one.get("explained") for one in meta["regions"]]
    explained = explained_words(shares, len(regions))
    below = [f"{explained}."] if explained else []
    if shown is not None and regions:
        below += filter(None, [fewer_listed("regions", meta["regions"], SHOWN)])
    return {
        "regions": regions,
        "level": LEVEL,
        "n_candidates": meta["n_candidates"],
        "explained": " ".join(below),
        "note": " ".join([HOW, *meta["notes"]]),
    }


def file_name(name: str) -> str:
    """A name for a file on any system: letters, digits and ``-_.``, at most 60."""
    kept = "".join(
        sign if (sign.isascii() and sign.isalnum()) or sign in "-_." else "-" for sign in name
    )
    return f"{kept.strip('-.')[:60] or 'bundle'}-report"
