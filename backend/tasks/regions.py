"""The task that searches the short list of regions, which the page shows first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.tasks.checks import check_count, check_layer, chosen_layer
from backend.tasks.results import searched_with
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_regions(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """A short list of regions within and across labels, judged on examples that did not find them.

    Arrays as ``backend.spotlight.region_arrays`` says; ``meta["regions"]`` holds the facts of each
    region, ``meta["notes"]`` what a reader should know. Labels count where they are classes;
    ``groups`` names a column whose rows of one value stay on one side of the split.
    """
    from backend.core.device import choose_device
    from backend.spotlight import find_regions, region_arrays, region_facts

    bundle = chosen_layer("regions", bundle, options)
    began = time.perf_counter()
    device = choose_device("auto")
    codes, names = bundle.label_codes, bundle.class_names
    groups = None
    if options["groups"] is not None:
        if options["groups"] not in bundle.examples:
            raise InputError(f"there is no column {options['groups']!r} in this bundle.")
        groups = bundle.examples[options["groups"]].to_numpy()
    found = find_regions(
        bundle.embeddings,
        bundle.losses,
        labels=None if codes is None or names is None else np.asarray(names)[codes],
        groups=groups,
        n_regions=int(options["n_regions"]),
        seed=int(options["seed"]),
        device=device,
        progress=progress,
    )
    return region_arrays(found), {
        **searched_with(TASK, options, device),
        "regions": region_facts(found, bundle.losses),
        "notes": list(found.notes),
        "labelled": codes is not None,
        "n_candidates": found.n_candidates,
        "base_loss": found.mean_loss,
        "loss_cap": found.loss_cap,
        "seconds": time.perf_counter() - began,
    }


def _check_regions(options: Options) -> None:
    check_layer(options)
    check_count("n_regions", options["n_regions"], 1, 50)
    check_count("seed", options["seed"], 0, 2**63 - 1)
    if options["groups"] is not None and not isinstance(options["groups"], str):
        raise InputError(f"groups must name a column or be None: got {options['groups']!r}.")


TASK = Task(
    "backend.tasks.regions:run_regions",
    version=7,
    defaults={"n_regions": 5, "seed": 0, "groups": None, "layer": ""},
    check=_check_regions,
)
