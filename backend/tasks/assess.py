"""The task that says how sure the spotlights are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.tasks.checks import check_count, check_number, chosen_layer
from backend.tasks.spotlights import SEARCH_OPTIONS, check_spotlights, prepared, untested
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_assess(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """How sure the regions are that the task "spotlights" finds with the same options.

    Arrays: claim_z (2, r) and claim_null (2, P), held_out_lifts (r, 3) as value, low, high,
    null_maxima (B,), stability_samples (b, r). ``meta["regions"]`` holds p-values, intervals,
    verdict and sentence of each region. Parts of the same form come when the held-out claim is
    known (``meta["pending"]``: more regions may become real) and when verdicts are final; what is
    not known yet is empty in them.
    """
    from backend.spotlight import Assessment, assess_spotlights, find_spotlights

    bundle = chosen_layer("assess", bundle, options)
    began = time.perf_counter()
    common = {"version": TASK.version, "options": options}

    def early(assessment: Assessment) -> None:
        part(assessment.arrays(), {**assessment.to_dict(), **common})

    embeddings, asked, _ = prepared(bundle, options, progress)
    known: dict[str, Any] = {}
    del asked["counts"], asked["flip"]
    if asked["mode"] == "distinct" or asked["barrier_scale"] is not None:
        search = {name: asked[name] for name in SEARCH_OPTIONS if name in asked}
        found = find_spotlights(embeddings, bundle.losses, **search, progress=progress)
        # Of distinct ones there may be fewer than asked for.
        known, asked["n_spotlights"] = {"found": found}, len(found)
    del asked["mode"], asked["barrier_scale"]
    said = assess_spotlights(
        embeddings,
        bundle.losses,
        **asked,
        **known,
        labels=bundle.label_codes,
        progress=progress,
        early=early,
    )
    seconds = time.perf_counter() - began
    return said.arrays(), {**said.to_dict(), **common, "seconds": seconds}


def _check_assess(options: Options) -> None:
    check_spotlights(options)
    if why := untested(options):
        raise InputError(why)
    check_count("n_permutations", options["n_permutations"], 0, 10_000)
    check_count("n_bootstrap", options["n_bootstrap"], 0, 1000)
    check_number("level", options["level"], above=0)
    if options["level"] >= 1:
        raise InputError(f"level must be below 1: got {options['level']!r}.")


TASK = Task(
    "backend.tasks.assess:run_assess",
    version=6,
    defaults={
        **SEARCH_OPTIONS,
        "n_permutations": 199,
        "n_bootstrap": 20,
        "level": 0.05,
    },
    check=_check_assess,
    lane=lambda options: "background",
)
