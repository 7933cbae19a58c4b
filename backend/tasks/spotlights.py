"""The task that searches the paper's spotlights."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.core.counts import counts_of
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.spotlight.options import SearchOptions, full_note, size_in_examples
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
    in ``meta["regions"]``, or in the part's meta. With ``counts``, a column of multiplicities, the
    size asked for is in counts, and members are those whose counts make it up; what is said of a
    region counts its examples once each, as everything else that is said of examples.
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
    counts, size, warnings = checked_for(bundle, options)
    embeddings, said, notes = prepared(bundle, options, progress)
    said.pop("counts")
    common["notes"] = [*notes, *warnings]
    for region in iterate_spotlights(
        embeddings, bundle.losses, **said, counts=counts, device=device, progress=progress
    ):
        rows = members(region.weights, region.total_weight, counts)
        if counts is not None:
            region = _once_each(region, bundle.losses)
        arrays: Arrays = {
            "weights": region.weights.astype(np.float32),
            "center": np.asarray(region.center),
            "precision": np.asarray(region.precision),
            "members": rows,
        }
        meta = region_numbers(region, rows, bundle.losses, size)
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


def _once_each(region: Region, losses: NDArray[np.floating[Any]]) -> Region:
    """The region with the numbers of its examples counted once each."""
    total = float(region.weights.sum())
    return replace(region, total_weight=total, weighted_loss=float(region.weights @ losses) / total)


def checked_for(
    bundle: Bundle, options: Options
) -> tuple[NDArray[np.float64] | None, float, list[str]]:
    """Complete options beside the data: counts (n,) or None, the size in them, and what to know.

    Raises
    ------
    InputError
        If the bundle cannot be searched so; the sentence says what can be done.
    """
    counts = counts_of(bundle, options["counts"])
    whole = float(bundle.n if counts is None else counts.sum())
    size = size_in_examples(options["size"], whole)
    d = options["components"] or bundle.d
    warning = full_note(options["precision"], options["solver"], size, d)
    said = [warning] if warning else []
    if options["flip"]:
        said.append(
            "Looked for the lowest losses: these are the regions where the model does best."
        )
    if options["counts"] is not None:
        said.append(
            f"The search counted each example as often as column '{options['counts']}' says, "
            f"{whole:,.6g} in all; the numbers shown count each once."
        )
    return counts, size, said


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
    """The numbers shown beside a region: sizes in examples, losses raw; ``size`` as it was searched."""
    from backend.spotlight import effective_size

    return {
        "size": size,
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
    if not isinstance(options["counts"], str | None):
        raise InputError(f"counts must name a column or be None: got {options['counts']!r}.")
    if not isinstance(options["flip"], bool):
        raise InputError(f"flip must be true or false: got {options['flip']!r}.")
    SearchOptions(**of_search(options)).checked()


def of_search(options: Options) -> Options:
    """Those of the options that ``find_spotlights`` takes under the same names."""
    return {name: options[name] for name in _SEARCHED}


def untested(options: Options) -> str:
    """Why spotlights of these options are neither tested nor compared; "" where they are."""
    if options["flip"]:
        return (
            "Regions of the lowest losses are not tested: the tests ask whether a loss is high. "
            "Switch off “Where the model does best” to test."
        )
    if options["counts"] is not None:
        return (
            "Regions of examples that count several times are not tested: copies of one example are no "
            "independent evidence. Let each example count once to test."
        )
    return ""


_SEARCHED = {k: v for k, v in asdict(SearchOptions()).items() if k != "max_steps"}
SEARCH_OPTIONS: Options = {**_SEARCHED, "counts": None, "layer": ""}
"""What a search takes, with defaults; "assess" takes the same."""

TASK = Task(
    "backend.tasks.spotlights:run_spotlights",
    version=3,
    defaults=SEARCH_OPTIONS,
    check=check_spotlights,
)
