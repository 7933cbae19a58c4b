"""``find_spotlights`` over rows that several processes hold, each its own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix, check_vector
from backend.core.errors import BackendError, InputError, RankError
from backend.core.progress import Progress
from backend.spotlight.find import collected
from backend.spotlight.ranks import PATIENCE, Together, agree, meeting, own_device
from backend.spotlight.runs import run_fast
from backend.spotlight.spotlights import Spotlights
from backend.spotlight.task import check_task


def find_spotlights_on_ranks(
    embeddings: Any,
    losses: Any,
    *,
    size: float = 0.02,
    n_spotlights: int = 5,
    kernel: str = "gaussian",
    precision: str = "spherical",
    starts: int = 16,
    counts: Any = None,
    flip: bool = False,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    mode: str = "successive",
    max_steps: int | None = None,
    patience: float = PATIENCE,
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
    size, n_spotlights, kernel, precision, starts, flip, seed, mode, max_steps
        As in ``find_spotlights``, the same in every process. The solver is the fast one.
    device : str or torch.device
        "auto" gives each process on a machine one GPU; without any, the CPU.
    progress : callable, optional
        Told in every process that gives one.
    patience : float
        Seconds to wait for another process before giving up.

    Returns
    -------
    Spotlights
        Of all rows, the same in every process.

    Raises
    ------
    InputError
        As ``find_spotlights``, in every process, also where the fault is in the rows of one.
    RankError
        If another process stops, stays silent for ``patience`` seconds, or has other dimensions or
        options.

    Notes
    -----
    Losses, counts, weights and one distance per example are gathered (8 bytes each per example);
    embeddings are not, but for a sample of at most 2^17 rows and 2^26 numbers. An iteration adds up
    ``K (d + 1)`` numbers for ``K`` starts, and ``4 K`` in each root-finding step.
    """
    options = {
        "size": size,
        "n_spotlights": n_spotlights,
        "kernel": kernel,
        "precision": precision,
        "starts": starts,
        "flip": flip,
        "seed": seed,
        "mode": mode,
        "max_steps": max_steps,
    }
    own = own_device(device)
    with meeting(own, patience) as control:
        return search_together(
            embeddings,
            losses,
            options,
            counts=counts,
            device=own,
            progress=progress,
            control=control,
            patience=patience,
        )


def search_together(
    embeddings: Any,
    losses: Any,
    options: dict[str, Any],
    *,
    counts: Any = None,
    device: torch.device,
    progress: Progress | None,
    control: Any,
    patience: float,
) -> Spotlights:
    """``find_spotlights_on_ranks`` of processes that have met; ``options`` are of the search."""
    mine = _checked(embeddings, losses, counts)
    ranks = _agreed(mine, options, control, patience)
    count = mine["counts"]
    task = check_task(
        mine["values"],
        ranks.gathered(mine["losses"]),
        counts=None if count is None else ranks.gathered(count),
        solver="fast",
        device=device,
        progress=progress,
        barrier_scale=None,
        ranks=ranks,
        **options,
    )
    return collected(task, list(run_fast(task)))


def _checked(embeddings: Any, losses: Any, counts: Any) -> dict[str, Any]:
    """This process's rows, or under ``"fault"`` what is wrong with them."""
    try:
        values = as_numpy(embeddings)
        if values.ndim == 2 and len(values) == 0 and values.shape[1]:
            return {"values": values, "losses": np.empty(0), "counts": _none_or_empty(counts)}
        values = check_matrix("embeddings", values)
        n = len(values)
        count = None if counts is None else check_vector("counts", counts, n)
        return {"values": values, "losses": check_vector("losses", losses, n), "counts": count}
    except BackendError as error:
        return {"fault": str(error)}


def _none_or_empty(counts: Any) -> NDArray[np.float64] | None:
    return None if counts is None else np.empty(0)


def _agreed(
    mine: dict[str, Any], options: dict[str, Any], control: Any, patience: float
) -> Together:
    """The processes with their rows, once all have sound rows of one kind and equal options."""
    said: dict[str, Any] = {"fault": mine.get("fault")}
    if "fault" not in mine:
        values = mine["values"]
        said |= {
            "rows": len(values),
            "dimensions": values.shape[1],
            "type": str(values.dtype),
            "counts": mine["counts"] is not None,
            "options": json.dumps(options, sort_keys=True, default=str),
        }
    heard = agree(said, control, patience)
    for rank, one in enumerate(heard):
        if one["fault"]:
            raise InputError(f"process {rank} of {len(heard)}: {one['fault']}")
    for what in ("dimensions", "type", "counts", "options"):
        # A process without rows has no type of its own.
        counted = [one for one in heard if one["rows"] or what not in ("type", "counts")]
        different = {str(one[what]) for one in counted}
        if len(different) > 1:
            told = ", ".join(f"process {rank}: {one[what]}" for rank, one in enumerate(heard))
            raise RankError(
                f"all processes must have the same {what}: got {told}. "
                "Give each its part of one data set, and the same command."
            )
    rows = [one["rows"] for one in heard]
    if not sum(rows):
        raise InputError("embeddings must not be empty: no process has any rows.")
    return Together(rows, patience, control)
