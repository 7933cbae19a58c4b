"""The task that searches the short list of regions, which the page shows first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.losses import softmax
from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.parts import bundle_aside, group_codes
from backend.core.progress import Progress, share_of
from backend.describe.naming.bundle import name_in_bundle
from backend.spotlight.regions.settings import Settings
from backend.tasks.checks import check_count, check_layer, chosen_layer
from backend.tasks.results import padded_rows, searched_with
from backend.tasks.sampled import QUICK, find_as, sample_of, taken
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart, no_parts

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.spotlight import Regions
    from backend.store import KnownRegion

SIZES = Settings().sizes
"""Shares of all examples that regions are searched at."""
ALL_VIEWS, AS_IS, BESIDE = "all", "embedding", "beside_answer"
VIEWS = (ALL_VIEWS, AS_IS, BESIDE)
"""How a search looks at the embeddings: in every way, as they are, or without the directions of the
model's outputs, in which what it answers is all there is to see."""
LISTED = 12
"""Regions that are searched for: what people need is often the sixth to eighth."""
SHOWN = 5
"""Regions that are shown before somebody asks for more; labels that fail come on top."""


def run_regions(
    bundle: Bundle | None,
    options: Options,
    progress: Progress,
    part: WritePart,
    *,
    device: str = "auto",
) -> tuple[Arrays, Meta]:
    """A short list of regions, each measured on examples that had no part in finding it.

    Arrays as ``backend.spotlight.region_arrays`` says; ``meta["regions"]`` holds the facts of each
    region with its name, ``meta["notes"]`` what a reader should know. Labels count where they are
    classes; ``groups`` names a column whose rows of one value stay in one part of the data. What is
    kept aside follows from the bundle alone (``backend.core.parts.bundle_aside``). ``known`` are
    lists of rows, one for each region that was set aside before (``known_rows``). ``views`` is one of
    ``VIEWS``.

    Of a large bundle a part comes first: the list that a sample of its rows gives. It holds ``members``
    (r, max), rows of the bundle padded with -1, the facts with names, and ``meta["sample"]``, how
    many rows were looked at. The list of the whole is made without it.
    """
    from backend.core.device import choose_device
    from backend.spotlight import region_arrays

    bundle = chosen_layer("regions", bundle, options)
    began = time.perf_counter()
    chosen = choose_device(device)
    aside = bundle_aside(bundle, options["groups"])
    rows = None if part is no_parts else sample_of(bundle.n)
    if rows is not None:
        of_sample = share_of(progress, 0.0, 0.15)
        small = taken(bundle, rows)
        places = np.full(bundle.n, -1)
        places[rows] = np.arange(len(rows))
        seen = [at[at >= 0].tolist() for at in (places[one] for one in options["known"] or ())]
        first = search_regions(
            small,
            options | {"known": seen},
            aside=aside[rows],
            device=chosen,
            progress=of_sample,
            quick=True,
        )
        if len(first):
            part(
                {"members": padded_rows([rows[members] for members in first.members])},
                {"sample": len(rows), "regions": _named(small, first), "version": TASK.version},
            )
        progress = share_of(progress, 0.15, 1.0)
    found = search_regions(bundle, options, aside=aside, device=chosen, progress=progress)
    return region_arrays(found), {
        **searched_with(TASK, options, chosen),
        "regions": _named(bundle, found),
        "notes": list(found.notes),
        "labelled": bundle.label_codes is not None,
        "n_candidates": found.n_candidates,
        "n_aside": int(found.kept_aside.sum()),
        "base_loss": found.mean_loss,
        "loss_cap": found.loss_cap if np.isfinite(found.loss_cap) else None,
        "seconds": time.perf_counter() - began,
    }


def _named(bundle: Bundle, found: Regions) -> list[dict[str, Any]]:
    """What is said beside each region, its name among it."""
    from backend.spotlight import region_facts

    facts = region_facts(found, bundle.losses)
    names = region_names(bundle, found.members, facts)
    return [one | {"name": name} for one, name in zip(facts, names, strict=True)]


