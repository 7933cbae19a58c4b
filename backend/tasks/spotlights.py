"""The task that searches the paper's spotlights."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.core.progress import Progress
from backend.spotlight.options import SearchOptions
from backend.tasks.checks import check_count, check_layer, check_number, chosen_layer
from backend.tasks.results import padded_rows, searched_with
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.spotlight import Region


def run_spotlights(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Search regions, each written as a part when it is found.

    Arrays: weights (r, n) float32, centers (r, d), precisions (r, ...), weighted_losses,
    total_weights and objectives (r,), members (r, max) rows heaviest first, padded with -1. A part
    holds weights (n,), center, precision and members of one region. The numbers of each region are
    in ``meta["regions"]``, or in the part's meta.
    """
    from backend.core.device import choose_device
    from backend.spotlight import iterate_spotlights, members

    bundle = chosen_layer("spotlights", bundle, options)
    device = choose_device("auto")
    began = time.perf_counter()
    common = searched_with(TASK, options, device)
    found: list[Arrays] = []
    numbers: list[Meta] = []
    regions: list[Region] = []
    embeddings, said, notes = prepared(bundle, options, progress)
    common["notes"] = notes
    for region in iterate_spotlights(
        embeddings, bundle.losses, **said, device=device, progress=progress
    ):
        rows = members(region.weights, region.total_weight)
        arrays: Arrays = {
            "weights": region.weights.astype(np.float32),
            "center": np.asarray(region.center),
            "precision": np.asarray(region.precision),
            "members": rows,
        }
        meta = region_numbers(region, rows, bundle.losses, options["size"])
        part(arrays, {**meta, **common})
        found.append(arrays)
        numbers.append(meta)
        regions.append(region)
    return {
        "weights": np.stack([arrays["weights"] for arrays in found]),
        "centers": np.stack([arrays["center"] for arrays in found]),
        "precisions": np.stack([arrays["precision"] for arrays in found]),
        "weighted_losses": np.array([region.weighted_loss for region in regions]),
        "total_weights": np.array([region.total_weight for region in regions]),
        "objectives": np.array([region.objective for region in regions]),
        "members": padded_rows([arrays["members"] for arrays in found]),
    }, {**common, "regions": numbers, "seconds": time.perf_counter() - began}


def prepared(
    bundle: Bundle, options: Options, progress: Progress
) -> tuple[NDArray[Any], Options, list[str]]:
    """Embeddings as the search takes them, the options that are left, and what was done."""
    from backend.core.preparation import prepare_embeddings

    left = {name: value for name, value in options.items() if name != "layer"}
    ready = prepare_embeddings(
        bundle.embeddings,
        left.pop("prepare"),
        components=left.pop("components"),
        seed=options["seed"],
        tick=lambda: progress(0.0, "Preparing the embeddings"),
    )
    return ready.values, left, [ready.note] if ready.note else []


def region_numbers(
    region: Region, rows: NDArray[np.int64], losses: NDArray[np.floating[Any]], size: float
) -> Meta:
    """The numbers shown beside a region: sizes in examples, losses raw."""
    from backend.spotlight import effective_size

    n = len(losses)
    return {
        "size": size * n if 0 < size < 1 else float(size),
        "total_weight": region.total_weight,
        "effective_size": effective_size(region.weights),
        "weighted_loss": region.weighted_loss,
        "member_loss": float(losses[rows].mean()) if len(rows) else None,
        "base_loss": float(np.mean(losses)),
        "n_members": len(rows),
        "objective": region.objective,
        "outcome": region.outcome.to_dict(),
    }


def check_spotlights(options: Options) -> None:
    from backend.core.preparation import check_preparation

    check_layer(options)
    check_preparation(options["prepare"], options["components"])
    check_number("size", options["size"], above=0)
    check_count("n_spotlights", options["n_spotlights"], 1, 50)
    check_count("starts", options["starts"], 1, 1024)
    check_count("seed", options["seed"], 0, 2**63 - 1)
    SearchOptions(**{name: options[name] for name in SEARCH_OPTIONS if name != "layer"}).checked()


NOT_OFFERED = ("flip", "barrier_scale", "max_steps")
SEARCH_OPTIONS: Options = {
    **{k: v for k, v in asdict(SearchOptions()).items() if k not in NOT_OFFERED},
    "layer": "",
}
"""What a search takes, with defaults; "assess" takes the same."""

TASK = Task(
    "backend.tasks.spotlights:run_spotlights",
    version=2,
    defaults=SEARCH_OPTIONS,
    check=check_spotlights,
)
