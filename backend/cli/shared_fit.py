"""``fit`` under ``torchrun``: every process reads rows of its own, the first one reports."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from backend.bundle import Bundle, import_bundle
from backend.cli.bundles import column_map, find_bundle
from backend.cli.report import StderrProgress, check_target
from backend.core.counts import counts_of
from backend.core.errors import BundleError, InputError
from backend.core.progress import Progress, ignore_progress
from backend.spotlight.options import SearchOptions, usual_size

if TYPE_CHECKING:
    from backend.spotlight import Spotlights


def started_together() -> bool:
    """Whether this process is one of several that ``torchrun`` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def search_options(options: Namespace, bundle: Bundle) -> SearchOptions:
    """What ``fit`` was asked to search for in this bundle."""
    return SearchOptions(
        size=usual_size(bundle.has_images) if options.size is None else options.size,
        n_spotlights=options.spotlights,
        kernel=options.kernel,
        precision=options.precision,
        solver=options.solver,
        seed=options.seed,
        mode=options.mode,
        prepare=options.prepare,
        components=options.components,
        flip=options.flip,
        barrier_scale=options.barrier_scale,
    )


def fit_together(options: Namespace) -> tuple[Bundle, Spotlights] | None:
    """Search with all processes; the bundle and its regions in the first one, None in others.

    A bundle given as a file is imported by the first process; the others map the same folder, so
    the home folder must be one that every machine sees.
    """
    from backend.spotlight.ranks_rows import even_cuts
    from backend.spotlight.ranks_search import search_together
    from backend.spotlight.solver.ranks import first_does, meeting, own_device  # loads torch

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    progress: Progress = StderrProgress() if rank == 0 else ignore_progress
    device = own_device(options.device)

    def digest(told: Progress) -> str:
        check_target(options.out)
        columns = column_map(options.map)
        if Path(options.bundle).exists():
            return import_bundle(
                options.bundle, options.home, columns=columns, progress=told
            ).digest
        return find_bundle(options.bundle, home=options.home, columns=columns).digest

    with meeting(device, options.patience) as control:
        bundle = _opened(first_does(digest, control, options.patience, progress), options.home)
        bundle = bundle.at_layer(options.layer)
        counts = counts_of(bundle, options.counts)
        own = slice(*even_cuts(bundle.n, bundle.embeddings.shape[1], world)[rank : rank + 2])
        found = search_together(
            bundle.embeddings[own],
            bundle.losses[own],
            search_options(options, bundle),
            counts=None if counts is None else counts[own],
            device=device,
            progress=progress,
            control=control,
            patience=options.patience,
        )
    return (bundle, found) if rank == 0 else None


def _opened(digest: str, home: str | None) -> Bundle:
    try:
        return find_bundle(digest, home=home)
    except BundleError as error:
        raise InputError(
            f"the bundle {digest[:12]} is not in this process's home folder. All processes need "
            "the same one: set ERRORSCOPE_HOME or --home to a folder that every machine sees."
        ) from error
