"""``find_spotlights`` over rows that several processes hold, each its own."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from backend.core.arrays import as_numpy, check_matrix, check_vector
from backend.core.errors import BackendError, InputError, RankError
from backend.core.progress import Progress, ignore_progress
from backend.spotlight.call import check_search
from backend.spotlight.find import collected, search_spotlights
from backend.spotlight.options import SearchOptions
from backend.spotlight.ranks_rows import in_blocks, prepared_together
from backend.spotlight.solver.blocks import rows_per_block
from backend.spotlight.solver.ranks import (
    ALONE,
    PATIENCE,
    Together,
    agree,
    first_does,
    meeting,
    own_device,
)
from backend.spotlight.solver.rows import BLOCK_UNITS
from backend.spotlight.spotlights import Spotlights


def find_spotlights_on_ranks(
    embeddings: Any,
    losses: Any,
    *,
    counts: Any = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    patience: float = PATIENCE,
    **options: Any,
) -> Spotlights:
    """The regions of ``find_spotlights``, searched by all processes of a ``torchrun``.

    Every process calls this with rows of its own; all rows are those of the first process, then
    those of the second, and so on. A process may have none (an array of shape (0, d)).

    Parameters
    ----------
    embeddings : array-like of shape (own, d)
        This process's rows; may be memory-mapped, and is then read in blocks.
    losses : array-like of shape (own,)
    counts : array-like of shape (own,), optional
        In every process or in none.
    device : str or torch.device
        "auto" gives each process on a machine one GPU; without any, the CPU.
    progress : callable, optional
        Told in every process that gives one; it may raise to stop all.
    patience : float
        Seconds to wait for another process before giving up.
    **options
        All others of ``find_spotlights`` (size, n_spotlights, kernel, precision, solver, starts,
        flip, seed, mode, barrier_scale, max_steps, prepare, components), with its defaults and the
        same in every process.

    Returns
    -------
    Spotlights
        Of all rows, the same in every process, and what ``find_spotlights`` finds in one.

    Raises
    ------
    InputError
        As ``find_spotlights``, in every process, also where the fault is in the rows of one.
    RankError
        If another process stops, stays silent for ``patience`` seconds, or has other dimensions or
        options.

    Notes
    -----
    On processors of one kind, with equally many threads per process, the regions are those of one
    process to the last digit, whatever the number of processes and however uneven their rows:
    starts and samples are drawn by the numbers of the rows among all, and sums are taken over
    blocks of rows that begin at the same rows everywhere. (Rows near a border between two processes
    are therefore sent to one of them, at most half a block of 2^22 numbers.) Where rounding differs
    after all, ascents of other than round Gaussian regions can end in another optimum: on GPUs,
    with other numbers of threads in single precision, and beyond 2^23 rows, of which fewer climbers
    are followed at once by a process that holds them all.

    Embeddings of at most one block are searched by the first process alone: sending sums to and fro
    takes longer there than the search.

    Otherwise losses, counts, weights and one distance per example are gathered (8 bytes each per
    example); embeddings are not, but for a sample of at most 2^17 rows and 2^26 numbers, and those
    2^17 rows, a block at a time, that a preparation measures. An iteration exchanges at most
    ``8 K (d + 1)`` numbers with every process for ``K`` starts on all rows, and ``8 K`` in each
    root-finding step.
    """
    asked = SearchOptions(**options)
    own = own_device(device)
    with meeting(own, patience) as control:
        return search_together(
            embeddings,
            losses,
            asked,
            counts=counts,
            device=own,
            progress=progress,
            control=control,
            patience=patience,
        )


def search_together(
    embeddings: Any,
    losses: Any,
    options: SearchOptions,
    *,
    counts: Any = None,
    device: torch.device,
    progress: Progress | None,
    control: Any,
    patience: float,
) -> Spotlights:
    """``find_spotlights_on_ranks`` of processes that have met."""
    mine, ranks = _agreed(_checked(embeddings, losses, counts), options, control, patience)
    values, count = mine["values"], mine["counts"]
    all_losses = ranks.gathered(mine["losses"])
    all_counts = None if count is None else ranks.gathered(count)
    report = progress or ignore_progress
    if _one_block(values, ranks):
        whole = ranks.gathered(np.ascontiguousarray(values))

        def first(told: Progress) -> Spotlights:
            return search_spotlights(
                whole, all_losses, options, counts=all_counts, device=device, progress=told
            )

        return first_does(first, control, patience, report)
    search = check_search(
        values,
        all_losses,
        options,
        counts=all_counts,
        device=device,
        progress=progress,
        ranks=ranks,
    )
    if options.prepare != "none":
        values, ranks, made = prepared_together(
            values,
            ranks,
            options.prepare,
            components=options.components,
            seed=search.options.seed,
            tick=lambda: report(0.0, "Preparing the embeddings"),
        )
        search = replace(search, preparation=made)
    if _one_block(values, ranks):
        search = replace(search, values=ranks.gathered(np.ascontiguousarray(values)), ranks=ALONE)
        return first_does(
            lambda told: collected(replace(search, progress=told)), control, patience, report
        )
    values, ranks = in_blocks(values, ranks, rows_per_block(values.shape[1], BLOCK_UNITS))
    return collected(replace(search, values=values, ranks=ranks))


def _one_block(values: Any, ranks: Together) -> bool:
    """Whether the rows of all are so few that sharing them would take longer than the search."""
    return sum(ranks.rows) <= rows_per_block(values.shape[1], BLOCK_UNITS)


def _checked(embeddings: Any, losses: Any, counts: Any) -> dict[str, Any]:
    """This process's rows, or under ``"fault"`` what is wrong with them."""
    try:
        values = as_numpy(embeddings)
        if values.ndim == 2 and len(values) == 0 and values.shape[1]:
            return {"values": values, "losses": np.empty(0), "counts": None}
        values = check_matrix("embeddings", values)
        n = len(values)
        count = None if counts is None else check_vector("counts", counts, n)
        return {"values": values, "losses": check_vector("losses", losses, n), "counts": count}
    except BackendError as error:
        return {"fault": str(error)}


