"""The task that compares regions with what other methods find."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.tasks.checks import check_count, check_layer, check_number, chosen_layer
from backend.tasks.results import padded_rows
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.slices import FoundGroups

_OWN_METHODS = ("regions", "spotlights")


def run_methods(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Other ways to find groups, each written as a part when it is done, and one table over all.

    Arrays: ``weights_<method>`` (r, n) float32, ``members_<method>`` (r, max) rows best first,
    padded with -1, and ``overlap`` (g, g) over the groups in the order of ``meta["table"]``. A part
    holds weights and members of one method. Methods that miss a field of the bundle are left out,
    with the reason in ``meta["skipped"]``; when that leaves none, the first reason is raised.
    """
    from backend.slices import compare_groups

    bundle = chosen_layer("methods", bundle, options)
    began = time.perf_counter()
    arrays: Arrays = {}
    results: list[FoundGroups] = []
    told: dict[str, Meta] = {}
    skipped: dict[str, str] = {}
    share = 0.5 / len(options["methods"])
    for done, method in enumerate(options["methods"]):
        started = time.perf_counter()

        def step(fraction: float, message: str, done: int = done) -> None:
            progress(share * (done + fraction), message)

        try:
            found = _find(method, bundle, options, step)
        except InputError as error:
            skipped[method] = str(error)
            continue
        rows = [found.members(group) for group in range(len(found))]
        made: Arrays = {
            "weights": found.weights.astype(np.float32),
            "members": padded_rows(rows),
        }
        told[method] = {**found.to_dict(), "seconds": time.perf_counter() - started}
        part(made, told[method])
        arrays |= {f"{name}_{method}": values for name, values in made.items()}
        results.append(found)
    if not results:
        raise InputError(next(iter(skipped.values())))
    compared = compare_groups(
        results,
        bundle.losses,
        held_out=options["held_out"],
        seed=options["seed"],
        progress=lambda fraction, message: progress(0.5 + 0.5 * fraction, message),
    )
    table = compared.table.astype(object).where(compared.table.notna(), None)
    return {**arrays, "overlap": compared.overlap}, {
        "version": TASK.version,
        "options": options,
        "methods": told,
        "skipped": skipped,
        "table": table.to_dict("records"),
        "base_loss": float(np.mean(bundle.losses)),
        "seconds": time.perf_counter() - began,
    }


def _find(method: str, bundle: Bundle, options: Options, progress: Progress) -> FoundGroups:
    """The groups of one method, given what the bundle knows of classes."""
    from backend.slices import METHODS, find_groups
    from backend.tasks.compared import region_groups, spotlight_groups

    classified = bundle.label_codes is not None
    fields: dict[str, Any] = {
        "labels": bundle.labels if classified else None,
        "predictions": bundle.predictions if bundle.prediction_codes is not None else None,
        "probabilities": bundle.probabilities if classified else None,
        "classes": bundle.class_names if classified else None,
    }
    shared: dict[str, Any] = {
        "n_groups": options["n_groups"],
        "seed": options["seed"],
        "progress": progress,
    }
    if method == "regions":
        return region_groups(bundle.embeddings, bundle.losses, fields=fields, **shared)
    if method == "spotlights" or METHODS[method].takes_size:
        shared["size"] = options["size"]
    if method == "spotlights":
        return spotlight_groups(bundle.embeddings, bundle.losses, fields=fields, **shared)
    return find_groups(method, bundle.embeddings, bundle.losses, **fields, **shared)


def _check_methods(options: Options) -> None:
    from backend.slices.methods import METHODS

    check_layer(options)
    methods = options["methods"]
    allowed = (*_OWN_METHODS, *METHODS)
    if not isinstance(methods, list | tuple) or not methods:
        raise InputError(
            f"methods must list at least one of {', '.join(allowed)}: got {methods!r}."
        )
    for method in methods:
        check_choice("methods", method, allowed)
    if len(set(methods)) < len(methods):
        raise InputError(f"methods must list each once: got {', '.join(methods)}.")
    if not isinstance(options["held_out"], bool):
        raise InputError(f"held_out must be true or false: got {options['held_out']!r}.")
    check_count("n_groups", options["n_groups"], 1, 50)
    check_count("seed", options["seed"], 0, 2**32 - 1)
    check_number("size", options["size"], above=0)


TASK = Task(
    "backend.tasks.methods:run_methods",
    version=3,
    defaults={
        "methods": [
            "regions",
            "spotlights",
            "mixture",
            "george",
            "directions",
            "error_clusters",
            "highest_loss",
        ],
        "n_groups": 5,
        "seed": 0,
        "size": 0.02,
        "held_out": True,
        "layer": "",
    },
    check=_check_methods,
    # A comparison is asked for beside a search, never instead of one.
    lane=lambda options: "background",
)