def search_regions(
    bundle: Bundle,
    options: Options,
    *,
    device: Any,
    progress: Progress,
    aside: NDArray[np.bool_] | None = None,
    quick: bool = False,
) -> Regions:
    """The regions of a bundle, searched with everything that it holds.

    ``aside`` (n,) are the rows kept aside, by default those of the bundle; ``quick`` leaves out of the search what
    ``backend.tasks.sampled.QUICK`` says.

    Raises
    ------
    InputError
        If ``groups`` is no column of the bundle, or the bundle lacks the model's answer that
        ``views`` asks to be left out.
    """
    groups = None if options["groups"] is None else group_codes(bundle, options["groups"])
    if groups is not None:
        alone = groups < 0  # a row without a value goes by itself
        groups = np.where(alone, len(groups) + np.arange(len(groups)), groups)
    predictions = bundle.prediction_names
    probabilities = bundle.probabilities
    if probabilities is None and bundle.logits is not None:
        probabilities = softmax(np.asarray(bundle.logits))
    given: Options = {
        "labels": bundle.label_names,
        "predictions": bundle.predictions if predictions is None else predictions,
        "probabilities": probabilities,
        "groups": groups,
        "kept_aside": bundle_aside(bundle, options["groups"]) if aside is None else aside,
        "sizes": options["sizes"],
        "known": [np.array(rows, np.int64) for rows in options["known"] or ()],
        "n_regions": int(options["n_regions"]),
        "seed": int(options["seed"]),
        "device": device,
        "progress": progress,
    }
    changed = dict(QUICK) if quick else {}
    changed |= _looked_at(options["views"], answered=given["predictions"] is not None)
    return find_as(bundle.embeddings, bundle.losses, changed, **given)


def _looked_at(views: str, *, answered: bool) -> dict[str, Any]:
    """Settings of the search that make it look only so."""
    if views == ALL_VIEWS:
        return {}
    if views == BESIDE and not answered:
        raise InputError(
            "views 'beside_answer' leaves out the directions of the model's outputs: the bundle has no "
            "predictions or probabilities. Take 'all' or 'embedding'."
        )
    usual = Settings()
    return {
        name: tuple(one for one in getattr(usual, name) if one.startswith("o") == (views == BESIDE))
        for name in ("views", "views_few")
    }


def region_names(
    bundle: Bundle,
    members: Sequence[NDArray[np.int64]],
    facts: Sequence[Mapping[str, Any]],
    *,
    given: Sequence[str | None] | None = None,
) -> list[str]:
    """What the regions of a list are called: unique, and the same everywhere.

    ``facts`` say the ``kind`` of each and the ``labels`` it is bound to; ``given`` are names that
    somebody gave.
    """
    return name_in_bundle(
        bundle,
        members,
        kinds=[str(one.get("kind", "ball")) for one in facts],
        scope_labels=[list(one.get("labels", ())) for one in facts],
        given=given,
    )


def known_rows(bundle: Bundle, known: Sequence[KnownRegion]) -> list[list[int]] | None:
    """The option ``known`` from what the store has set aside: rows ascending; None for nothing.

    The same whoever set what aside first.
    """
    rows = {tuple(sorted(set(bundle.rows_of(one.ids).tolist()))) for one in known}
    return [list(one) for one in sorted(rows) if one] or None


def count_shown(facts: Sequence[Mapping[str, Any]], regions: int = SHOWN) -> int:
    """How many entries of a list are shown: all labels that fail, and so many regions after them.

    Examples
    --------
    >>> count_shown([{"kind": "label"}, {"kind": "ball"}, {"kind": "direction"}], 1)
    2
    """
    labels = sum(one.get("kind") == "label" for one in facts)
    return min(len(facts), labels + regions)


def check_sizes(sizes: Any) -> None:
    """Raise ``InputError`` for what is no list of shares, or None."""
    if sizes is None:
        return
    listed = isinstance(sizes, list | tuple) and len(sizes) > 0
    if not listed or not all(isinstance(size, float) and 0 < size < 0.5 for size in sizes):
        raise InputError(f"sizes must be shares above 0 and below 0.5, or None: got {sizes!r}.")


def check_known(known: Any) -> None:
    """Raise ``InputError`` for what is no list of lists of rows, or None."""
    if known is None:
        return
    lists = isinstance(known, list | tuple) and all(isinstance(one, list | tuple) for one in known)
    if not lists or not all(isinstance(row, int) and row >= 0 for one in known for row in one):
        raise InputError(
            f"known must be lists of rows, one for each region set aside, or None: got {known!r:.80}."
        )


def _check_regions(options: Options) -> None:
    check_layer(options)
    check_count("n_regions", options["n_regions"], 1, 50)
    check_count("seed", options["seed"], 0, 2**63 - 1)
    check_sizes(options["sizes"])
    check_known(options["known"])
    check_choice("views", options["views"], VIEWS)
    if options["groups"] is not None and not isinstance(options["groups"], str):
        raise InputError(f"groups must name a column or be None: got {options['groups']!r}.")


TASK = Task(
    "backend.tasks.regions:run_regions",
    version=17,
    defaults={
        "n_regions": LISTED,
        "sizes": None,
        "seed": 0,
        "groups": None,
        "known": None,
        "views": ALL_VIEWS,
        "layer": "",
    },
    check=_check_regions,
)