def _agreed(
    mine: dict[str, Any], options: SearchOptions, control: Any, patience: float
) -> tuple[dict[str, Any], Together]:
    """This process's rows and those of all, once all are sound, of one kind, with equal options."""
    said: dict[str, Any] = {"fault": mine.get("fault")}
    if "fault" not in mine:
        values = mine["values"]
        said |= {
            "rows": len(values),
            "dimensions": values.shape[1],
            "type": str(values.dtype),
            "counts": mine["counts"] is not None,
            "options": json.dumps(asdict(options), sort_keys=True, default=str),
        }
    heard = agree(said, control, patience)
    for rank, one in enumerate(heard):
        if one["fault"]:
            raise InputError(f"process {rank} of {len(heard)}: {one['fault']}")
    # A process without rows has neither a type of its own nor counts, and takes those of others.
    kind = next((one for one in heard if one["rows"]), None)
    if kind is None:
        raise InputError("embeddings must not be empty: no process has any rows.")
    for what in ("dimensions", "type", "counts", "options"):
        counted = [one for one in heard if one["rows"] or what not in ("type", "counts")]
        different = {str(one[what]) for one in counted}
        if len(different) > 1:
            told = ", ".join(f"process {rank}: {one[what]}" for rank, one in enumerate(heard))
            raise RankError(
                f"all processes must have the same {what}: got {told}. "
                "Give each its part of one data set, and the same command."
            )
    rows = [one["rows"] for one in heard]
    if not len(mine["values"]):
        mine = mine | {
            "values": mine["values"].astype(kind["type"]),
            "counts": np.empty(0) if kind["counts"] else None,
        }
    return mine, Together(rows, patience, control)
